"""What is made of a voxel's class probabilities: their sum, the likeliest label and its probability."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from twintrack.compute.jit import njit
from twintrack.evaluation.curvas2024 import without_numba


def largest_deviation(foreground: NDArray[np.float32], background: NDArray[np.float32] | None) -> float:
    """Say how far the probabilities of the worst voxel are from being a distribution.

    Args:
        foreground: (C - 1, z, y, x) in [0, 1].
        background: (z, y, x) in [0, 1], or None.

    Returns:
        The largest |sum - 1|; without a background, which takes what is missing, the largest sum - 1 above 0.
    """
    return float(_largest_deviation(foreground, or_empty(background)))


def has_negative_background(foreground: NDArray[np.float32]) -> bool:
    """Say whether 1 - the sum of the structures is below 0 in float32 in any voxel.

    Args:
        foreground: (C - 1, z, y, x) in [0, 1].

    Returns:
        Whether it is, if only by rounding.
    """
    return bool(_has_negative_background(foreground))


def hard_labels(foreground: NDArray[np.float32], background: NDArray[np.float32] | None) -> NDArray[np.uint8]:
    """Give each voxel its likeliest label, the smaller one of equals.

    Args:
        foreground: (C - 1, z, y, x) in [0, 1].
        background: (z, y, x) in [0, 1]; None means 1 - the sum of the structures.

    Returns:
        (z, y, x), 0 to C - 1.
    """
    labels = np.empty(foreground.shape[1:], dtype=np.uint8)
    _hard_labels(foreground, or_empty(background), labels)
    return labels


def or_empty(background: NDArray[np.float32] | None) -> NDArray[np.float32]:
    """Give the kernels an array without voxels for a background of None: one type of argument is compiled once.

    Args:
        background: (z, y, x), or None.

    Returns:
        The background, or an array of no voxels.
    """
    return np.empty((0, 0, 0), dtype=np.float32) if background is None else background


@njit(nogil=True)
def structure_sum(foreground: Any, z: Any, y: Any, x: Any, one: Any) -> Any:
    """Add the structures' probabilities of a voxel up, in order, in the precision of `one`."""
    total = foreground[0, z, y, x] * one
    for s in range(1, foreground.shape[0]):
        total += foreground[s, z, y, x] * one
    return total


@njit(nogil=True)
def top_label(foreground: Any, background: Any, z: Any, y: Any, x: Any, one: Any) -> Any:
    """Give the likeliest label of a voxel, the smaller of equals, and its probability, in the precision of `one`."""
    best = background[z, y, x] * one if background.size else one - structure_sum(foreground, z, y, x, one)
    label = 0
    for s in range(foreground.shape[0]):
        p = foreground[s, z, y, x] * one
        if p > best:
            best, label = p, s + 1
    return label, best


@njit(nogil=True, twin=without_numba.hard_labels)
def _hard_labels(foreground: Any, background: Any, labels: Any) -> None:
    for z in range(labels.shape[0]):
        for y in range(labels.shape[1]):
            for x in range(labels.shape[2]):
                labels[z, y, x] = top_label(foreground, background, z, y, x, 1.0)[0]


@njit(nogil=True, twin=without_numba.largest_deviation)
def _largest_deviation(foreground: Any, background: Any) -> Any:
    worst = 0.0
    for z in range(foreground.shape[1]):
        for y in range(foreground.shape[2]):
            for x in range(foreground.shape[3]):
                excess = structure_sum(foreground, z, y, x, 1.0) - 1.0
                if background.size:
                    excess = abs(excess + background[z, y, x])
                worst = max(worst, excess)
    return worst


@njit(nogil=True, twin=without_numba.has_negative_background)
def _has_negative_background(foreground: Any) -> Any:
    one = np.float32(1.0)
    for z in range(foreground.shape[1]):
        for y in range(foreground.shape[2]):
            for x in range(foreground.shape[3]):
                if structure_sum(foreground, z, y, x, one) > one:
                    return True
    return False
