"""A volume that is given a part at a time, so that it never is in memory as a whole."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from twintrack.images.grid import Grid
from twintrack.images.volume import Volume

PART = 1 << 18
"""Voxels of a part: whole blocks (`twintrack.compute.blocks.BLOCK`), large against the cost of handing it on, small
against the caches."""


@dataclass(frozen=True, eq=False)
class VolumeParts:
    """A volume on its grid, in parts.

    Attributes:
        parts: The voxels in C order, flat, not necessarily writable; all parts but the last hold `PART`. A damaged
            file is noticed at the latest after the last part, by an InputError: no part may be relied on before.
        grid: Where the voxels lie.
        name: What to call it in messages.
    """

    parts: Generator[NDArray[Any], None, None]
    grid: Grid
    name: str

    @classmethod
    def of(cls, volume: Volume) -> VolumeParts:
        """Cut a volume that is in memory.

        Args:
            volume: The volume.

        Returns:
            Its parts, which are views where the array is contiguous.
        """
        values = volume.array.reshape(-1)
        parts = (values[start : start + PART] for start in range(0, values.size, PART))
        return cls(parts, volume.grid, volume.name)

    def whole(self, dtype: DTypeLike) -> Volume:
        """Put the parts together.

        Args:
            dtype: The type of the voxels.

        Returns:
            The volume.
        """
        array = np.empty(self.grid.shape, dtype)
        values, place = array.reshape(-1), 0
        for part in self.parts:
            values[place : place + part.size] = part
            place += part.size
        if place != values.size:
            raise ValueError(f"{self.name}: {place} voxels were given for a grid of {values.size}")
        return Volume(array, self.grid, self.name)
