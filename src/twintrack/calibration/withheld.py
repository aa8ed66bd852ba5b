"""Cases of which a site gives sums only, so that nothing is told of a single one."""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, model_validator
from typing_extensions import Self

from twintrack.compute.levels import N_LEVELS

LARGEST = 1 << 62
"""No sum may exceed it: sums are added in 64 bits."""

Positive: TypeAlias = Annotated[int, Field(ge=1, le=LARGEST)]


class WithheldCases(BaseModel):
    """The sums of a site's cases; behind each number of cases or voxels stand `min_count` patients or more.

    Runs of neighbouring levels share a row, which stands at the level of their mean probability. A row has two sums:
    the weight of its voxels, and of their responses. At least `min_count` patients have a voxel there that some rater
    labels, unless nobody has, and as many one that some rater does not label, unless nobody has. Voxels whose
    probability is exactly 0 are left out.

    Attributes:
        min_count: The number of patients.
        n_cases: Number of cases.
        raters: How many cases have how many raters; empty where fewer patients share one of these numbers.
        voxels: Voxels inside the ROI, over all cases.
        members: Numbers of members that occur.
        roi: Whether all cases have an ROI.
        foreground: What was merged into the structure's probability; None where that is not known, or not one.
        unit: What a response of 1 counts in `votes`: the least common multiple of the numbers of raters.
        level: The level of each row, increasing.
        weight: The weight of its voxels.
        votes: The weight of their responses, in `unit`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    min_count: int = Field(ge=2)
    n_cases: Positive
    raters: dict[Positive, Positive]
    voxels: Positive
    members: tuple[Positive, ...] = Field(min_length=1)
    roi: bool
    foreground: tuple[str, ...] | None = None
    unit: Positive
    level: tuple[Annotated[int, Field(ge=1, lt=N_LEVELS)], ...] = Field(min_length=1)
    weight: tuple[Positive, ...]
    votes: tuple[Annotated[int, Field(ge=0, le=LARGEST)], ...]

    @model_validator(mode="after")
    def _check_rows(self) -> Self:
        if not len(self.level) == len(self.weight) == len(self.votes):
            raise ValueError("level, weight and votes differ in number")
        if any(a >= b for a, b in pairwise(self.level)):
            raise ValueError("levels are not strictly increasing")
        if any(votes > self.unit * weight for votes, weight in zip(self.votes, self.weight, strict=True)):
            raise ValueError("a row has a response above 1")
        return self
