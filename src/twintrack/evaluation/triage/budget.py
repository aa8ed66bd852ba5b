"""How much can be looked at: a budget, what looking at a case or a region costs, and what the budget is spent on."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

from twintrack.errors import InputError
from twintrack.evaluation.triage.regions import Region

Unit: TypeAlias = Literal["cases", "minutes", "%"]
"""Whole cases; minutes of reading; per cent of the voxels of all cases."""

_WORDS: dict[str, Unit] = {
    **dict.fromkeys(("case", "cases"), "cases"),
    **dict.fromkeys(("min", "minute", "minutes"), "minutes"),
    "%": "%",
}


@dataclass(frozen=True)
class Budget:
    """What can be looked at.

    Attributes:
        amount: How much, not negative; of "%" at most 100.
        unit: Of what.

    Raises:
        InputError: If it is not such a number.
    """

    amount: float
    unit: Unit

    def __post_init__(self) -> None:
        most = 100 if self.unit == "%" else math.inf
        if self.unit not in get_args(Unit) or not (math.isfinite(self.amount) and 0 <= self.amount <= most):
            units = ", ".join(get_args(Unit))
            raise InputError(f"a budget is a number from 0 of {units} (at most 100 %); got {self.amount} {self.unit}")

    @classmethod
    def parse(cls, text: str) -> Budget:
        """Read "60 minutes", "60min", "10 cases" or "5 %".

        Raises:
            InputError: If it is none of these.
        """
        found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([a-z]+|%)\s*", text.lower())
        if found is None or found[2] not in _WORDS:
            raise InputError(f"a budget is a number and its unit, such as 60min, 10cases or 5%; got {text!r}")
        return cls(float(found[1]), _WORDS[found[2]])

    def __str__(self) -> str:
        return f"{self.amount:g} %" if self.unit == "%" else f"{self.amount:g} {self.unit}"


@dataclass(frozen=True)
class Reading:
    """How fast an expert reads: an assumption of the user's, to be replaced by what was timed.

    Attributes:
        minutes_per_case: To open a case and to close it, above 0.
        minutes_per_slice: To look at one slice (along the first array axis) of a region, not negative.

    Raises:
        InputError: If these are not such numbers.
    """

    minutes_per_case: float = 1.0
    minutes_per_slice: float = 0.1

    def __post_init__(self) -> None:
        numbers = (self.minutes_per_case, self.minutes_per_slice)
        if not all(map(math.isfinite, numbers)) or self.minutes_per_case <= 0 or self.minutes_per_slice < 0:
            raise InputError(
                "reading takes more than 0 minutes for a case and 0 or more for a slice; got "
                f"{self.minutes_per_case} and {self.minutes_per_slice}"
            )

    def minutes(self, n_slices: int) -> float:
        """Give the minutes that a case takes of which so many slices are looked at."""
        return self.minutes_per_case + self.minutes_per_slice * n_slices


@dataclass(frozen=True)
class Spent:
    """What a budget is spent on.

    Attributes:
        regions: For each case, in the order given, the indices of its regions that are looked at; None where the case
            is not looked at. A case without regions may be looked at as a whole: an empty list.
        amount: What it comes to, in the unit of the budget.
    """

    regions: list[list[int] | None]
    amount: float


def spend(budget: Budget, cases: Sequence[Sequence[Region]], *, reading: Reading, n_voxels: float) -> Spent:
    """Spend a budget on cases in their order, and within a case on regions in theirs.

    Whole cases are taken as long as the budget lasts. Of the other budgets each region takes its part (its slices that
    no region taken before it shows, and the opening of its case; or its voxels); what does not fit is passed over, and
    what comes later and fits is still taken.

    Args:
        budget: The budget.
        cases: The regions of each case, the most urgent case first.
        reading: What minutes are counted by.
        n_voxels: Voxels of all cases, of which "%" is.

    Returns:
        What is looked at.
    """
    if budget.unit == "cases":
        n = min(int(budget.amount), len(cases))
        return Spent([list(range(len(found))) if k < n else None for k, found in enumerate(cases)], n)
    limit = budget.amount * n_voxels / 100 if budget.unit == "%" else budget.amount
    left, chosen = limit, list[list[int] | None]()
    for found in cases:
        taken, left = _spend_minutes(left, found, reading) if budget.unit == "minutes" else _spend_voxels(left, found)
        chosen.append(taken)
    used = limit - left
    return Spent(chosen, 100 * used / n_voxels if budget.unit == "%" and n_voxels else used)


_ROUNDING = 1e-9  # tenths of minutes do not sum to whole ones


def _spend_minutes(left: float, found: Sequence[Region], reading: Reading) -> tuple[list[int] | None, float]:
    if not found:
        cost = reading.minutes(0)
        return ([], left - cost) if cost <= left + _ROUNDING else (None, left)
    taken, seen = list[int](), set[int]()
    for k, region in enumerate(found):
        new = {*range(region.first_slice, region.last_slice + 1)} - seen
        cost = reading.minutes_per_slice * len(new) + (0 if taken else reading.minutes_per_case)
        if cost <= left + _ROUNDING:
            taken, seen, left = [*taken, k], seen | new, left - cost
    return taken or None, left


def _spend_voxels(left: float, found: Sequence[Region]) -> tuple[list[int] | None, float]:
    taken = list[int]()
    for k, region in enumerate(found):
        if region.voxels <= left + _ROUNDING:
            taken, left = [*taken, k], left - region.voxels
    return taken or None, left
