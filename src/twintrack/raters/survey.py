"""A survey of a cohort: what it holds, on which grids, and how far its raters agree."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from twintrack.cohort import Case, CaseData, Cohort, OnBad, Progress, map_cases
from twintrack.compute.executors import Executor
from twintrack.errors import CohortError
from twintrack.raters.agreement import CaseAgreement, CohortAgreement, case_agreement, cohort_agreement


@dataclass(frozen=True)
class Survey:
    """What a cohort holds.

    Attributes:
        cases: Number of usable cases.
        members: How many cases (value) have how many members (key).
        foreground: What is merged into the structure's probability; None where the input does not say.
        with_roi: Number of cases with an ROI.
        smallest_spacing: Smallest voxel size in mm along each array axis; empty where not known.
        largest_spacing: Largest voxel size likewise.
        agreement: How far the raters agree; None where there are no raters.
    """

    cases: int
    members: dict[int, int]
    foreground: tuple[str, ...] | None
    with_roi: int
    smallest_spacing: tuple[float, ...]
    largest_spacing: tuple[float, ...]
    agreement: CohortAgreement | None


@dataclass(frozen=True)
class _Found:
    members: int
    roi: bool
    spacing: tuple[float, ...]
    agreement: CaseAgreement | None


def _look(_: Case, data: CaseData) -> _Found:
    masks, grid = list(data.raters.values()), data.grid
    agreement = case_agreement(masks, voxel_volume=grid.voxel_volume, names=list(data.raters)) if masks else None
    return _Found(len(data.members), data.roi is not None, grid.spacing if grid.known else (), agreement)


def survey(
    cases: Iterable[Case],
    *,
    on_bad: OnBad | None = None,
    progress: Progress | None = None,
    executor: Executor | None = None,
) -> Survey:
    """Read every case once and say what there is.

    Args:
        cases: Cases with members, raters or both; what some cases have, all must have.
        on_bad: Called with a case that cannot be used and the reason. None: raise.
        progress: Wraps the cases to show progress.
        executor: Who reads the cases (`twintrack.compute.executors`); None: this process.

    Returns:
        The survey of the usable cases.

    Raises:
        TwinTrackError: If a case cannot be used and `on_bad` is None, or no case is left.
    """
    cohort = Cohort(cases)
    has_members = any(case.members for case in cohort)
    has_raters = any(case.raters for case in cohort)

    found = list(
        map_cases(
            _look,
            cohort,
            label="Reading",
            members=has_members,
            raters=has_raters,
            on_bad=on_bad,
            progress=progress,
            executor=executor,
        )
    )
    if not found:
        raise CohortError("no case can be used")
    agreements = [one.agreement for one in found if one.agreement]
    spacings = [one.spacing for one in found]
    same_axes = len({len(spacing) for spacing in spacings}) == 1
    axes = list(zip(*spacings, strict=True)) if same_axes else []
    return Survey(
        cases=len(found),
        members=dict(Counter(one.members for one in found)),
        foreground=next((case.foreground for case in cohort), None),
        with_roi=sum(one.roi for one in found),
        smallest_spacing=tuple(min(axis) for axis in axes),
        largest_spacing=tuple(max(axis) for axis in axes),
        agreement=cohort_agreement(agreements) if agreements else None,
    )
