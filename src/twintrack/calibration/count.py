"""One walk over the calibration cases: everything that a fit of any method needs of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from twintrack.calibration.counted_case import in_order
from twintrack.calibration.sample import CaseSample
from twintrack.calibration.table import ResponseTable, Weighting
from twintrack.calibration.target import RESPONSE
from twintrack.cohort import Case, CaseData, Cohort, OnBad, Progress, merge_cases
from twintrack.compute.executors import Executor
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
    executor: Executor | None = None,
) -> Counted:
    """Count cases, reading one at a time.

    Args:
        cases: Cases with members and raters.
        target: What to count as votes.
        weighting: Whether voxels or cases count alike.
        sampled: Whether a sample of each case is taken.
        on_bad: Called with a case that cannot be used and the reason. None: raise.
        progress: Wraps the cases to show progress.
        executor: Who does the work (`twintrack.compute.executors`); None: this process.

    Returns:
        What is kept of them.

    Raises:
        TwinTrackError: If a case cannot be used and `on_bad` is None, or no case is left.
    """
    count = _Count(target=target, weighting=weighting, sampled=sampled)
    bad = list[str]()
    noting = noting_bad(on_bad, bad.append)
    total = merge_cases(count, cases, merge=_both, label="Fitting", on_bad=noting, progress=progress, executor=executor)
    if total is None:
        raise CalibrationError("there is nothing to fit: every case was skipped")
    samples = [total.samples[index] for index, _ in in_order(total.table.cases)] if sampled else []
    return Counted(replace(total.table, n_skipped=len(bad)), tuple(samples))


@dataclass(frozen=True, kw_only=True)
class _Count:
    """Counts a case."""

    target: str
    weighting: Weighting
    sampled: bool

    def __call__(self, case: Case, data: CaseData) -> Counted:
        table = ResponseTable.from_data(case, data, target=self.target, weighting=self.weighting)
        return Counted(table, (CaseSample.of(case, data),) if self.sampled else ())


def _both(one: Counted, other: Counted) -> Counted:
    return Counted(one.table + other.table, one.samples + other.samples)


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
    executor: Executor | None = None,
) -> ResponseTable:
    """Count cases into one response table, reading one case at a time.

    Args:
        cases: Cases with members and raters.
        target: What to count as votes.
        weighting: Whether voxels or cases count alike.
        on_bad: Called with a case that cannot be used and the reason. None: raise.
        progress: Wraps the cases to show progress.
        executor: Who does the work (`twintrack.compute.executors`); None: this process.

    Returns:
        The table.

    Raises:
        TwinTrackError: If a case cannot be used and `on_bad` is None, or no case is left.
    """
    return count_cases(
        Cohort(cases), target=target, weighting=weighting, on_bad=on_bad, progress=progress, executor=executor
    ).table
