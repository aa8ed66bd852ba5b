"""What a case may be scored on: every array is checked here, before any number is made of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from twintrack.errors import GeometryError, InputError
from twintrack.evaluation.curvas.inputs import as_labels, as_numbers, as_stack


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
    forecast = as_numbers(probability, "probability")
    _check_shape(forecast)
    masks = as_stack(raters, forecast.shape)
    others = [
        None if array is None else as_labels(as_numbers(array, name), name)
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
    hard, marked = (None if array is None else array.reshape(shape) for array in others)
    return Inputs(
        raters=masks.reshape(-1, *shape),
        probability=forecast.astype(np.float32, copy=False).reshape(shape),
        binary=hard,
        vessels=marked,
        dimensions=forecast.ndim,
    )


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


def _check_shape(probability: NDArray[Any]) -> None:
    if probability.ndim not in (2, 3) or probability.size == 0:
        raise InputError(
            f"probability must be a 2-D or 3-D array of at least one voxel; its shape is {probability.shape}"
        )
