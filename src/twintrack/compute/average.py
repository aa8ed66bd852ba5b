"""Averaging one block of several arrays, in chunks that stay in the first-level cache."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from twintrack.compute.jit import njit

_CHUNK = 2048  # numbers in float64 that stay in the first-level cache


def average_without_numba(rows: Sequence[NDArray[np.float32]], mean: NDArray[np.float32]) -> None:
    """Do what `average` does."""
    total = rows[0].astype(np.float64)
    for row in rows[1:]:
        total += row
    mean[:] = total / len(rows)


@njit(nogil=True, twin=average_without_numba)
def average(rows: Any, mean: Any) -> None:
    """Average blocks, summed in float64 and rounded once to float32.

    Args:
        rows: Tuple of M float32 blocks of equal size.
        mean: float32 block of that size, overwritten.
    """
    total = np.empty(min(_CHUNK, mean.size), np.float64)
    for start in range(0, mean.size, _CHUNK):
        stop = min(start + _CHUNK, mean.size)
        row = rows[0][start:stop]
        for i in range(row.size):
            total[i] = row[i]
        for m in range(1, len(rows)):
            row = rows[m][start:stop]
            for i in range(row.size):
                total[i] += row[i]
        out = mean[start:stop]
        for i in range(out.size):
            out[i] = np.float32(total[i] / len(rows))
