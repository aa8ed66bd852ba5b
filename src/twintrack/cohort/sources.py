"""Where the voxels of a case come from: an array in memory, or a file that is read when it is needed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from twintrack.errors import InputError
from twintrack.images import Volume, read_probability, read_volume
from twintrack.images.grid import Grid
from twintrack.images.nnunet import read_probability_in_parts
from twintrack.images.parts import VolumeParts
from twintrack.images.read import read_grid


class Source(Protocol):
    """Something that gives a volume when asked."""

    @property
    def name(self) -> str:
        """What to call it in messages."""

    @property
    def files(self) -> tuple[Path, ...]:
        """The files its voxels come from; empty for arrays in memory."""

    def read(self) -> Volume:
        """Give the volume."""

    def read_grid(self) -> Grid:
        """Give the grid, without the voxels where the file allows it."""


@dataclass(frozen=True, eq=False)
class MemorySource:
    """A volume that is in memory already."""

    volume: Volume
    files: tuple[Path, ...] = field(default=(), init=False)

    @property
    def name(self) -> str:
        """The volume's name."""
        return self.volume.name

    def read(self) -> Volume:
        """Give the volume itself, not a copy."""
        return self.volume

    def read_grid(self) -> Grid:
        """Give the volume's grid."""
        return self.volume.grid


@dataclass(frozen=True)
class _FileSource:
    path: Path

    @property
    def name(self) -> str:
        """The file's path."""
        return str(self.path)

    @property
    def files(self) -> tuple[Path, ...]:
        """The file."""
        return (self.path,)

    def read_grid(self) -> Grid:
        """Give the grid from the file's header.

        Raises:
            InputError: If the file is missing, damaged or not an image.
        """
        return read_grid(self.path)


class ImageSource(_FileSource):
    """An image file, read as it is: a reference image, vessels, an ROI, a probability map.

    Attributes:
        path: The image file.
    """

    def read(self) -> Volume:
        """Read the file.

        Raises:
            InputError: If the file is missing, damaged or not an image.
        """
        return read_volume(self.path)


@dataclass(frozen=True)
class MaskSource(_FileSource):
    """A rater's mask in a file.

    Attributes:
        path: The image file.
        labels: Values that count as the structure, merged into one mask; None where the file must hold
            0 and 1 only.
    """

    labels: tuple[int, ...] | None = None

    def read(self) -> Volume:
        """Read the file and merge the chosen labels.

        Raises:
            InputError: If the file is missing, damaged or not an image, or labels are chosen where there are none.
        """
        volume = read_volume(self.path)
        if self.labels is None:
            return volume
        array = volume.array
        # Pitfall: in a probability map no value equals a label, and the mask would be empty without a word.
        if array.dtype.kind == "f" and (other := array[array != np.rint(array)]).size:
            raise InputError(
                f"{self.path}: labels ({', '.join(map(str, self.labels))}) are looked for, but this is no label map: "
                f"{other.size} of {array.size} values are not whole numbers, the first is {other[0]:g}"
            )
        mask = np.isin(array, self.labels).view(np.uint8)
        return Volume(mask, volume.grid, volume.name)


@dataclass(frozen=True)
class PredictionSource(_FileSource):
    """A member's prediction in an nnU-Net ``.npz``.

    Attributes:
        path: The ``.npz``.
        foreground: Labels (or channel numbers) that count as the structure, merged into one probability.
    """

    foreground: tuple[str | int, ...] | None = None

    def read(self) -> Volume:
        """Read the file and merge the chosen channels.

        Raises:
            InputError: If the file is missing, damaged, or lacks a chosen channel.
        """
        return read_probability(self.path, foreground=self.foreground)

    def read_in_parts(self) -> VolumeParts:
        """Read the file a part at a time; see `twintrack.images.nnunet.read_probability_in_parts`.

        Raises:
            InputError: If the file is missing, damaged, or lacks a chosen channel.
        """
        return read_probability_in_parts(self.path, foreground=self.foreground)

    def read_grid(self) -> Grid:
        """Give the grid; the array is read, since its file has no other header.

        Raises:
            InputError: If the file is missing, damaged, or lacks a chosen channel.
        """
        return self.read().grid


AnySource: TypeAlias = NDArray[Any] | Volume | Path | str | Source
"""What a `Case` accepts: an array, a volume, an image file, or a source."""


def as_source(given: AnySource, *, name: str, grid: Grid | None, spacing: Sequence[float] | None) -> Source:
    """Make a source of whatever a user handed to `Case`.

    Args:
        given: An array, a volume, the path of an image file, or a source (returned as it is).
        name: What to call an array in messages.
        grid: The grid of an array; None where only its spacing, or nothing, is known.
        spacing: Voxel size in mm in array order, for an array without a grid.

    Returns:
        The source.

    Raises:
        GeometryError: If an array does not fit the grid or spacing.
    """
    if isinstance(given, Volume):
        return MemorySource(given)
    if isinstance(given, (str, Path)):
        return ImageSource(Path(given))
    if not isinstance(given, np.ndarray) and hasattr(given, "read"):
        return given
    array = np.asarray(given)
    volume = Volume(array, grid, name) if grid else Volume.from_array(array, spacing=spacing, name=name)
    return MemorySource(volume)
