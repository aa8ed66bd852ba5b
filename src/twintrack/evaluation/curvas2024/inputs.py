"""What a case may be scored on: every array is checked here, before any number is made of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from twintrack.errors import GeometryError, InputError
from twintrack.evaluation.curvas.inputs import as_labels, as_numbers, as_stack
from twintrack.evaluation.curvas2024.protocol import SUM_TOLERANCE
from twintrack.evaluation.curvas2024.softmax import hard_labels, largest_deviation
from twintrack.evaluation.scores.arrays import unit_values


@dataclass(frozen=True, kw_only=True, eq=False)
class Inputs:
    """The arrays of one case with C - 1 structures, on one grid, ready for the kernels.

    Attributes:
        raters: uint8 (K, z, y, x), labels from 0 to C - 1.
        foreground: float32 (C - 1, z, y, x), the structures' probabilities.
        background: float32 (z, y, x), or None where it is what the structures leave.
        labels: uint8 (z, y, x), the hard prediction.
    """

    raters: NDArray[np.uint8]
    foreground: NDArray[np.float32]
    background: NDArray[np.float32] | None
    labels: NDArray[np.uint8]


def check_structures(structures: Mapping[int, str]) -> tuple[str, ...]:
    """Check the names of the labels.

    Args:
        structures: Name by label; the labels are 1, 2, 3, ... as the channels of the probabilities are.

    Returns:
        The names, ordered by label.

    Raises:
        InputError: If the labels have a gap or do not start at 1, or if names are missing or repeated.
    """
    labels = sorted(structures)
    names = tuple(str(structures[label]) for label in labels)
    if not 1 <= len(labels) <= 255 or labels != list(range(1, len(labels) + 1)) or len(set(names)) < len(names):
        raise InputError(
            "structures must give the labels 1, 2, 3, ... (0 is background, 255 the largest) names of their own, "
            f"such as {{1: 'pancreas', 2: 'kidney'}}; got {dict(structures)}"
        )
    return names


def check_inputs(
    raters: ArrayLike | Sequence[ArrayLike],
    probabilities: ArrayLike,
    *,
    labels: ArrayLike | None = None,
    names: Sequence[str],
) -> Inputs:
    """Bring the arrays of a case to one form, or refuse them.

    Args:
        raters: (K, z, y, x) label maps, or K of one shape.
        probabilities: (C, z, y, x) with the background first, or (C - 1, z, y, x) without it.
        labels: (z, y, x) hard prediction; None means the likeliest label, the smaller one of equals.
        names: The C - 1 structures.

    Returns:
        The arrays as the kernels read them; contiguous uint8 and float32 arrays are not copied.

    Raises:
        GeometryError: If the shapes differ.
        InputError: If a number of channels or axes is wrong, there are no voxels or raters, an array holds something
            other than its kind of number, or a voxel's probabilities do not sum to 1.
    """
    channels = _channels(probabilities, names)
    shape = channels.shape[1:]
    masks = _label_maps(as_stack(raters, shape), names, "rater {}'s map")
    background, foreground = (channels[0], channels[1:]) if len(channels) > len(names) else (None, channels)
    _check_sums(foreground, background)
    return Inputs(
        raters=np.ascontiguousarray(masks),
        foreground=foreground,
        background=background,
        labels=hard_labels(foreground, background) if labels is None else _prediction(labels, shape, names),
    )


def _channels(probabilities: ArrayLike, names: Sequence[str]) -> NDArray[np.float32]:
    array, n = as_numbers(probabilities, "probabilities"), len(names)
    if array.ndim != 4 or array.size == 0 or array.shape[0] not in (n, n + 1):
        raise InputError(
            f"probabilities must be (C, z, y, x) with C = {n + 1}, background and {', '.join(names)}, or C = {n} "
            f"without the background; the shape is {array.shape}"
        )
    return unit_values(array, name="probabilities")


def _check_sums(foreground: NDArray[np.float32], background: NDArray[np.float32] | None) -> None:
    deviation = largest_deviation(foreground, background)
    if deviation > SUM_TOLERANCE:
        what = "sum to at most 1" if background is None else "and the background's sum to 1"
        raise InputError(
            f"the structures' probabilities must {what} in every voxel (within {SUM_TOLERANCE:g}); the worst voxel is "
            f"off by {deviation:.4g}: give a softmax, not the outputs of independent sigmoids, in full precision"
        )


def _prediction(labels: ArrayLike, shape: tuple[int, ...], names: Sequence[str]) -> NDArray[np.uint8]:
    array = as_labels(as_numbers(labels, "labels"), "labels")
    if array.shape != shape:
        raise GeometryError(f"labels has shape {array.shape}, each channel of probabilities {shape}; both must agree")
    return np.ascontiguousarray(_label_maps(array[None], names, "labels")[0])


def _label_maps(maps: NDArray[Any], names: Sequence[str], title: str) -> NDArray[np.uint8]:
    for index, found in enumerate(maps.max(axis=(1, 2, 3)).tolist()):
        if found > len(names):
            raise InputError(
                f"{title.format(index)} holds label {found}, which has no name; known are 0, background, and "
                + ", ".join(f"{label}, {name}" for label, name in enumerate(names, start=1))
            )
    return maps
