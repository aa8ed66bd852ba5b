"""A `Cohort`: an ordered set of cases, and walking through it with bad cases reported or skipped."""

from __future__ import annotations

import traceback
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TypeAlias, TypeVar, overload

from twintrack.cohort.case import Case, CaseData
from twintrack.errors import CohortError, OutputError, TwinTrackError

Result = TypeVar("Result")

OnBad: TypeAlias = Callable[[Case, TwinTrackError], None]
"""What to do with a case that cannot be used; where none is given the error is raised."""

Progress: TypeAlias = Callable[[Sequence[Case], str], Iterable[Case]]
"""Wraps the cases of a long loop, with what is being done to them in words, and gives them on one by one."""


class Cohort(Sequence[Case]):
    """An ordered set of cases with unique ids.

    Args:
        cases: The cases.

    Raises:
        CohortError: If two cases have the same id.
    """

    def __init__(self, cases: Iterable[Case]) -> None:
        self._cases = tuple(cases)
        twice = [name for name, n in Counter(case.id for case in self._cases).items() if n > 1]
        if twice:
            raise CohortError(f"case ids must be unique; more than once there is: {shorten(twice)}")

    @overload
    def __getitem__(self, index: int) -> Case: ...

    @overload
    def __getitem__(self, index: slice) -> Cohort: ...

    def __getitem__(self, index: int | slice) -> Case | Cohort:
        return Cohort(self._cases[index]) if isinstance(index, slice) else self._cases[index]

    def __len__(self) -> int:
        return len(self._cases)

    def __repr__(self) -> str:
        return f"Cohort({len(self)} cases)"

    @property
    def problems(self) -> tuple[Case, ...]:
        """The cases known to be unusable."""
        return tuple(case for case in self._cases if case.problem)

    def require_sound(self) -> None:
        """Raise before any work is done if a case is known to be unusable.

        Raises:
            CohortError: If the cohort is empty or has problems; the message lists them.
        """
        if not self._cases:
            raise CohortError("the cohort is empty: no case was found")
        if self.problems:
            lines = "\n".join(f"  {case.id}: {case.problem}" for case in self.problems[:5])
            more = len(self.problems) - 5
            rest = f"\n  … and {more} more" if more > 0 else ""
            raise CohortError(
                f"{len(self.problems)} of {len(self)} cases cannot be used:\n{lines}{rest}\n"
                "Mend them, select cases with --cases and --split, or leave them out with --skip-bad."
            )


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
) -> Iterator[Result]:
    """Read one case after the other and apply a function to each.

    Only one case is in memory at a time: its voxels are released before the next case is read.

    Args:
        function: Takes a case and its voxels; what it returns should be small.
        cases: The cases.
        label: What is being done, for the progress display.
        members: Whether members are needed.
        raters: Whether raters are needed.
        vessels: Whether vessels are read, where there are any.
        on_bad: Called with a case that cannot be used and the reason; the walk then goes on. None: raise. A file that
            cannot be written is no fault of the case and always raised.
        progress: Wraps the cases to show progress.

    Yields:
        What the function returned, in the order of the cases.

    Raises:
        CohortError: If there is no case, or (without `on_bad`) a case lacks what is needed.
        OutputError: If a file cannot be written.
        TwinTrackError: Without `on_bad`, whatever is wrong with the first unusable case.
    """
    cohort = cases if isinstance(cases, Cohort) else Cohort(cases)
    if not len(cohort):
        raise CohortError("the cohort is empty: no case was found")
    for case in progress(cohort, label) if progress else cohort:
        try:
            result = function(case, case.read(members=members, raters=raters, vessels=vessels))
        except TwinTrackError as error:  # noqa: PERF203  (one bad case must not end the loop)
            # Pitfall: on a full disk every case would be left out, and the end looks like success.
            if on_bad is None or isinstance(error, OutputError):
                raise
            _forget_voxels(error)
            on_bad(case, error)
        else:
            yield result


def _forget_voxels(error: BaseException | None) -> None:
    """Let go of what an error's traceback holds: who keeps the error would keep the voxels of the case."""
    while error is not None:
        traceback.clear_frames(error.__traceback__)
        error = error.__context__


def shorten(names: Sequence[str], *, most: int = 5) -> str:
    """List names for a message, the first few of many."""
    return ", ".join(names[:most]) + (f", … ({len(names)} in all)" if len(names) > most else "")
