"""Where the voxels of a case come from: an array in memory, or a file, here or elsewhere, read when it is needed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from twintrack.errors import InputError
from twintrack.images import Volume, read_probability, read_volume
from twintrack.images.grid import Grid
from twintrack.images.nnunet import read_probability_in_parts
from twintrack.images.packing.unpack import scratch_folder
from twintrack.images.parts import VolumeParts
from twintrack.images.read import read_grid
from twintrack.images.remote import called, fetch, place_of


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


@dataclass(frozen=True)
class RemoteSource:
    """A file behind an address, copied to this machine when it is read and deleted afterwards.

    Attributes:
        address: Where it lies, as in ``s3://bucket/c1.nii.gz`` (`twintrack.images.remote`).
        open: Makes the source of a copy: `ImageSource`, or another with all but its path given.
    """

    address: str
    open: Callable[[Path], Source]
    files: tuple[Path, ...] = field(default=(), init=False)

    @property
    def name(self) -> str:
        """The address."""
        return self.address

    def fetched(self, folder: Path) -> Source:
        """Copy the file, with those beside it that it needs.

        Args:
            folder: An empty folder, which lives as long as the source is used.

        Returns:
            The copy's source, which calls itself by the address.

        Raises:
            InputError: If it cannot be fetched whole.
            MissingExtraError: If a package for this kind of address is not installed.
            OutputError: If there is no room for it.
        """
        with called(self.address, folder):
            return _FetchedSource(self.address, self.open(fetch(self.address, folder)))

    def read(self) -> Volume:
        """Fetch and read the file; raises as `fetched` and the copy's source do."""
        with scratch_folder() as folder:
            return self.fetched(folder).read()

    def read_grid(self) -> Grid:
        """Fetch the file and give its grid; raises as `fetched` and the copy's source do."""
        with scratch_folder() as folder:
            return self.fetched(folder).read_grid()


@dataclass(frozen=True)
class _FetchedSource:
    name: str
    copy: Source

    @property
    def files(self) -> tuple[Path, ...]:
        return self.copy.files

    def read(self) -> Volume:
        with called(self.name, self.files[0].parent):
            volume = self.copy.read()
        return Volume(volume.array, volume.grid, self.name)

    def read_grid(self) -> Grid:
        with called(self.name, self.files[0].parent):
            return self.copy.read_grid()


def source_at(place: Path | str, open_file: Callable[[Path], Source]) -> Source:
    """Make the source of a file that may lie elsewhere.

    Args:
        place: Its path or, as text, its address.
        open_file: Makes the source of a path.

    Returns:
        The source.
    """
    return RemoteSource(place, open_file) if isinstance(place, str) else open_file(place)


AnySource: TypeAlias = NDArray[Any] | Volume | Path | str | Source
"""What a `Case` accepts: an array, a volume, an image file (its path or its address), or a source."""


def as_source(given: AnySource, *, name: str, grid: Grid | None, spacing: Sequence[float] | None) -> Source:
    """Make a source of whatever a user handed to `Case`.

    Args:
        given: An array, a volume, the path or address of an image file, or a source (returned as it is).
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
        return source_at(place_of(given), ImageSource)
    if not isinstance(given, np.ndarray) and hasattr(given, "read"):
        return given
    array = np.asarray(given)
    volume = Volume(array, grid, name) if grid else Volume.from_array(array, spacing=spacing, name=name)
    return MemorySource(volume)
