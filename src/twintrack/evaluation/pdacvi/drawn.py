"""What the raters of a case drew: read once, and shared by all predictions that are scored against it.

Each voxel becomes a code with one bit per rater, those of `tally` that are not the prediction's:

    bit 6 … 5 + K    rater `bit - 6` labels it
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from twintrack.compute.jit import njit
from twintrack.errors import InputError
from twintrack.evaluation.pdacvi import without_numba
from twintrack.evaluation.scores.overlap import THRESHOLDS
from twintrack.raters.staple import staple_patterns

FIRST_RATER = len(THRESHOLDS)
"""Bit of rater 0 in a voxel's code."""

MAX_ITERATIONS = 100
"""Most iterations of STAPLE in the protocol."""

Box = tuple[tuple[int, int], ...]
"""First and last index (inclusive) along each axis of a volume."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Drawn:
    """What one pass over the raters' masks found.

    Attributes:
        n_raters: K.
        codes: The voxels' codes, (z, y, x), uint16, uint32 or uint64; with room for the prediction's bits.
        rows: Which rows (z, y, :) hold a code, bool (z, y).
        box: Bounding box of the union of the raters; None where none drew anything.
    """

    n_raters: int
    codes: NDArray[np.unsignedinteger[Any]]
    rows: NDArray[np.bool_]
    box: Box | None

    @classmethod
    def of(cls, raters: NDArray[np.uint8]) -> Drawn:
        """Read the masks once.

        Args:
            raters: (K, z, y, x), 0 and 1.

        Returns:
            Codes and box.

        Raises:
            InputError: If a mask holds something other than 0 and 1.
        """
        n_raters = raters.shape[0]
        codes = np.zeros(raters.shape[1:], dtype=_code_type(FIRST_RATER + n_raters + 1))
        rows, box = np.zeros(codes.shape[:2], dtype=np.bool_), no_box()
        if _scan_raters(raters, codes, rows, box) > 1:
            largest = raters.max(axis=(1, 2, 3))
            rater = int(np.argmax(largest > 1))
            raise InputError(
                f"rater {rater}'s mask must hold 0 and 1; found {largest[rater]}: "
                "pass raters == label, with label the tumour's own"
            )
        return cls(n_raters=n_raters, codes=codes, rows=rows, box=as_box(box))

    @cached_property
    def staple(self) -> tuple[NDArray[np.uint64], NDArray[np.float32]]:
        """The distinct codes, and for each the probability by STAPLE that its voxels are tumour."""
        patterns, counts = self._histogram()
        bits = np.uint64(FIRST_RATER) + np.arange(self.n_raters, dtype=np.uint64)
        labels = (patterns[:, None] >> bits) & np.uint64(1) == 1
        return patterns, staple_patterns(labels, counts, max_iterations=MAX_ITERATIONS)

    def _histogram(self) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
        if self.codes.dtype != np.uint16:
            return histogram(self.codes)
        drawn = self.codes[self.rows].reshape(-1)
        counts = np.bincount(drawn, minlength=1)
        counts[0] += self.codes.size - drawn.size
        patterns = np.flatnonzero(counts)
        return patterns.astype(np.uint64), counts[patterns]

    def staple_of(self, codes: NDArray[np.uint64]) -> NDArray[np.float32]:
        """Give that probability for codes of this case that may also hold the prediction's bits."""
        patterns, probability = self.staple
        raters = np.uint64(((1 << self.n_raters) - 1) << FIRST_RATER)
        return probability[np.searchsorted(patterns, codes & raters)]


def histogram(codes: NDArray[np.unsignedinteger[Any]]) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
    """Give the distinct codes, ascending, and how often each occurs."""
    occupied = codes[codes != 0]  # sorting the background too would take most of the time
    patterns, counts = np.unique(occupied, return_counts=True)
    background = np.array([codes.size - occupied.size], dtype=np.int64)
    present = background > 0
    zero = np.zeros(1, dtype=np.uint64)
    return np.concatenate([zero[present], patterns.astype(np.uint64)]), np.concatenate([background[present], counts])


def no_box() -> NDArray[np.int64]:
    """Give the box of nothing, for `grow`: first and last index along three axes."""
    box = np.empty((3, 2), dtype=np.int64)
    box[:, 0], box[:, 1] = np.iinfo(np.int64).max, -1
    return box


def as_box(box: NDArray[np.int64]) -> Box | None:
    """Give a grown box in plain numbers; None where it holds nothing."""
    return None if box[0, 1] < 0 else tuple((int(low), int(high)) for low, high in box)


def _code_type(bits: int) -> type[np.unsignedinteger[Any]]:
    if bits <= 16:
        return np.uint16
    return np.uint32 if bits <= 32 else np.uint64


@njit(nogil=True, twin=without_numba.scan_raters)
def _scan_raters(raters: Any, codes: Any, rows: Any, box: Any) -> Any:
    """Encode every voxel and give the bitwise or of all values; rows that nobody enters cost only their reading."""
    every = np.uint8(0)
    for z in range(codes.shape[0]):
        for y in range(codes.shape[1]):
            seen = np.uint8(0)
            for rater in range(raters.shape[0]):
                seen |= or_row(raters[rater, z, y])
            every |= seen
            if seen:
                rows[z, y] = True
                _encode_row(raters, codes[z, y], z, y)
                _grow_by_row(codes[z, y], z, y, box)
    return every


@njit(nogil=True)
def _encode_row(raters: Any, line: Any, z: Any, y: Any) -> None:
    for rater in range(raters.shape[0]):
        row = raters[rater, z, y]
        bit = line.dtype.type(np.uint64(1) << np.uint64(FIRST_RATER + rater))
        for x in range(row.size):
            line[x] |= bit if row[x] else line.dtype.type(0)


@njit(nogil=True)
def _grow_by_row(line: Any, z: Any, y: Any, box: Any) -> None:
    for x in range(line.size):
        if line[x]:
            grow(box, z, y, x)


@njit(nogil=True)
def or_row(row: Any) -> Any:
    """Give the bitwise or of a row of uint8."""
    seen = np.uint8(0)
    for x in range(row.size):
        seen |= row[x]
    return seen


@njit(nogil=True)
def grow(box: Any, z: Any, y: Any, x: Any) -> None:
    """Make a box hold a voxel."""
    box[0, 0] = min(box[0, 0], z)
    box[0, 1] = max(box[0, 1], z)
    box[1, 0] = min(box[1, 0], y)
    box[1, 1] = max(box[1, 1], y)
    box[2, 0] = min(box[2, 0], x)
    box[2, 1] = max(box[2, 1], x)
