"""A volume that is given a part at a time, so that it never is in memory as a whole."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from twintrack.images.grid import Grid
from twintrack.images.volume import Volume


@dataclass(frozen=True, eq=False)
class VolumeParts:
    """A volume on its grid, in parts.

    Attributes:
        parts: The voxels in C order, flat, not necessarily writable; all parts but the last are of the size that was
            asked for. A damaged file is noticed at the latest after the last part, by an InputError: no part may be
            relied on before.
        grid: Where the voxels lie.
        name: What to call it in messages.
    """

    parts: Generator[NDArray[Any], None, None]
    grid: Grid
    name: str

    @classmethod
    def of(cls, volume: Volume, *, most: int) -> VolumeParts:
        """Cut a volume that is in memory.

        Args:
            volume: The volume.
            most: Voxels in a part.

        Returns:
            Its parts, which are views where the array is contiguous.
        """
        values = volume.array.reshape(-1)
        parts = (values[start : start + most] for start in range(0, values.size, most))
        return cls(parts, volume.grid, volume.name)
