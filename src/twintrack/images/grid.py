"""Where the voxels of an array lie in the patient: shape, spacing, origin and direction."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from twintrack.errors import GeometryError

TOLERANCE = 0.1
"""Two grids are the same if none of their corners differ by more than this fraction of a voxel.

NIfTI stores its affine as float32 and some writers round to a few decimals; both stay far below a tenth
of a voxel over a whole CT, while a shift by one voxel, a flip or a resampling is far above it.
"""

ORTHONORMAL_TOLERANCE = 1e-3
"""How far the products of a grid's axes may be from those of an orthonormal set: room for text headers
rounded to four decimals, none for shear that could be seen in the voxels."""


@dataclass(frozen=True, kw_only=True)
class Grid:
    """The sampling grid of a 2-D or 3-D array.

    Arrays are in (z, y, x) order, 2-D ones in (y, x), as SimpleITK gives them.

    Attributes:
        shape: Number of voxels along each array axis, (z, y, x) or (y, x).
        spacing: Voxel size in mm along each **array** axis, (z, y, x) or (y, x).
        origin: Physical position (x, y, z) of the first voxel in mm, LPS as in DICOM and SimpleITK.
        direction: Direction cosines, row-major, in SimpleITK's (x, y, z) convention.
        known: False where the file or array carried no geometry (plain ``.npy``, an nnU-Net ``.npz``
            without its segmentation); then only shapes can be compared, and spacing is 1.
    """

    shape: tuple[int, ...]
    spacing: tuple[float, ...]
    origin: tuple[float, ...]
    direction: tuple[float, ...]
    known: bool = True

    def __post_init__(self) -> None:
        n = len(self.shape)
        if n not in (2, 3):
            raise GeometryError(f"a grid has 2 or 3 axes; this array has shape {self.shape}")
        if (len(self.spacing), len(self.origin), len(self.direction)) != (n, n, n * n):
            raise GeometryError(
                f"a grid of shape {self.shape} needs {n} spacings, {n} origin coordinates and {n * n} "
                f"direction cosines; got {len(self.spacing)}, {len(self.origin)} and {len(self.direction)}"
            )
        numbers = (*self.spacing, *self.origin, *self.direction)
        if not np.isfinite(numbers).all() or min(self.spacing) <= 0:
            raise GeometryError(f"spacing must be positive and every number finite: {self.describe()}")
        # MetaImage and NRRD can hold sheared axes (a tilted gantry); volumes and distances would be wrong.
        axes = np.reshape(self.direction, (n, n))
        if not np.allclose(axes.T @ axes, np.eye(n), atol=ORTHONORMAL_TOLERANCE):
            raise GeometryError(f"the direction is not orthonormal (sheared or scaled axes): {self.describe()}")

    @classmethod
    def plain(cls, shape: Sequence[int], *, spacing: Sequence[float] | None = None) -> Grid:
        """Build an axis-aligned grid at the origin.

        Args:
            shape: Array shape, (z, y, x) or (y, x).
            spacing: Voxel size in mm in array order; None means unknown (1 per axis, ``known=False``).

        Returns:
            The grid.

        Raises:
            GeometryError: If shape and spacing do not fit together.
        """
        n = len(shape)
        return cls(
            shape=tuple(int(size) for size in shape),
            spacing=(1.0,) * n if spacing is None else tuple(float(s) for s in spacing),
            origin=(0.0,) * n,
            direction=tuple(np.eye(n).ravel().tolist()),
            known=spacing is not None,
        )

    @property
    def voxel_volume(self) -> float:
        """Volume of one voxel in mm³ (area in mm² for 2-D grids; 1 if the grid is not known)."""
        return float(np.prod(self.spacing))

    def describe(self) -> str:
        """Say the grid in one line, for messages."""
        if not self.known:
            return f"shape {self.shape}, no geometry"

        def row(numbers: tuple[float, ...]) -> str:
            return "(" + ", ".join(f"{number:.6g}" for number in numbers) + ")"

        return (
            f"shape {self.shape}, spacing {row(self.spacing)} mm, origin {row(self.origin)} mm, "
            f"direction {row(self.direction)}"
        )

    def corners(self) -> NDArray[np.float64]:
        """Give the physical positions of the grid's corner voxels.

        Returns:
            Array of shape (2ⁿ, n): LPS coordinates (x, y, z) in mm of the centres of the corner voxels.
        """
        n = len(self.shape)
        direction = np.asarray(self.direction).reshape(n, n)
        extent = [(size - 1) * step for size, step in zip(self.shape[::-1], self.spacing[::-1], strict=True)]
        steps = np.array(list(itertools.product(*((0.0, length) for length in extent))))
        corners: NDArray[np.float64] = np.asarray(self.origin) + steps @ direction.T
        return corners

    def crop(self, box: Sequence[slice]) -> Grid:
        """Give the grid of a part of the array.

        Args:
            box: One slice for each array axis, with a step of one and at least one voxel.

        Returns:
            The grid of ``array[box]``.

        Raises:
            GeometryError: If the box has the wrong number of axes, a step, or no voxel.
        """
        if len(box) != len(self.shape) or any(part.step not in (None, 1) for part in box):
            raise GeometryError(f"a box on shape {self.shape} has one slice without step for each axis; got {box}")
        ranges = [range(size)[part] for size, part in zip(self.shape, box, strict=True)]
        if not all(ranges):
            raise GeometryError(f"the box {box} holds no voxel of shape {self.shape}")
        shift = [part.start * step for part, step in zip(ranges, self.spacing, strict=True)][::-1]
        direction = np.reshape(self.direction, (len(shift), len(shift)))
        return Grid(
            shape=tuple(len(part) for part in ranges),
            spacing=self.spacing,
            origin=tuple((np.asarray(self.origin) + direction @ np.array(shift)).tolist()),
            direction=self.direction,
            known=self.known,
        )

    def difference(self, other: Grid) -> str | None:
        """Say why another grid is not the same as this one.

        Args:
            other: The grid to compare.

        Returns:
            None where both are the same grid within `TOLERANCE`, else the reason in words.
        """
        if self.shape != other.shape:
            if sorted(self.shape) == sorted(other.shape):
                return "the axes are in another order; arrays must be (z, y, x)"
            return "the shapes differ"
        if not (self.known and other.known):
            return None
        step = np.abs(np.subtract(self.spacing, other.spacing)) * np.maximum(np.array(self.shape) - 1, 1)
        if (step > TOLERANCE * np.array(self.spacing)).any():
            return "the spacings differ"
        distance = float(np.linalg.norm(self.corners() - other.corners(), axis=1).max())
        if distance > TOLERANCE * min(self.spacing):
            same_direction = np.allclose(self.direction, other.direction, atol=1e-3)
            what = "the origins differ" if same_direction else "the directions differ"
            return f"{what}; corresponding corners lie up to {distance:.3g} mm apart"
        return None

    def require_same(self, other: Grid, *, name: str, other_name: str) -> None:
        """Raise unless another grid is the same as this one.

        Args:
            other: The grid to compare.
            name: What lies on this grid (a file name), for the message.
            other_name: What lies on the other grid.

        Raises:
            GeometryError: If the grids differ; the message names both files and both grids.
        """
        reason = self.difference(other)
        if reason is not None:
            raise GeometryError(
                f"{name} and {other_name} do not lie on the same grid: {reason}.\n"
                f"  {name}: {self.describe()}\n"
                f"  {other_name}: {other.describe()}"
            )
