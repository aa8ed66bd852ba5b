"""The mean of the members of a block, how sure they are and how far they agree, in plain loops over short rows.

The compiler turns such loops into vector instructions; every place of a row has sums of its own for the same reason.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from twintrack.compute import without_numba
from twintrack.compute.jit import njit

_ROW = 256  # elements: seven rows of float64 stay in the first-level cache


@njit(nogil=True, twin=without_numba.sum_members)
def sum_members(members: Any, inside: Any, edges: Any, sums: Any, mass: Any) -> None:
    """Sum over the elements of a block how sure the members are and how far they agree.

    Args:
        members: Tuple of M float32 blocks in [0, 1]; p is their mean.
        inside: uint8 block; elements with 0 are passed over. An empty array means all.
        edges: float64 array (B + 1,), increasing: bin b holds the p from edges[b] up to below edges[b + 1], the last
            also all above; what is below edges[0] is in none.
        sums: float64 array (4,): Σp, Σp(1 − p) and Σ of the members' standard deviation (of a sample; 0 for one member)
            are added into; the fourth is raised to the largest p.
        mass: float64 array (B,): Σp of each bin, added into.
    """
    freedom = np.float64(max(len(members) - 1, 1))
    p, squares = np.empty(_ROW), np.empty(_ROW)
    total, unsure, spread, peak = np.zeros(_ROW), np.zeros(_ROW), np.zeros(_ROW), np.zeros(_ROW)
    for start in range(0, members[0].size, _ROW):
        stop = min(start + _ROW, members[0].size)
        p[:] = 0.0
        squares[:] = 0.0
        _describe(members, start, stop, p, squares)
        if inside.size > 0:
            within = inside[start:stop]
            for i in range(within.size):
                p[i] = p[i] if within[i] else 0.0
                squares[i] = squares[i] if within[i] else 0.0
        for i in range(_ROW):
            total[i] += p[i]
            unsure[i] += p[i] * (1.0 - p[i])
            spread[i] += np.sqrt(squares[i] / freedom)
            peak[i] = max(peak[i], p[i])
        _add_mass(p, edges, mass)
    sums[0] += total.sum()
    sums[1] += unsure.sum()
    sums[2] += spread.sum()
    sums[3] = max(sums[3], peak.max())


@njit(nogil=True)
def _describe(members: Any, start: int, stop: int, p: Any, squares: Any) -> None:
    """Give the mean of some elements and the sum of the members' squared distances from it."""
    size = stop - start
    for m in range(len(members)):
        row = members[m][start:stop]
        for i in range(size):
            p[i] += row[i]
    for i in range(size):
        p[i] = min(p[i] / len(members), 1.0)
    for m in range(len(members)):
        row = members[m][start:stop]
        for i in range(size):
            apart = row[i] - p[i]
            squares[i] += apart * apart


@njit(nogil=True)
def _add_mass(p: Any, edges: Any, mass: Any) -> None:
    for value in p:
        if value >= edges[0]:
            b = 0
            while b < mass.size - 1 and value >= edges[b + 1]:
                b += 1
            mass[b] += value
