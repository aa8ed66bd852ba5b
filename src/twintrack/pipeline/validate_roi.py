"""How much of what the raters drew lies inside the region of interest: the recall that bounds everything after it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass
from statistics import fmean

import numpy as np
from numpy.typing import NDArray

from twintrack.cohort import Case, CaseData, Cohort, OnBad, Progress, map_cases
from twintrack.compute.executors import Executor
from twintrack.errors import CohortError
from twintrack.images import Volume
from twintrack.segmentation.ct_checks import require_ct
from twintrack.segmentation.cts import Ct
from twintrack.segmentation.roi import Roi, recall
from twintrack.segmentation.segmenter import Segmenter


@dataclass(frozen=True)
class CaseRecall:
    """One case at one margin.

    Attributes:
        case: The case.
        margin: Dilation in mm.
        union: Recall of the voxels that any rater drew; None where nobody drew any.
        raters: Recall of each rater's voxels; None where the rater drew none.
        share: Volume of the ROI as a fraction of the image's.
        found: Whether the coarse network found anything plausible; if not, the ROI is the whole image.
    """

    case: str
    margin: float
    union: float | None
    raters: Mapping[str, float | None]
    share: float
    found: bool


@dataclass(frozen=True)
class MarginSummary:
    """All cases at one margin.

    Attributes:
        margin: Dilation in mm.
        cases: Number of cases of which some rater drew something.
        mean: Mean over cases of the recall of the raters' union.
        minimum: The smallest.
        mean_rater: Mean over all raters of all cases.
        minimum_rater: The smallest of any rater.
        below_one: Cases whose union is not wholly inside.
        not_found: Cases in which the coarse network found nothing plausible.
        mean_share: Mean volume of the ROI as a fraction of the image's.
    """

    margin: float
    cases: int
    mean: float
    minimum: float
    mean_rater: float
    minimum_rater: float
    below_one: tuple[str, ...]
    not_found: tuple[str, ...]
    mean_share: float


def validate_roi(
    cohort: Cohort,
    *,
    segmenter: Segmenter,
    margins: Sequence[float] = (),
    cts: Mapping[str, Ct] | None = None,
    on_bad: OnBad | None = None,
    progress: Progress | None = None,
    executor: Executor | None = None,
) -> list[CaseRecall]:
    """Measure the recall of the region of interest on labelled cases.

    The coarse network runs once per case, whatever the number of margins. Nothing is written.

    Args:
        cohort: Cases with raters.
        segmenter: Its coarse network and ROI settings are used.
        margins: Margins in mm; none given: the one set.
        cts: The CTs by case id; None: each case's own image.
        on_bad: Called with a case that cannot be used and the reason; None: raise.
        progress: Wraps the cases to show progress.
        executor: Who reads the cases and runs the network (`twintrack.compute.executors`); None: this process.

    Returns:
        One entry for each case and margin, by case.

    Raises:
        ModelError: If the bundle has no coarse network.
        TwinTrackError: If a case cannot be used and `on_bad` is None.
    """
    measure = _Measure(
        segmenter if executor is None else segmenter.apart(),
        margins=tuple(margins) or (segmenter.settings.margin,),
        cts=cts,
    )
    found = map_cases(
        measure,
        cohort,
        label="Finding regions",
        members=False,
        on_bad=on_bad,
        progress=progress,
        executor=executor,
    )
    return [entry for entries in found for entry in entries]


@dataclass(frozen=True, eq=False)
class _Measure:
    """Finds the region of a case and measures its recall at each margin."""

    segmenter: Segmenter
    _: KW_ONLY
    margins: tuple[float, ...]
    cts: Mapping[str, Ct] | None

    def __call__(self, case: Case, data: CaseData) -> list[CaseRecall]:
        ct = _ct_of(case, self.cts)
        data.grid.require_same(ct.grid, name=f"the raters' masks of case {case.id}", other_name=ct.name)
        require_ct(ct)
        union = np.zeros(data.grid.shape, np.bool_)
        for mask in data.raters.values():
            union |= mask != 0
        regions = self.segmenter.regions(ct, self.margins)
        return [_recall(case.id, m, roi, union, data) for m, roi in zip(self.margins, regions, strict=True)]


def summarise(recalls: Sequence[CaseRecall]) -> list[MarginSummary]:
    """Summarise the cases at each margin.

    Args:
        recalls: What `validate_roi` gave.

    Returns:
        One summary for each margin, in the order in which they occur.

    Raises:
        CohortError: If no rater drew anything in any case.
    """
    margins = dict.fromkeys(entry.margin for entry in recalls)
    return [_summary(margin, [entry for entry in recalls if entry.margin == margin]) for margin in margins]


def _summary(margin: float, entries: list[CaseRecall]) -> MarginSummary:
    unions = [entry.union for entry in entries if entry.union is not None]
    raters = [value for entry in entries for value in entry.raters.values() if value is not None]
    if not unions:
        raise CohortError("no rater drew anything in any of the cases: there is no recall to report")
    return MarginSummary(
        margin=margin,
        cases=len(unions),
        mean=fmean(unions),
        minimum=min(unions),
        mean_rater=fmean(raters),
        minimum_rater=min(raters),
        below_one=tuple(entry.case for entry in entries if entry.union is not None and entry.union < 1),
        not_found=tuple(entry.case for entry in entries if not entry.found),
        mean_share=fmean(entry.share for entry in entries),
    )


def _recall(case: str, margin: float, roi: Roi | None, union: NDArray[np.bool_], data: CaseData) -> CaseRecall:
    return CaseRecall(
        case=case,
        margin=margin,
        union=recall(roi, union),
        raters={name: recall(roi, mask) for name, mask in data.raters.items()},
        share=1.0 if roi is None else roi.voxels / union.size,
        found=roi is not None,
    )


def _ct_of(case: Case, cts: Mapping[str, Ct] | None) -> Volume:
    if cts is not None:
        if case.id not in cts:
            raise CohortError(f"case {case.id}: there is no CT of it among the images (--images)")
        return cts[case.id].read()
    image = case.read_image()
    if image is None:
        raise CohortError(f"case {case.id}: there is no CT of it; say where the CTs are (--images)")
    return image
