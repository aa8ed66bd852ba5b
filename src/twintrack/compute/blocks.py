"""Walking over large arrays in blocks that stay in the processor's cache.

Means and sums over several volumes are formed block by block and consumed at once, so no intermediate
volume is ever allocated.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

BLOCK = 1 << 16
"""Elements per block: 256 kB of float32, which fits the second-level cache of any current processor."""


def blocks(size: int) -> Iterator[slice]:
    """Cut a flat array of `size` elements into consecutive slices of at most `BLOCK` elements."""
    for start in range(0, size, BLOCK):
        yield slice(start, min(start + BLOCK, size))


def flat(array: NDArray[Any]) -> NDArray[Any]:
    """View an array as one row in C order (a copy only where the array is not contiguous)."""
    return np.ascontiguousarray(array).reshape(-1)


def read_only(row: NDArray[Any]) -> NDArray[Any]:
    """View an array so that it cannot be written to.

    Rows that go to a compiled function together must be of one type, and the compiler tells arrays that may be written
    to (made in memory) from others (mapped from a file).
    """
    view = row.view()
    view.flags.writeable = False
    return view


def mean_of(rows: Sequence[NDArray[np.float32]], part: slice) -> NDArray[np.float32]:
    """Average one block of several flat arrays.

    Args:
        rows: M flat float32 arrays of equal size.
        part: The block.

    Returns:
        Their mean over the block, summed in float64 and rounded once to float32; a view where M is 1.
    """
    if len(rows) == 1:
        return rows[0][part]
    from twintrack.compute.average import average  # noqa: PLC0415  (numba loads slowly; cases are found without it)

    mean = np.empty(rows[0][part].size, np.float32)
    average(tuple(read_only(row[part]) for row in rows), mean)
    return mean


def sum_of(rows: Sequence[NDArray[np.uint8]], part: slice) -> NDArray[np.uint8]:
    """Add one block of several flat 0/1 arrays.

    Args:
        rows: K flat uint8 arrays of equal size, K at most 255.
        part: The block.

    Returns:
        Their sum over the block, uint8; a view where K is 1.
    """
    if len(rows) == 1:
        return rows[0][part]
    total = rows[0][part] + rows[1][part]
    for row in rows[2:]:
        total += row[part]
    return total
