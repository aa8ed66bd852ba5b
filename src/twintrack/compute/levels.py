"""The level scheme: which of 55,300 levels a float32 number in [0, 1] belongs to.

A level is a narrow interval of numbers that are counted together. The levels come straight from the bits of
the float: 1024 per octave of `p` below one half and 1024 per octave of `1 - p` above it, so that the relative
width is below 0.1 % near 0 and near 1 alike (networks say 0.9999 as readily as 0.0001). Exact 0 and
exact 1 have levels of their own. Numbers in (0, 2⁻³²) share one level. The scheme is symmetric where indexing by the
bits of `p` alone would be coarse near 1, and needs fewer than half as many levels.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from twintrack.compute.blocks import blocks, flat
from twintrack.compute.jit import njit

SCHEME = "symmetric-1024-per-octave"
"""Name of the scheme; tables of different schemes cannot be added."""

_MANTISSA_SHIFT = 13  # 23 mantissa bits - 10 kept = 13 dropped
_LOWEST = (127 - 32) << 10  # level code of 2^-32: biased exponent, then ten mantissa bits
_LOWEST_UPPER = (127 - 24) << 10  # level code of 2^-24, the smallest 1 - p of a float32 p in [1/2, 1)
_HALF = (127 - 1) << 10  # level code of 1/2

_ZERO = 0
_TINY = 1
_FIRST = 2
_FIRST_UPPER = _FIRST + _HALF - _LOWEST
_ONE = _FIRST_UPPER + _HALF - _LOWEST_UPPER + 1

N_LEVELS = _ONE + 1
"""Number of levels."""


def _levels_without_numba(p: NDArray[np.float32]) -> NDArray[np.int32]:
    half, one = np.float32(0.5), np.float32(1.0)
    lower = p < half
    nearest = np.where(lower, p, one - p)
    code = np.maximum(nearest.view(np.int32) >> _MANTISSA_SHIFT, _LOWEST - 1)
    found: NDArray[np.int32] = np.where(lower, code + (_FIRST - _LOWEST), _FIRST_UPPER + _HALF - code)
    found[~(p > 0)] = _ZERO
    found[p >= one] = _ONE
    return found


@njit(twin=_levels_without_numba)
def levels_of(p: Any) -> Any:
    """Give the level of every number of a block.

    Two plain loops without branches, which the compiler turns into vector instructions.

    Args:
        p: Flat float32 block in [0, 1]; what lies outside counts as 0 or 1, NaN as 0.

    Returns:
        int32 levels, 0 … `N_LEVELS` - 1, non-decreasing in p.
    """
    half, one = np.float32(0.5), np.float32(1.0)
    nearest = np.empty(p.size, np.float32)
    for i in range(p.size):
        # Exact for p >= 1/2 (Sterbenz's lemma).
        nearest[i] = p[i] if p[i] < half else one - p[i]
    found = nearest.view(np.int32)
    for i in range(p.size):
        code = max(found[i] >> np.int32(_MANTISSA_SHIFT), np.int32(_LOWEST - 1))
        lower = np.int32(code + np.int32(_FIRST - _LOWEST))
        level = lower if p[i] < half else np.int32(np.int32(_FIRST_UPPER + _HALF) - code)
        level = level if p[i] > np.float32(0.0) else np.int32(_ZERO)
        found[i] = np.int32(_ONE) if p[i] >= one else level
    return found


def levels(p: NDArray[np.float32]) -> NDArray[np.int32]:
    """Give the level of every number of an array.

    Args:
        p: float32 in [0, 1], any shape.

    Returns:
        int32 levels of the same shape.
    """
    found: NDArray[np.int32] = levels_of(np.ascontiguousarray(p, dtype=np.float32).reshape(-1))
    return found.reshape(np.shape(p))


def level_histogram(p: NDArray[np.float32]) -> NDArray[np.int64]:
    """Count the numbers of an array at each level.

    Args:
        p: float32 in [0, 1], any shape.

    Returns:
        `N_LEVELS` counts.
    """
    values = flat(p)
    counts = np.zeros(N_LEVELS, np.int64)
    for part in blocks(values.size):
        counts += np.bincount(levels(values[part]), minlength=N_LEVELS)
    return counts


def level_edges() -> NDArray[np.float64]:
    """Give the lowest number of every level, and 1 past the last.

    Returns:
        Array of `N_LEVELS` + 1 numbers, non-decreasing; level k holds numbers from `edges[k]` up to, for
        all but the first and last level, just below `edges[k + 1]`.
    """

    def number(code: NDArray[np.int64]) -> NDArray[np.float64]:
        bits = (code << _MANTISSA_SHIFT).astype(np.uint32)
        return bits.view(np.float32).astype(np.float64)

    lower = number(np.arange(_LOWEST, _HALF))
    # An upper level holds the 1 - p in [number(code), number(code + 1)); its lowest p is above 1 - number(code + 1).
    upper = 1.0 - number(np.arange(_HALF + 1, _LOWEST_UPPER, -1))
    upper[0] = 0.5
    return np.concatenate(([0.0, 0.0], lower, upper, [1.0, 1.0]))


def level_values() -> NDArray[np.float64]:
    """Give the number that stands for every level: its middle, or its only member.

    Returns:
        Array of `N_LEVELS` numbers, strictly increasing, 0 first and 1 last.
    """
    edges = level_edges()
    values = (edges[:-1] + edges[1:]) / 2
    values[_ZERO], values[_FIRST_UPPER], values[_ONE] = 0.0, 0.5, 1.0
    return values
