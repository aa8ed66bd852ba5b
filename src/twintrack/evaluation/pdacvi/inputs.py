"""What a case may be scored on: every array is checked here, before any number is made of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from twintrack.errors import GeometryError, InputError

MAX_RATERS = 57
"""A voxel's code holds six thresholds, K raters and the binary prediction in at most 64 bits."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Inputs:
    """The arrays of one case, of one shape, ready for the kernels.

    A 2-D image (y, x) is held as a volume of one slice, (1, y, x).

    Attributes:
        raters: uint8 (K, z, y, x).
        probability: float32 (z, y, x).
        binary: uint8 (z, y, x), or None.
        vessels: uint8 (z, y, x), or None.
        dimensions: 2 or 3, as given.
    """

    raters: NDArray[np.uint8]
    probability: NDArray[np.float32]
    binary: NDArray[np.uint8] | None
    vessels: NDArray[np.uint8] | None
    dimensions: int


def check_inputs(
    raters: ArrayLike | Sequence[ArrayLike],
    probability: ArrayLike,
    *,
    binary: ArrayLike | None = None,
    vessels: ArrayLike | None = None,
) -> Inputs:
    """Bring the arrays of a case to one form, or refuse them.

    Only what can be told without reading every voxel is checked here, besides changes of type; values are
    checked in the pass that reads them (`tally`). Arrays that are already uint8 and float32 are not copied.

    Args:
        raters: (K, z, y, x) or (K, y, x), or K masks of one shape; 0 and 1 (bool is fine).
        probability: (z, y, x) or (y, x), in [0, 1].
        binary: Same shape as probability, 0 and 1.
        vessels: Same shape as probability, whole numbers from 0 to 255.

    Returns:
        The arrays as the kernels read them.

    Raises:
        GeometryError: If the shapes differ.
        InputError: If an array is empty, is neither 2-D nor 3-D, has no raters or too many, does not hold
            numbers, or holds something a mask or label cannot; or if vessels come with a 2-D image.
    """
    forecast = _numbers(probability, "probability")
    _check_shape(forecast)
    masks = _stack(raters, forecast.shape)
    others = [
        None if array is None else _labels(_numbers(array, name), name)
        for array, name in ((binary, "binary"), (vessels, "vessels"))
    ]
    for array, name in zip(others, ("binary", "vessels"), strict=True):
        if array is not None and array.shape != forecast.shape:
            raise GeometryError(f"{name} has shape {array.shape}, probability {forecast.shape}; both must agree")
    if forecast.ndim == 2 and vessels is not None:
        raise InputError(
            "vascular involvement slices a volume along three axes; this image is 2-D "
            f"(shape {forecast.shape}): leave vessels out to have the other scores"
        )
    shape = (1, *forecast.shape)[-3:]
    hard, labels = (None if array is None else array.reshape(shape) for array in others)
    return Inputs(
        raters=masks.reshape(-1, *shape),
        probability=forecast.astype(np.float32, copy=False).reshape(shape),
        binary=hard,
        vessels=labels,
        dimensions=forecast.ndim,
    )


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


def check_vessel_names(names: Mapping[int, str]) -> dict[int, str]:
    """Check the names of the vessel labels.

    Args:
        names: Name by label, labels from 1 to 255.

    Returns:
        The names, ordered by label.

    Raises:
        InputError: If there are none, a label is out of range, or two labels share a name.
    """
    wrong = [label for label in names if not 1 <= label <= 255]
    if wrong or not names or len(set(names.values())) < len(names):
        raise InputError(
            "vessel_names must give labels from 1 to 255 names of their own, "
            f"such as {{1: 'PORTA', 2: 'SMV'}}; got {dict(names)}"
        )
    return {int(label): str(names[label]) for label in sorted(names)}


def _numbers(array: ArrayLike, name: str) -> NDArray[Any]:
    result = np.asarray(array)
    if result.dtype.kind not in "biuf":
        raise InputError(f"{name} must hold numbers; it holds {result.dtype}")
    return result


def _check_shape(probability: NDArray[Any]) -> None:
    if probability.ndim not in (2, 3) or probability.size == 0:
        raise InputError(
            f"probability must be a 2-D or 3-D array of at least one voxel; its shape is {probability.shape}"
        )


def _stack(raters: ArrayLike | Sequence[ArrayLike], shape: tuple[int, ...]) -> NDArray[np.uint8]:
    if isinstance(raters, (list, tuple)):
        shapes = [np.shape(mask) for mask in raters]
        if len(set(shapes)) > 1:
            raise GeometryError(f"the raters' masks have different shapes: {', '.join(map(str, shapes))}")
    masks = _numbers(np.asarray(raters), "raters")
    if masks.shape == shape:
        raise InputError(
            f"raters has the shape of one image, {shape}; it must be (K, {', '.join(map(str, shape))}): "
            "for a single rater write raters[None]"
        )
    if masks.ndim == 0 or not 1 <= masks.shape[0] <= MAX_RATERS:
        raise InputError(f"raters must hold 1 to {MAX_RATERS} masks along its first axis; its shape is {masks.shape}")
    if masks.shape[1:] != shape:
        raise GeometryError(f"each rater's mask has shape {masks.shape[1:]}, probability {shape}; both must agree")
    return _labels(masks, "raters")


def _labels(array: NDArray[Any], name: str) -> NDArray[np.uint8]:
    if array.dtype == np.bool_:
        return array.view(np.uint8)
    if array.dtype == np.uint8:
        return array
    with np.errstate(invalid="ignore"):  # casting NaN: the comparison below finds it
        labels = array.astype(np.uint8)
    if not np.array_equal(labels, array):
        wrong = array[labels != array].ravel()[0]
        raise InputError(f"{name} must hold whole numbers from 0 to 255; found {wrong}")
    return labels
