"""The CT being painted: a lattice of positions, bent a little so that no two patients are alike, and its HU."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from twintrack.images.grid import Grid
from twintrack.synthetic.fields import smooth_field
from twintrack.synthetic.shapes import Points, Shape

AIR = -1000.0

_WARP_LENGTH, _WARP_SIZE = 60.0, 4.0  # mm: bends whole organs
_DETAIL_LENGTH = 9.0  # mm: makes outlines uneven


@dataclass(frozen=True, eq=False)
class Region:
    """The part of the lattice near a solid.

    Attributes:
        box: Where it lies in the arrays.
        distance: Signed distance in mm from the solid's surface within the box, negative inside.
    """

    box: tuple[slice, slice, slice]
    distance: NDArray[np.floating[Any]]

    def coverage(self, *, soft: float, grow: float = 0.0) -> NDArray[np.float32]:
        """Say how much of each voxel the solid fills.

        Args:
            soft: Width in mm of the border over which the coverage falls from 1 to 0.
            grow: Push the surface outwards by so many mm.

        Returns:
            float32 in [0, 1] within the box, 0.5 on the surface.
        """
        ramp = np.clip(np.float32(0.5 + grow / soft) - self.distance / np.float32(soft), 0, 1)
        cover: NDArray[np.float32] = (ramp * ramp * (3 - 2 * ramp)).astype(np.float32, copy=False)
        return cover


class Canvas:
    """A CT under way.

    Args:
        grid: The lattice; 0 is the middle of the body.
        rng: Where the patient's build comes from; draws the same numbers for every grid.

    Attributes:
        grid: The lattice.
        axes: Positions in mm along z, y and x.
        points: For every voxel the position (x, y, z) in the standard body that it shows.
        detail: A field with standard deviation 1 that roughens outlines.
        ct: HU, float32.
        soft: Width in mm of a border that is sharp in the patient: partial volume.
    """

    def __init__(self, grid: Grid, rng: np.random.Generator) -> None:
        self.grid = grid
        lines = zip(grid.origin[::-1], grid.shape, grid.spacing, strict=True)
        self.axes = tuple(first + np.arange(size) * step for first, size, step in lines)
        self.soft = max(1.5, 0.8 * float(np.mean(grid.spacing)))
        self._build = rng.uniform(0.95, 1.06, 3)  # x, y, z: mm of this patient per mm of the standard body
        fields = [smooth_field(rng, length=_WARP_LENGTH) for _ in range(3)]
        lattice = (self.axes[2], self.axes[1][:, None], self.axes[0][:, None, None])
        self.points: Points = (
            self._bend(lattice[0], self._build[0], fields[0].on(self.axes)),
            self._bend(lattice[1], self._build[1], fields[1].on(self.axes)),
            self._bend(lattice[2], self._build[2], fields[2].on(self.axes)),
        )
        self.detail = smooth_field(rng, length=_DETAIL_LENGTH).on(self.axes)
        self.ct = np.full(grid.shape, AIR, np.float32)

    @staticmethod
    def _bend(axis: NDArray[np.floating[Any]], build: float, field: NDArray[np.float32]) -> NDArray[np.float32]:
        field *= np.float32(_WARP_SIZE)
        field += (axis / build).astype(np.float32)
        return field

    def region(self, shape: Shape, *, rough: float = 0.0, reach: float = 3.0) -> Region:
        """Find where a solid lies.

        Args:
            shape: The solid.
            rough: Standard deviation in mm by which its surface is uneven.
            reach: How many mm around the solid are of interest.

        Returns:
            The region; empty where the solid lies outside the lattice.
        """
        margin = reach + 3 * rough + self.soft
        box = self._box(shape, margin)
        distance = shape.distance((self.points[0][box], self.points[1][box], self.points[2][box]))
        if rough:
            distance = distance + np.float32(rough) * self.detail[box]
        return Region(box, distance)

    def _box(self, shape: Shape, margin: float) -> tuple[slice, slice, slice]:
        # Pitfall: the bounds hold in the standard body; the bend moves a voxel by up to about 4 standard deviations.
        low, high = shape.bounds()
        low, high = ((bound + sign * (margin + 4 * _WARP_SIZE)) * self._build for bound, sign in ((low, -1), (high, 1)))
        z, y, x = (
            slice(int(np.searchsorted(axis, low[k])), int(np.searchsorted(axis, high[k], side="right")))
            for axis, k in zip(self.axes, (2, 1, 0), strict=True)
        )
        return z, y, x

    def fill(
        self,
        region: Region,
        hu: float | NDArray[np.floating[Any]],
        *,
        grow: float = 0.0,
        soft: float | None = None,
        within: NDArray[np.floating[Any]] | None = None,
    ) -> None:
        """Paint a solid over what is there.

        Args:
            region: Where it lies.
            hu: Its HU, one number or one for each voxel of the region's box.
            grow: Push its surface outwards by so many mm; negative leaves a wall.
            soft: Width of its border in mm; by default a sharp one.
            within: Coverage of another solid, on the whole lattice, beyond which nothing is painted.
        """
        cover = region.coverage(soft=self.soft if soft is None else max(soft, self.soft), grow=grow)
        if within is not None:
            cover = cover * within[region.box]
        here = self.ct[region.box]
        here += cover * (np.asarray(hu, np.float32) - here)
