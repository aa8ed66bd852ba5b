"""The volumes a viewer shows: read, checked, cut to where they are not 0, and as files every viewer library reads."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from twintrack.cohort.checks import common_grid, probability_array
from twintrack.errors import InputError
from twintrack.images import Grid, Volume, read_volume, write_volume
from twintrack.images.read import read_grid
from twintrack.raters.response import response as response_of
from twintrack.report.viewer.cases import ViewedCase

NAMES = {
    "response": "predicted response (calibrated)",
    "lower": "lower response",
    "upper": "upper response",
    "probability": "probability of the ensemble (raw)",
    "raters": "response of the raters",
}
"""What each map is called; the order in which they are offered."""

CT = "ct"
"""The volume below the maps: the CT, or nothing but 0 where it is not known."""


def maps_of(case: ViewedCase) -> list[str]:
    """Say which maps a case has, in the order of `NAMES`."""
    there = {"response": True, "probability": case.predicted is not None, "raters": case.drawn is not None}
    return [name for name in NAMES if there.get(name) or name in case.band]


def grid_of(case: ViewedCase) -> Grid:
    """Give the grid of a case: that of its response, or of its CT where the response's file has none.

    Raises:
        InputError: If a file cannot be read, or lies outside the folders that were named.
    """
    case.require_inside([case.response])
    grid = read_grid(case.response)
    if grid.known or case.ct is None:
        return grid
    ct = read_ct(case).grid
    ct.require_same(grid, name=f"the CT of case {case.id}", other_name=str(case.response))
    return ct


def read_ct(case: ViewedCase) -> Volume:
    """Read the CT of a case that has one.

    Raises:
        InputError: If it cannot be read, or lies outside the folders that were named.
    """
    assert case.ct is not None
    case.require_inside(case.ct.files)
    return case.ct.read()


def read_shown(case: ViewedCase, name: str) -> Volume:
    """Read a volume as it is shown: 3-D, on a grid a file can hold, as int16 or float32.

    Args:
        case: The case.
        name: `CT` or one of `maps_of`.

    Returns:
        The CT whole, or 0 on its whole grid where it is not known; a map as float32, cut to the voxels that are not 0.

    Raises:
        InputError: If a file cannot be read, does not hold what it should, or lies outside the folders that were named.
        GeometryError: If the volume does not lie on the grid of the response.
    """
    grid = grid_of(case)
    if name == CT and case.ct is None:
        return _shown(Volume(np.zeros(grid.shape, np.uint8), grid, "no CT"))
    volume = read_ct(case) if name == CT else _READERS[name](case)
    place = Volume(np.broadcast_to(np.uint8(0), grid.shape), grid, f"the response of case {case.id}")
    common_grid([place, volume])
    volume = Volume(volume.array, grid, volume.name)
    return _shown(volume if name == CT else cut(volume))


def cut(volume: Volume) -> Volume:
    """Cut a map to the smallest box that holds what is not 0; to its first voxel where there is nothing."""
    box = [slice(0, 1)] * volume.array.ndim
    if volume.array.any():
        for axis in range(volume.array.ndim):
            others = tuple(k for k in range(volume.array.ndim) if k != axis)
            filled = np.flatnonzero(volume.array.any(axis=others))
            box[axis] = slice(int(filled[0]), int(filled[-1]) + 1)
    return Volume(volume.array[tuple(box)], volume.grid.crop(box), volume.name)


def write_shown(case: ViewedCase, name: str, folder: Path) -> Path:
    """Write what `read_shown` gives as uncompressed NIfTI.

    Args:
        case: The case.
        name: The volume.
        folder: Where to write it.

    Returns:
        The file.

    Raises:
        TwinTrackError: As `read_shown`, or if the file cannot be written.
    """
    path = folder / f"{name}.nii"
    write_volume(path, read_shown(case, name))
    return path


def _read_map(path: Path, case: ViewedCase) -> Volume:
    case.require_inside([path])
    volume = read_volume(path)
    return Volume(probability_array(volume), volume.grid, volume.name)


def _read_probability(case: ViewedCase) -> Volume:
    predicted = case.predicted
    assert predicted is not None
    case.require_inside(predicted.files)
    data = predicted.read(raters=False)
    return Volume(data.probability(), data.grid, f"the probability of case {case.id}")


def _read_raters(case: ViewedCase) -> Volume:
    drawn = case.drawn
    assert drawn is not None
    case.require_inside(drawn.files)
    data = drawn.read(members=False)
    return Volume(response_of(list(data.raters.values())), data.grid, f"the raters' masks of case {case.id}")


_READERS: dict[str, Callable[[ViewedCase], Volume]] = {
    "response": lambda case: _read_map(case.response, case),
    "lower": lambda case: _read_map(case.band["lower"], case),
    "upper": lambda case: _read_map(case.band["upper"], case),
    "probability": _read_probability,
    "raters": _read_raters,
}


def _shown(volume: Volume) -> Volume:
    solid = volume if volume.array.ndim == 3 else raised(volume)
    # Pitfall: the writer warns of a grid that is not known; the page is told so by `twintrack.report.viewer.describe`.
    return Volume(_as_shown(solid.array, solid.name), replace(solid.grid, known=True), solid.name)


def raised(volume: Volume) -> Volume:
    """Make a volume of one slice of a 2-D image, in the plane z = 0."""
    flat = volume.grid
    direction = np.eye(3)
    direction[:2, :2] = np.reshape(flat.direction, (2, 2))
    grid = Grid(
        shape=(1, *flat.shape),
        spacing=(min(flat.spacing), *flat.spacing),
        origin=(*flat.origin, 0.0),
        direction=tuple(direction.ravel().tolist()),
        known=flat.known,
    )
    return Volume(volume.array[np.newaxis], grid, volume.name)


def _as_shown(array: NDArray[Any], name: str) -> NDArray[Any]:
    """Give voxels as int16, or as float32 where they do not fit into it; what the page takes."""
    if array.dtype.kind not in "biuf":
        raise InputError(f"{name}: voxels of type {array.dtype} cannot be shown")
    small = array.dtype.kind != "f" and np.iinfo(np.int16).min <= array.min() and array.max() <= np.iinfo(np.int16).max
    return array.astype(np.int16 if small else np.float32, copy=False)
