"""Fits what was measured by lines: seconds = a + voxels × (b + c × members + d × raters), none of them below 0."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from benchmarks.scale.grow import Measured
from benchmarks.scale.sizes import Size
from scipy.optimize import nnls


@dataclass(frozen=True)
class Line:
    """How something grows.

    Attributes:
        fixed: For every case.
        voxel: For each voxel.
        member: For each voxel and member.
        rater: For each voxel and rater.
        apart: Largest relative distance of a measured figure.
    """

    fixed: float
    voxel: float
    member: float
    rater: float
    apart: float

    @classmethod
    def through(cls, rows: list[Measured], value: Callable[[Measured], float]) -> Line:
        """Fit by least squares of the relative distances."""
        wanted = np.array([value(row) for row in rows])
        columns = np.array([[1.0, row.voxels, row.voxels * row.members, row.voxels * row.raters] for row in rows])
        scale = columns.max(axis=0)
        found, _ = nnls(columns / scale / wanted[:, None], np.ones(len(rows)))
        found = found / scale
        apart = float(np.abs(columns @ found / wanted - 1).max())
        return cls(*(float(one) for one in found), apart)

    def at(self, size: Size) -> float:
        """Give what a size takes."""
        return self.fixed + size.voxels * (self.voxel + self.member * size.members + self.rater * size.raters)


def slope(x: list[float], y: list[float]) -> float:
    """Give the exponent by which y grows with x: the slope of a line through their logarithms."""
    return float(np.polyfit(np.log(x), np.log(y), 1)[0])
