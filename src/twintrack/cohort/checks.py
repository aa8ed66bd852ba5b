"""Checks on what a case holds: probabilities lie in [0, 1], masks hold 0 and 1, everything on one grid."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from twintrack.errors import GeometryError, InputError
from twintrack.images import Volume
from twintrack.images.grid import Grid
from twintrack.images.parts import VolumeParts

ROUNDING = 1e-6
"""How far a probability may lie outside [0, 1]: a softmax in float32 can sum to 1.0000001."""


def probability_array(volume: Volume) -> NDArray[np.float32]:
    """Check a probability map.

    Args:
        volume: The map; any floating type.

    Returns:
        Its array as float32 (no copy where it is float32 already).

    Raises:
        InputError: If the type is not floating, or values are NaN or outside [0, 1] by more than
            `ROUNDING`; the message says how many and where the first one lies.
    """
    array = volume.array
    if not np.issubdtype(array.dtype, np.floating):
        raise InputError(
            f"{volume.name}: a probability map holds floating-point numbers; this one is {array.dtype}. "
            "A segmentation (labels) cannot be calibrated: give the softmax, with nnU-Net by --save_probabilities."
        )
    if not are_probabilities(array):
        raise InputError(_say_where(volume, ~((array >= -ROUNDING) & (array <= 1 + ROUNDING))))
    return array.astype(np.float32, copy=False)


def are_probabilities(array: NDArray[np.floating[Any]]) -> bool:
    """Say whether all numbers lie in [0, 1], but for `ROUNDING`; NaN does not."""
    return bool(array.min(initial=0.0) >= -ROUNDING and array.max(initial=0.0) <= 1 + ROUNDING)


def _say_where(volume: Volume, bad: NDArray[np.bool_]) -> str:
    first = tuple(int(i) for i in np.argwhere(bad)[0])
    n_nan = int(np.isnan(volume.array).sum())
    return (
        f"{volume.name}: {int(bad.sum())} of {bad.size} probabilities are not in [0, 1], {n_nan} of them NaN; "
        f"the first is {volume.array[first]} at array index {first}. Give probabilities, not logits or per cent."
    )


def mask_array(volume: Volume, *, hint: str) -> NDArray[np.uint8]:
    """Check a binary mask.

    Args:
        volume: The mask; any type.
        hint: What to do if it is not binary, for the message.

    Returns:
        Its array as uint8 (no copy where it is uint8 or bool already).

    Raises:
        InputError: If it holds anything but 0 and 1; the message says which values.
    """
    array = volume.array
    if array.dtype == np.bool_:
        return array.view(np.uint8)
    if not (array.max(initial=0) <= 1 if array.dtype == np.uint8 else ((array == 0) | (array == 1)).all()):
        values = np.unique(array)
        shown = ", ".join(f"{value:g}" for value in values[:8]) + (", …" if values.size > 8 else "")
        raise InputError(f"{volume.name}: a mask holds 0 and 1; this one holds {shown}. {hint}")
    return array.astype(np.uint8, copy=False)


def common_grid(volumes: Sequence[Volume | VolumeParts]) -> Grid:
    """Check that volumes lie on one grid.

    Args:
        volumes: At least one volume.

    Returns:
        The first known grid, or the first where none is known.

    Raises:
        GeometryError: If two grids differ; the message names both files and both grids.
    """
    reference = next((volume for volume in volumes if volume.grid.known), volumes[0])
    try:
        for volume in volumes:
            reference.grid.require_same(volume.grid, name=reference.name, other_name=volume.name)
    except GeometryError as error:
        raise GeometryError(
            f"{error}\nAre both of this case? If so, export both from the same image, or resample one to the other."
        ) from error
    return reference.grid
