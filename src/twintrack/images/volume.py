"""A `Volume`: an array together with the grid it lies on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from twintrack.errors import GeometryError
from twintrack.images.grid import Grid


@dataclass(frozen=True, eq=False)
class Volume:
    """An image, mask or probability map on its grid.

    Attributes:
        array: The voxels, (z, y, x) or (y, x).
        grid: Where they lie.
        name: What to call it in messages: the file it came from, or what it is.

    Raises:
        GeometryError: If the array's shape is not the grid's.
    """

    array: NDArray[Any]
    grid: Grid
    name: str = "array"

    def __post_init__(self) -> None:
        if self.array.shape != self.grid.shape:
            raise GeometryError(f"{self.name}: the array has shape {self.array.shape}, its grid {self.grid.shape}")

    @classmethod
    def from_array(cls, array: NDArray[Any], *, spacing: Sequence[float] | None = None, name: str = "array") -> Volume:
        """Wrap an array that has no file.

        Args:
            array: The voxels, (z, y, x) or (y, x).
            spacing: Voxel size in mm in array order; None where it is not known.
            name: What to call it in messages.

        Returns:
            The volume on a plain grid (`Grid.plain`).

        Raises:
            GeometryError: If the array is not 2-D or 3-D or the spacing does not fit it.
        """
        array = np.asarray(array)
        return cls(array, Grid.plain(array.shape, spacing=spacing), name)
