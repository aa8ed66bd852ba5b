"""What a score is: its name, what it means, and which direction is better."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Score:
    """One score.

    Attributes:
        name: Column name in files.
        label: What to call it in tables.
        meaning: What it is, in one sentence.
        better: Which values are better; "zero" for signed errors.
        unit: Its unit; empty for pure numbers.
        has_ceiling: Whether a rater's mask can be scored by it like a prediction. Not so for signed errors, which
            average to 0 over the raters left out, nor for scores of sure predictions or of their order, which see
            only 0 and 1.
    """

    name: str
    label: str
    meaning: str
    better: Literal["lower", "higher", "zero"]
    unit: str = ""
    has_ceiling: bool = True

    def improvement(self, before: float, after: float) -> float:
        """Say by how much `after` is better than `before` (negative: worse)."""
        if self.better == "higher":
            return after - before
        return abs(before) - abs(after)
