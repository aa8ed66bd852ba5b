"""One walk over the calibration cases: everything that a fit of any method needs of them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from twintrack.calibration.coarse_counts import CoarseCounts, coarse_counts
from twintrack.calibration.sample import CaseSample
from twintrack.calibration.table import ResponseTable, Weighting
from twintrack.calibration.target import MAJORITY, RESPONSE
from twintrack.cohort import Case, CaseData, Cohort, OnBad, Progress, map_cases
from twintrack.errors import CalibrationError


@dataclass(frozen=True, eq=False)
class Counted:
    """What is kept of the cases. Samples and coarse counts are in an order that does not depend on that of the cases.

    Attributes:
        table: All cases in one response table.
        samples: A sample of each case, where wanted.
        coarse: Patient and coarse counts of each case.
    """

    table: ResponseTable
    samples: tuple[CaseSample, ...] = ()
    coarse: tuple[tuple[str, CoarseCounts], ...] = ()


def count_cases(
    cases: Iterable[Case],
    *,
    target: str = RESPONSE,
    weighting: Weighting = "voxels",
    pin_zero: bool = True,
    sampled: bool = False,
    on_bad: OnBad | None = None,
    progress: Progress | None = None,
) -> Counted:
    """Count cases, reading one at a time.

    Args:
        cases: Cases with members and raters.
        target: What to count as votes.
        weighting: Whether voxels or cases count alike.
        pin_zero: Whether the coarse counts leave out voxels whose probability is exactly 0.
        sampled: Whether a sample of each case is taken.
        on_bad: Called with a case that cannot be used and the reason. None: raise.
        progress: Wraps the cases to show progress.

    Returns:
        What is kept of them.

    Raises:
        TwinTrackError: If a case cannot be used and `on_bad` is None, or no case is left.
    """

    def one(case: Case, data: CaseData) -> tuple[ResponseTable, CoarseCounts, str, CaseSample | None]:
        table = ResponseTable.from_data(case, data, target=target, weighting=weighting)
        (counts,) = table.counts.values()
        coarse = coarse_counts(counts, majority=target == MAJORITY, pin_zero=pin_zero)
        return table, coarse, case.patient, CaseSample.of(case, data) if sampled else None

    total: ResponseTable | None = None
    kept = []
    for table, coarse, patient, sample in map_cases(one, cases, label="Fitting", on_bad=on_bad, progress=progress):
        total = table if total is None else total + table
        kept.append((table.records[0].model_dump_json(), patient, coarse, sample))
    if total is None:
        raise CalibrationError("there is nothing to fit: every case was skipped")
    # Mirrored copies of a case have equal records.
    kept.sort(key=lambda row: (row[0], row[1], row[2].tobytes()))
    return Counted(
        total,
        samples=tuple(sample for *_, sample in kept if sample is not None),
        coarse=tuple((patient, coarse) for _, patient, coarse, _ in kept),
    )


def tabulate(
    cases: Iterable[Case],
    *,
    target: str = RESPONSE,
    weighting: Weighting = "voxels",
    on_bad: OnBad | None = None,
    progress: Progress | None = None,
) -> ResponseTable:
    """Count cases into one response table, reading one case at a time.

    Args:
        cases: Cases with members and raters.
        target: What to count as votes.
        weighting: Whether voxels or cases count alike.
        on_bad: Called with a case that cannot be used and the reason. None: raise.
        progress: Wraps the cases to show progress.

    Returns:
        The table.

    Raises:
        TwinTrackError: If a case cannot be used and `on_bad` is None, or no case is left.
    """
    return count_cases(Cohort(cases), target=target, weighting=weighting, on_bad=on_bad, progress=progress).table
