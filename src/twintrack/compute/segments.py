"""Piecewise linear functions of float32 numbers in [0, 1], looked up by the bits of the number.

`numpy.interp` searches the knots anew for every number. Here a table says for each level (`twintrack.compute.levels`)
on which line its lowest number lies; a level without a knot needs no search, another one a step or two. The arithmetic
is that of `numpy.interp`, so the results are the same to the last bit.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from twintrack.compute.jit import njit
from twintrack.compute.levels import level_edges, levels_of
from twintrack.compute.threads import share_blocks

_X, _Y, _SLOPE, _END = range(4)


@dataclass(frozen=True, eq=False)
class Segments:
    """The lines of a function.

    Attributes:
        lines: float64 (n, 4), by increasing x: where the line starts, the function there, its slope, where it ends. The
            first starts below 0; the last ends at NaN, which no number reaches, not even infinity.
        first: uint32 (`N_LEVELS`,): the line on which the lowest number of each level lies.
    """

    lines: NDArray[np.float64]
    first: NDArray[np.uint32]

    @classmethod
    def between(cls, x: NDArray[np.float64], y: NDArray[np.float64]) -> Segments:
        """Join knots by lines; below the first and above the last the function is constant.

        Args:
            x: Positions of the knots in [0, 1], strictly increasing.
            y: Values there.

        Returns:
            The lines.
        """
        start = np.concatenate([[-1.0], x])
        value = np.concatenate([y[:1], y])
        slope = np.concatenate([[0.0], np.diff(y) / np.diff(x), [0.0]])
        lines = np.column_stack([start, value, slope, np.append(x, np.nan)])
        first = np.searchsorted(x, level_edges()[:-1], side="right").astype(np.uint32)
        first[0] = 0  # the level of 0 is also that of what rounding carried below it, where the function is constant
        return cls(lines, first)

    def replace(
        self, values: NDArray[np.float32], *, inside: NDArray[np.uint8] | None = None, keep_zero: bool = False
    ) -> None:
        """Replace numbers by the function of them, in place; no volume is allocated.

        Args:
            values: Flat, contiguous; what lies outside [0, 1] counts as 0 or 1, what is not finite becomes
                NaN.
            inside: Flat mask of that size; where it is 0 the result is 0. None: nowhere.
            keep_zero: Whether 0 stays 0.
        """
        everywhere = np.empty(0, np.uint8)

        def replace(parts: Iterable[slice]) -> None:
            for part in parts:
                within = everywhere if inside is None else inside[part]
                _replace(values[part], within, keep_zero, self.lines, self.first)

        share_blocks(replace, values.size)


def _replace_without_numba(
    values: NDArray[np.float32],
    inside: NDArray[np.uint8],
    keep_zero: bool,
    lines: NDArray[np.float64],
    first: NDArray[np.uint32],
) -> None:
    x, line = values.astype(np.float64), first[levels_of(values)].astype(np.intp)
    beyond = np.flatnonzero(x >= lines[line, _END])
    while beyond.size:
        line[beyond] += 1
        beyond = beyond[x[beyond] >= lines[line[beyond], _END]]
    found = lines[line]
    values[:] = found[:, _SLOPE] * (x - found[:, _X]) + found[:, _Y]
    if keep_zero:
        values[x <= 0.0] = 0.0
    if inside.size:
        values[inside == 0] = 0.0


@njit(nogil=True, twin=_replace_without_numba)
def _replace(values: Any, inside: Any, keep_zero: Any, lines: Any, first: Any) -> None:
    levels = levels_of(values)
    for i in range(values.size):
        x = np.float64(values[i])
        # Unsigned indices, and the four numbers of a line side by side: half the time of signed ones and four arrays.
        line = np.uint64(first[np.uint32(levels[i])])
        while x >= lines[line, _END]:
            line += np.uint64(1)
        values[i] = lines[line, _SLOPE] * (x - lines[line, _X]) + lines[line, _Y]
        if keep_zero and x <= 0.0:
            values[i] = 0.0
    for i in range(inside.size):
        if inside[i] == 0:
            values[i] = 0.0
