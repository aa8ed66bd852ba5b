"""A case in a few numbers that need no rater: how much is predicted, how sure it is, and how far the members agree."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Annotated, TypeAlias

import numpy as np
import scipy
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field
from typing_extensions import Self

from twintrack.cohort import CaseData
from twintrack.compute.blocks import blocks, flat, read_only
from twintrack.compute.members import sum_members
from twintrack.images.grid import Grid

FLOOR = 1e-3
"""A case in which no probability reaches this is one in which nothing was predicted."""

BINS = 10
"""Bins of equal width in logit p, from `FLOOR` to 1 − `FLOOR`; the last holds also what is above."""

Share: TypeAlias = Annotated[float, Field(ge=0, le=1)]

_DIGITS = 6  # significant ones that are kept


class CaseSummary(BaseModel):
    """What is known of a case without raters. All sums are over the ROI; p is the mean of the members.

    Attributes:
        volume: Σp times the voxel volume, in mm³ (of a single slice the area in mm²); in voxels where the voxel size is
            not known.
        measured: Whether the voxel size is known.
        dimensions: Number of axes along which there is more than one voxel, at least 1.
        unsure: Σp(1 − p) / Σp, between 0 and 1; 0 where Σp is 0.
        disagreement: Σ of the members' standard deviation (of a sample) / Σp; None with one member.
        peak: The largest p.
        histogram: Share of Σp, over p from `FLOOR` on, in each of the `BINS` bins; all 0 where nothing reaches it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    volume: float = Field(ge=0)
    measured: bool
    dimensions: int = Field(ge=1, le=3)
    unsure: Share
    disagreement: Annotated[float, Field(ge=0)] | None
    peak: Share
    histogram: tuple[Share, ...] = Field(min_length=BINS, max_length=BINS)

    @classmethod
    def of(cls, data: CaseData) -> Self:
        """Summarise a case in one pass over its voxels; no volume is allocated.

        Args:
            data: Its voxels, with members; raters are not looked at.

        Returns:
            The summary.
        """
        rows = [flat(member) for member in data.members]
        inside = None if data.roi is None else flat(data.roi)
        sums = CaseSums()
        for part in blocks(rows[0].size):
            sums.add([row[part] for row in rows], inside=None if inside is None else inside[part])
        return cls.from_sums(sums, data.grid)

    @classmethod
    def from_sums(cls, sums: CaseSums, grid: Grid) -> Self:
        """Summarise a case whose voxels have been summed.

        Args:
            sums: The sums over all of its voxels.
            grid: Where they lie.

        Returns:
            The summary.
        """
        total, unsure, spread, peak = sums.totals.tolist()
        mass = sums.mass.sum()
        sizes = [size for size, n in zip(grid.spacing, grid.shape, strict=True) if n > 1]
        whole = total if total > 0 else 1.0
        return cls(
            volume=_rounded(total * float(np.prod(sizes))),
            measured=grid.known,
            dimensions=max(len(sizes), 1),
            unsure=_rounded(unsure / whole),
            disagreement=_rounded(spread / whole) if sums.n_members > 1 else None,
            peak=_rounded(peak),
            histogram=tuple(_rounded(float(share)) for share in sums.mass / (mass if mass > 0 else 1.0)),
        )

    @property
    def empty(self) -> bool:
        """Whether nothing was predicted."""
        return self.peak < FLOOR


class CaseSums:
    """Sums over the voxels of a case, which may come block by block, in any order.

    Attributes:
        totals: float64 (4,): Σp, Σp(1 − p), Σ of the members' standard deviation, and the largest p.
        mass: float64 (`BINS`,): Σp of each bin.
        n_members: Number of members; 0 before anything was added.
    """

    def __init__(self) -> None:
        self.totals = np.zeros(4)
        self.mass = np.zeros(BINS)
        self.n_members = 0

    def add(self, members: Sequence[NDArray[np.float32]], *, inside: NDArray[np.uint8] | None = None) -> None:
        """Add some voxels.

        Args:
            members: What each member says of them, M flat float32 arrays of equal size, in [0, 1].
            inside: uint8 of that size, 0 outside the ROI; None: all are inside.
        """
        everywhere = np.empty(0, np.uint8)
        rows = tuple(read_only(member) for member in members)
        sum_members(rows, everywhere if inside is None else inside, _edges(), self.totals, self.mass)
        self.n_members = len(members)


@functools.cache
def _edges() -> NDArray[np.float64]:
    lowest, highest = scipy.special.logit([FLOOR, 1 - FLOOR])
    edges: NDArray[np.float64] = scipy.special.expit(np.linspace(lowest, highest, BINS + 1))
    return edges


def _rounded(value: float) -> float:
    """Keep as many digits as tell cases apart, so that files stay small."""
    return float(f"{value:.{_DIGITS}g}")
