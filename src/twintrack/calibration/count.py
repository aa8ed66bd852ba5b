"""One walk over the calibration cases: everything that a fit of any method needs of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from twintrack.calibration.counted_case import in_order
from twintrack.calibration.sample import CaseSample
from twintrack.calibration.table import ResponseTable, Weighting
from twintrack.calibration.target import RESPONSE
from twintrack.cohort import Case, CaseData, Cohort, OnBad, Progress, map_cases
from twintrack.errors import CalibrationError, TwinTrackError


@dataclass(frozen=True, eq=False)
class Counted:
    """What is kept of the cases.

    Attributes:
        table: All cases in one response table.
        samples: A sample of each case, where wanted, in an order that does not depend on that of the cases.
    """

    table: ResponseTable
    samples: tuple[CaseSample, ...] = ()


def count_cases(
    cases: Iterable[Case],
    *,
    target: str = RESPONSE,
    weighting: Weighting = "voxels",
    sampled: bool = False,
    on_bad: OnBad | None = None,
    progress: Progress | None = None,
) -> Counted:
    """Count cases, reading one at a time.

    Args:
        cases: Cases with members and raters.
        target: What to count as votes.
        weighting: Whether voxels or cases count alike.
        sampled: Whether a sample of each case is taken.
        on_bad: Called with a case that cannot be used and the reason. None: raise.
        progress: Wraps the cases to show progress.

    Returns:
        What is kept of them.

    Raises:
        TwinTrackError: If a case cannot be used and `on_bad` is None, or no case is left.
    """

    def one(case: Case, data: CaseData) -> tuple[ResponseTable, CaseSample | None]:
        table = ResponseTable.from_data(case, data, target=target, weighting=weighting)
        return table, CaseSample.of(case, data) if sampled else None

    bad = list[str]()
    total: ResponseTable | None = None
    samples = []
    noting = noting_bad(on_bad, bad.append)
    for table, sample in map_cases(one, cases, label="Fitting", on_bad=noting, progress=progress):
        total = table if total is None else total + table
        samples.append(sample)
    if total is None:
        raise CalibrationError("there is nothing to fit: every case was skipped")
    ordered = [samples[index] for index, _ in in_order(total.cases)]
    return Counted(replace(total, n_skipped=len(bad)), tuple(sample for sample in ordered if sample is not None))


def noting_bad(on_bad: OnBad | None, note: Callable[[str], None]) -> OnBad | None:
    """Note the ids of the cases that are skipped.

    Args:
        on_bad: Called with a case that cannot be used and the reason; None: raise, so that none is skipped.
        note: Called with the id of each.

    Returns:
        What to give instead of `on_bad`.
    """
    if on_bad is None:
        return None

    def noting(case: Case, error: TwinTrackError) -> None:
        note(case.id)
        on_bad(case, error)

    return noting


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
