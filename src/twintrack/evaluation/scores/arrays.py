"""What scores ask of their arrays: one shape, numbers in [0, 1], spacings in mm; the box that holds what is drawn."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from twintrack.errors import InputError
from twintrack.raters.masks import as_votes


def unit_values(values: NDArray[Any], *, name: str) -> NDArray[np.float32]:
    """Check that an array holds numbers in [0, 1] and give it as contiguous float32.

    Args:
        values: The array, any shape.
        name: What it is, for the message.

    Returns:
        The values; a copy only where they were not contiguous float32.

    Raises:
        InputError: If there is no number, or one is NaN or outside [0, 1].
    """
    array = np.asarray(values)
    if array.size == 0 or array.dtype.kind not in "fiub":
        raise InputError(f"{name}: expected an array of numbers; got shape {array.shape} of {array.dtype}")
    low, high = float(array.min()), float(array.max())
    # Pitfall: NaN passes every test that asks for what is wrong; it fails this one, which asks for what is right.
    if not (low >= 0 and high <= 1):
        raise InputError(f"{name}: expected values in [0, 1] everywhere; found {low:.6g} to {high:.6g}")
    return np.ascontiguousarray(array, dtype=np.float32)


def unit_pair(probability: NDArray[Any], response: NDArray[Any]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Check a prediction and the response it is scored against.

    Args:
        probability: Predicted probability or response in [0, 1], any shape.
        response: Observed mean human response in [0, 1], same shape.

    Returns:
        Both as one row of float32.

    Raises:
        InputError: If the shapes differ, there is no voxel, or a value is NaN or outside [0, 1].
    """
    if np.shape(probability) != np.shape(response):
        raise InputError(f"probability has shape {np.shape(probability)}, response {np.shape(response)}")
    p, r = unit_values(probability, name="probability"), unit_values(response, name="response")
    return p.reshape(-1), r.reshape(-1)


def unit_case(
    probability: NDArray[Any], masks: Sequence[NDArray[Any]]
) -> tuple[NDArray[np.float32], list[NDArray[np.uint8]]]:
    """Check a prediction and the raters' masks it is scored against.

    Args:
        probability: Predicted probability or response in [0, 1], (z, y, x) or (y, x).
        masks: K raters' binary masks, same shape.

    Returns:
        The prediction as float32 and the masks as uint8 0 and 1.

    Raises:
        InputError: If the shapes differ, a value is NaN or outside [0, 1], or the masks are not binary.
    """
    votes = as_votes(masks)
    if np.shape(probability) != votes[0].shape:
        raise InputError(f"probability has shape {np.shape(probability)}, a mask {votes[0].shape}")
    return unit_values(probability, name="probability"), votes


def checked_spacing(spacing: Sequence[float], *, axes: int) -> tuple[float, ...]:
    """Check the voxel size.

    Args:
        spacing: Voxel size in mm along each array axis.
        axes: How many axes the array has.

    Returns:
        The spacing.

    Raises:
        InputError: If it is not one positive number per axis.
    """
    found = tuple(float(step) for step in spacing)
    if len(found) != axes or not all(np.isfinite(step) and step > 0 for step in found):
        raise InputError(f"expected {axes} spacings in mm, positive, in array order; got {found}")
    return found


def checked_length(value: float, *, name: str, zero: bool = False) -> float:
    """Check a length in mm.

    Args:
        value: The length.
        name: What it is, for the message.
        zero: Whether 0 is allowed.

    Returns:
        The length.

    Raises:
        InputError: If it is not a positive finite number.
    """
    if not (np.isfinite(value) and (value > 0 or (zero and value == 0))):
        raise InputError(f"{name}: expected a {'non-negative' if zero else 'positive'} number of mm; got {value}")
    return float(value)


def exceeds(probability: NDArray[np.float32], threshold: float) -> NDArray[np.bool_]:
    """Say where float32 numbers are greater than a threshold given in double precision.

    Pitfall: comparing a float32 array with 0.1 rounds the 0.1 to float32 first, and the float32 nearest to 0.1 no
    longer exceeds it. Comparing with the greatest float32 that is not above the threshold says the same as double
    precision does, without a copy.

    Args:
        probability: The numbers, float32.
        threshold: The threshold.

    Returns:
        Where probability > threshold.
    """
    nearest = np.float32(threshold)
    below = nearest if float(nearest) <= threshold else np.nextafter(nearest, np.float32(-np.inf))
    return np.asarray(probability > below)


def bounding_box(arrays: Sequence[NDArray[Any]], *, margin: Sequence[int] | None = None) -> tuple[slice, ...] | None:
    """Give the smallest box that holds every voxel where any of several arrays is not 0.

    Args:
        arrays: Arrays of one shape.
        margin: Voxels by which to grow the box along each axis, clamped to the array. None: do not.

    Returns:
        One slice per axis; None where all arrays are 0 everywhere.
    """
    extents = [extent for extent in map(_extent, arrays) if extent is not None]
    if not extents:
        return None
    grow = margin or [0] * arrays[0].ndim
    return tuple(
        slice(max(min(low for low, _ in axis) - more, 0), min(max(high for _, high in axis) + more, size))
        for axis, more, size in zip(zip(*extents, strict=True), grow, arrays[0].shape, strict=True)
    )


def _extent(array: NDArray[Any]) -> list[tuple[int, int]] | None:
    found: list[tuple[int, int]] = []
    for axis in range(array.ndim):
        others = tuple(other for other in range(array.ndim) if other != axis)
        where = np.flatnonzero(array.any(axis=others))
        if not where.size:
            return None
        low, high = int(where[0]), int(where[-1]) + 1
        # The next axes are searched within what this one leaves: a small part of a CT.
        array = array[(slice(None),) * axis + (slice(low, high),)]
        found.append((low, high))
    return found
