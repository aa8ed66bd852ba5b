"""Walking through cases: each is read, something is done to its voxels, and bad cases are reported or skipped.

This is the one place where cases are walked through, whoever does the work (`twintrack.compute.executors`).
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any, Generic, TypeAlias, TypeVar

from twintrack.cohort.case import Case, CaseData
from twintrack.cohort.cohort import Cohort
from twintrack.cohort.parts import CaseParts, reading_in_parts
from twintrack.compute.executors import Executor, Serial, each_result
from twintrack.errors import CohortError, TwinTrackError

Result = TypeVar("Result")

OnBad: TypeAlias = Callable[[Case, TwinTrackError], None]
"""What to do with a case that cannot be used; where none is given the error is raised."""

Progress: TypeAlias = Callable[[Sequence[Case], str], Iterable[Case]]
"""Wraps the cases of a long loop, with what is being done to them in words, and gives them on one by one."""


def map_cases(
    function: Callable[[Case, CaseData], Result],
    cases: Iterable[Case],
    *,
    label: str,
    members: bool = True,
    raters: bool = True,
    vessels: bool = False,
    on_bad: OnBad | None = None,
    progress: Progress | None = None,
    executor: Executor | None = None,
) -> Generator[Result, None, None]:
    """Read one case after the other and apply a function to each.

    Only one case is in memory at a time, in every process that works: its voxels are released before the next case is
    read. Where workers do it, they read the files; arrays of a case that is in memory are sent to them. What lies
    elsewhere is copied to the machine that works on the case, and deleted after it (`Case.at_hand`). Results, their
    order, errors and warnings are the same whoever does the work.

    Args:
        function: Takes a case and its voxels; what it returns should be small. For workers it can be pickled: a
            function or a class at the top of a module.
        cases: The cases.
        label: What is being done, for the progress display.
        members: Whether members are needed.
        raters: Whether raters are needed.
        vessels: Whether vessels are read, where there are any.
        on_bad: Called with a case that cannot be used and the reason; the walk then goes on. None: raise. A file that
            cannot be written, and a package that is not installed, are no fault of the case and always raised.
        progress: Wraps the cases to show progress.
        executor: Who does the work; None: this process.

    Yields:
        What the function returned, in the order of the cases.

    Raises:
        CohortError: If there is no case, or (without `on_bad`) a case lacks what is needed.
        OutputError: If a file cannot be written.
        WorkerError: If there are no workers, or (without `on_bad`) those that worked on a case died.
        TwinTrackError: Without `on_bad`, whatever is wrong with the first unusable case.
    """
    visit = _Visit(function, members=members, raters=raters, vessels=vessels)
    walk = _walk(visit, cases, executor or Serial(), label=label, on_bad=on_bad, progress=progress, gather=True)
    with closing(walk):
        yield from walk


def map_cases_in_parts(
    function: Callable[[Case, CaseParts], Result],
    cases: Iterable[Case],
    *,
    label: str,
    on_bad: OnBad | None = None,
    progress: Progress | None = None,
    executor: Executor | None = None,
) -> Generator[Result, None, None]:
    """Apply a function to one case after the other, each read a part at a time; else as `map_cases`.

    Args:
        function: Takes a case with members, and its voxels in parts; what it did must not count if a part fails.
        cases: The cases.
        label: What is being done, for the progress display.
        on_bad: Called with a case that cannot be used and the reason. None: raise.
        progress: Wraps the cases to show progress.
        executor: Who does the work; None: this process.

    Yields:
        What the function returned, in the order of the cases.

    Raises:
        TwinTrackError: As `map_cases` does.
    """
    visit = _VisitInParts(function)
    walk = _walk(visit, cases, executor or Serial(), label=label, on_bad=on_bad, progress=progress, gather=True)
    with closing(walk):
        yield from walk


def merge_cases(
    function: Callable[[Case, CaseData], Result],
    cases: Iterable[Case],
    *,
    merge: Callable[[Result, Result], Result],
    label: str,
    on_bad: OnBad | None = None,
    progress: Progress | None = None,
    executor: Executor | None = None,
) -> Result | None:
    """Read one case after the other, apply a function to each, and join the results; see `map_cases`.

    On a cluster results are joined where they are made, in a tree, and only the whole is sent.

    Args:
        function: Takes a case with members and raters, and its voxels.
        cases: The cases.
        merge: Joins the results of neighbouring cases, or parts already joined; associative.
        label: What is being done, for the progress display.
        on_bad: Called with a case that cannot be used and the reason. None: raise.
        progress: Wraps the cases to show progress.
        executor: Who does the work; None: this process.

    Returns:
        All results joined, in the order of the cases; None where every case was skipped.

    Raises:
        TwinTrackError: As `map_cases` does.
    """
    workers = executor or Serial()
    total = workers.total(merge)
    visit = _Visit(function)
    walk = _walk(visit, cases, workers, label=label, on_bad=on_bad, progress=progress, gather=False)
    with closing(walk):
        for part in walk:
            total.add(part)
    found: Result | None = total.result()
    return found


@dataclass(frozen=True)
class _Visit(Generic[Result]):
    """What is done to one case: it is read and given to the function. Voxels are read where this is called."""

    function: Callable[[Case, CaseData], Result]
    members: bool = True
    raters: bool = True
    vessels: bool = False

    def __call__(self, case: Case) -> Result:
        needed = {"members": self.members, "raters": self.raters, "vessels": self.vessels}
        with case.at_hand(**needed) as near:
            return self.function(near, near.read(**needed))


@dataclass(frozen=True)
class _VisitInParts(Generic[Result]):
    """What is done to one case that is read a part at a time."""

    function: Callable[[Case, CaseParts], Result]

    def __call__(self, case: Case) -> Result:
        with case.at_hand(raters=False) as near, reading_in_parts(near) as parts:
            return self.function(near, parts)


def _walk(
    visit: _Visit[Any] | _VisitInParts[Any],
    cases: Iterable[Case],
    executor: Executor,
    *,
    label: str,
    on_bad: OnBad | None,
    progress: Progress | None,
    gather: bool,
) -> Generator[Any, None, None]:
    cohort = cases if isinstance(cases, Cohort) else Cohort(cases)
    if not len(cohort):
        raise CohortError("the cohort is empty: no case was found")
    return each_result(
        visit,
        cohort,
        executor=executor,
        name=lambda case: f"case {case.id}",
        on_bad=on_bad,
        progress=None if progress is None else lambda given: progress(given, label),
        gather=gather,
    )
