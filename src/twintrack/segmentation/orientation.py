"""Turning images to the axis order their networks were trained with, and results back: views, never copies."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from twintrack.errors import ModelError
from twintrack.images import Grid, Volume
from twintrack.segmentation.model import Box

_LETTERS = (("R", "L"), ("A", "P"), ("I", "S"))
"""The two ends of each physical axis (x, y, z), LPS: coordinates grow towards the second letter."""


@dataclass(frozen=True)
class Turn:
    """A permutation and flips of array axes.

    Called with an array in the turned orientation, it turns it back.

    Attributes:
        axes: For each axis of the turned array, the stored array's axis.
        flipped: For each axis of the turned array, whether it runs the other way.
        shape: The stored array's shape.
    """

    axes: tuple[int, ...]
    flipped: tuple[bool, ...]
    shape: tuple[int, ...]

    def __call__(self, array: NDArray[Any]) -> NDArray[Any]:
        """Turn an array back to the stored orientation; any shape along each axis.

        Args:
            array: In the turned orientation.

        Returns:
            A view in the stored orientation.
        """
        return np.transpose(array[self._flips], tuple(np.argsort(self.axes)))

    def forward(self, array: NDArray[Any]) -> NDArray[Any]:
        """Turn an array from the stored orientation.

        Args:
            array: In the stored orientation.

        Returns:
            A view in the turned orientation.
        """
        return np.transpose(array, self.axes)[self._flips]

    def box(self, box: Box) -> Box:
        """Say where a box of the stored array lies in the turned one.

        Args:
            box: One slice with start and stop for each axis of the stored array.

        Returns:
            The same voxels' box in the turned array.
        """
        turned = []
        for axis, flip in zip(self.axes, self.flipped, strict=True):
            start, stop, _ = box[axis].indices(self.shape[axis])
            size = self.shape[axis]
            turned.append(slice(size - stop, size - start) if flip else slice(start, stop))
        return tuple(turned)

    @property
    def _flips(self) -> tuple[slice, ...]:
        return tuple(slice(None, None, -1) if flip else slice(None) for flip in self.flipped)


def oriented(volume: Volume, code: str | None) -> tuple[Volume, Turn]:
    """Turn a volume to an orientation, by permuting and flipping its axes; nothing is resampled.

    Of an oblique grid each axis is taken for the physical axis it is nearest to, all three together (the permutation
    with the largest sum of squared cosines). The first letter is the axis x of SimpleITK, the last of the array's.

    Args:
        volume: The image.
        code: Where the axes x, y and z lead: "LPS" is SimpleITK's identity, "RAS" is nibabel's. None: as stored.

    Returns:
        The turned volume, whose array is a view, and the turn, which called with an array turns it back.

    Raises:
        ModelError: If the image is 3-D and carries no geometry, so that its orientation is not known.
    """
    n = len(volume.grid.shape)
    if code is None or n != 3:
        return volume, Turn(tuple(range(n)), (False,) * n, volume.grid.shape)
    if not volume.grid.known:
        raise ModelError(
            f"{volume.name}: the networks look at images turned to {code}, and this file does not say how it lies; "
            "give a format that does (NIfTI, MHA, NRRD, DICOM)"
        )
    turn = _turn(volume.grid, code)
    return Volume(turn.forward(volume.array), _turned_grid(volume.grid, turn), volume.name), turn


def axis_code(grid: Grid) -> str:
    """Say how a 3-D grid lies.

    Args:
        grid: The grid.

    Returns:
        The axis code, as for `oriented`.
    """
    cosines = np.reshape(grid.direction, (3, 3))
    order = _nearest(cosines)
    return "".join(_LETTERS[order[axis]][int(cosines[order[axis], axis] > 0)] for axis in range(3))


def _nearest(cosines: NDArray[np.float64]) -> tuple[int, ...]:
    """Give the physical axis of each image axis x, y, z; ties go to the first permutation."""

    def closeness(order: tuple[int, ...]) -> float:
        return sum(round(float(cosines[order[axis], axis]) ** 2, 9) for axis in range(3))

    return max(itertools.permutations(range(3)), key=closeness)


def _turn(grid: Grid, code: str) -> Turn:
    stored = axis_code(grid)
    # Axes of SimpleITK (x, y, z) are those of the array in reverse.
    axes, flipped = [], []
    for letter in reversed(code):
        place = next(k for k, own in enumerate(stored) if {letter, own} <= set(_pair(letter)))
        axes.append(2 - place)
        flipped.append(stored[place] != letter)
    return Turn(tuple(axes), tuple(flipped), grid.shape)


def _pair(letter: str) -> tuple[str, str]:
    return next(pair for pair in _LETTERS if letter in pair)


def _turned_grid(grid: Grid, turn: Turn) -> Grid:
    cosines = np.reshape(grid.direction, (3, 3))
    extent = np.array([(size - 1) * step for size, step in zip(grid.shape, grid.spacing, strict=True)])
    origin, columns = np.asarray(grid.origin), []
    for axis, flip in zip(turn.axes, turn.flipped, strict=True):
        column = cosines[:, 2 - axis]
        origin = origin + column * extent[axis] * flip
        columns.append(-column if flip else column)
    return Grid(
        shape=tuple(grid.shape[axis] for axis in turn.axes),
        spacing=tuple(grid.spacing[axis] for axis in turn.axes),
        origin=tuple(origin.tolist()),
        direction=tuple((np.stack(columns[::-1], axis=1) + 0.0).ravel().tolist()),
    )
