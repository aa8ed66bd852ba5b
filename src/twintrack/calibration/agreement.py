"""Agreement levels: how many of K experts the response speaks of, as whole numbers that any viewer shows."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from twintrack.compute.blocks import blocks, flat
from twintrack.errors import InputError

MOST_RATERS = 255
"""Levels are stored in one byte per voxel."""


def agreement_levels(response: NDArray[np.float32], *, n_raters: int) -> NDArray[np.uint8]:
    """Round a response to the nearest number of experts.

    Level k of K is given where (k − ½)/K ≤ response < (k + ½)/K, so "at least k of K experts" is level ≥ k.

    Args:
        response: Responses in [0, 1], float32, any shape.
        n_raters: K, the number of experts, 1 … 255.

    Returns:
        uint8 levels 0 … K, of the same shape.

    Raises:
        InputError: If the number of experts is not in 1 … 255.
    """
    thresholds = level_thresholds(n_raters)
    values = flat(response)
    levels = np.empty(values.size, np.uint8)
    for part in blocks(values.size):
        levels[part] = np.searchsorted(thresholds, values[part], side="right")
    return levels.reshape(response.shape)


def level_thresholds(n_raters: int) -> NDArray[np.float32]:
    """Give the responses from which on a voxel is of a level.

    Args:
        n_raters: K, the number of experts, 1 … 255.

    Returns:
        (k − ½)/K for k = 1 … K.

    Raises:
        InputError: If the number of experts is not in 1 … 255.
    """
    require_countable(n_raters)
    # Pitfall: float32 0.7 lies below the float64 number 0.7; compared in float32, 3.5 of 5 is 3.5 of 5.
    return ((np.arange(1, n_raters + 1) - 0.5) / n_raters).astype(np.float32)


def require_countable(n_raters: int) -> int:
    """Give a number of experts that levels can be of.

    Raises:
        InputError: If it is not in 1 … 255.
    """
    if not 1 <= n_raters <= MOST_RATERS:
        raise InputError(f"the number of raters is {n_raters}; agreement levels need 1 to {MOST_RATERS}")
    return n_raters


def volumes_at_least(levels: NDArray[Any], *, n_raters: int, voxel_volume: float) -> dict[int, float]:
    """Give the volume in which at least k experts are to be expected.

    Args:
        levels: Agreement levels 0 … K.
        n_raters: K.
        voxel_volume: Volume of one voxel in mm³.

    Returns:
        For k = 1 … K the volume of the voxels with level ≥ k, in mm³.
    """
    counts = np.bincount(flat(levels), minlength=n_raters + 1)
    at_least = np.cumsum(counts[::-1])[::-1]
    return {k: float(at_least[k]) * voxel_volume for k in range(1, n_raters + 1)}
