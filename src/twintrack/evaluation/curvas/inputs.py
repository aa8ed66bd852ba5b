"""Input checks: arrays of numbers, stacks of raters, labels, voxel volume."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from twintrack.errors import GeometryError, InputError

MAX_RATERS = 57
"""More raters are refused: with six thresholds and the binary prediction they fill the 64 bits of a voxel's code."""


def check_voxel_volume(voxel_volume: float, *, spacing: Sequence[float] | None = None, dimensions: int = 3) -> float:
    """Settle the volume of a voxel.

    Args:
        voxel_volume: mm³ (mm² for a 2-D image); 1 counts voxels.
        spacing: Voxel size in mm along each array axis; where given, its product is the voxel's volume.
        dimensions: 2 or 3.

    Returns:
        The volume of one voxel.

    Raises:
        InputError: If a size is not positive and finite, the number of spacings is not that of the axes, or
            both are given and contradict each other.
    """
    volume = float(voxel_volume)
    if spacing is not None:
        steps = np.asarray(spacing, dtype=np.float64)
        if steps.shape != (dimensions,):
            raise InputError(f"spacing {tuple(spacing)} must name one size per axis of a {dimensions}-D image")
        product = float(np.prod(steps))
        if volume != 1.0 and not np.isclose(volume, product, rtol=1e-3):
            raise InputError(
                f"voxel_volume {volume:g} contradicts spacing {tuple(spacing)}, whose product is "
                f"{product:g}; give one of them"
            )
        if not (steps > 0).all():
            raise InputError(f"every spacing must be positive; got {tuple(spacing)}")
        volume = product
    if not (np.isfinite(volume) and volume > 0):
        raise InputError(f"voxel_volume must be positive and finite, in mm³; got {voxel_volume}")
    return volume


def as_numbers(array: ArrayLike, name: str) -> NDArray[Any]:
    """Make an array of what was given.

    Raises:
        InputError: If it does not hold numbers.
    """
    result = np.asarray(array)
    if result.dtype.kind not in "biuf":
        raise InputError(f"{name} must hold numbers; it holds {result.dtype}")
    return result


def as_stack(raters: ArrayLike | Sequence[ArrayLike], shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """Stack the raters' masks or label maps.

    Args:
        raters: (K, …) or K arrays of one shape.
        shape: The shape each must have.

    Returns:
        uint8 (K, …).

    Raises:
        GeometryError: If a shape differs.
        InputError: If there are no raters or too many, or they do not hold whole numbers from 0 to 255.
    """
    if isinstance(raters, (list, tuple)):
        shapes = [np.shape(mask) for mask in raters]
        if len(set(shapes)) > 1:
            raise GeometryError(f"the raters' masks have different shapes: {', '.join(map(str, shapes))}")
    masks = as_numbers(np.asarray(raters), "raters")
    if masks.shape == shape:
        raise InputError(
            f"raters has the shape of one image, {shape}; it must be (K, {', '.join(map(str, shape))}): "
            "for a single rater write raters[None]"
        )
    if masks.ndim == 0 or not 1 <= masks.shape[0] <= MAX_RATERS:
        raise InputError(f"raters must hold 1 to {MAX_RATERS} masks along its first axis; its shape is {masks.shape}")
    if masks.shape[1:] != shape:
        raise GeometryError(f"each rater's mask has shape {masks.shape[1:]}, probability {shape}; both must agree")
    return as_labels(masks, "raters")


def as_labels(array: NDArray[Any], name: str) -> NDArray[np.uint8]:
    """Give an array as uint8.

    Raises:
        InputError: If it holds anything but whole numbers from 0 to 255.
    """
    if array.dtype == np.bool_:
        return array.view(np.uint8)
    if array.dtype == np.uint8:
        return array
    with np.errstate(invalid="ignore"):  # casting NaN: the comparison below finds it
        whole = array.astype(np.uint8)
    if not np.array_equal(whole, array):
        wrong = array[whole != array].ravel()[0]
        raise InputError(f"{name} must hold whole numbers from 0 to 255; found {wrong}")
    return whole
