"""A `Cohort`: an ordered set of cases with unique ids."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import overload

from twintrack.cohort.case import Case
from twintrack.errors import CohortError


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


def shorten(names: Sequence[str], *, most: int = 5) -> str:
    """List names for a message, the first few of many."""
    return ", ".join(names[:most]) + (f", … ({len(names)} in all)" if len(names) > most else "")
