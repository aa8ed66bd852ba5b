"""The one pass over a prediction, beside what its raters drew, from which nearly every score follows.

Each voxel becomes a *code*, one bit per mask that holds it:

    bit 0 … 5        probability above `THRESHOLDS[bit]`
    bit 6 … 5 + K    rater `bit - 6` labels it
    bit 6 + K        binary prediction

The distinct codes and how often each occurs (the vote patterns × levels histogram) give every Dice, the
STAPLE consensus and the raters' volumes without the voxels being looked at again. The codes themselves, a
volume whose empty pages are never touched, let the vessel contact of all masks be found at once, by bitwise
operations.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from twintrack.compute.jit import njit
from twintrack.errors import InputError
from twintrack.evaluation.pdacvi import without_numba
from twintrack.evaluation.pdacvi.drawn import FIRST_RATER, Box, Drawn, as_box, grow, histogram, no_box, or_row
from twintrack.evaluation.pdacvi.inputs import Inputs
from twintrack.evaluation.pdacvi.protocol import HARD_THRESHOLD
from twintrack.evaluation.scores.overlap import THRESHOLDS

_LEVELS = np.array(THRESHOLDS, dtype=np.float32)
_DENSE_BITS = 20  # 2^20 counts are 8 MB; from 14 raters on the codes are sorted instead
_BAD_PROBABILITY, _BAD_BINARY = 1, 2
_ONE = np.uint32(np.float32(1.0).view(np.uint32))


@dataclass(frozen=True, kw_only=True, eq=False)
class Tally:
    """What one pass over a case found.

    Attributes:
        drawn: What the raters drew, shared by all predictions of the case.
        codes: The voxels' codes, (z, y, x), uint16, uint32 or uint64.
        patterns: The P distinct codes, uint64, ascending.
        counts: How many voxels have each of them, int64 (P,).
        probability_sum: Sum of the probability over all voxels, in float64.
        prediction_box: Bounding box of probability > `THRESHOLDS[0]`; None where there is none.
    """

    drawn: Drawn
    codes: NDArray[np.unsignedinteger[Any]]
    patterns: NDArray[np.uint64]
    counts: NDArray[np.int64]
    probability_sum: float
    prediction_box: Box | None

    @property
    def n_raters(self) -> int:
        """K."""
        return self.drawn.n_raters

    @property
    def rater_box(self) -> Box | None:
        """Bounding box of the union of the raters; None where none drew anything."""
        return self.drawn.box

    def holds(self, bit: int) -> NDArray[np.bool_]:
        """Say for each pattern whether it has one bit (see the head of this file)."""
        return np.asarray((self.patterns >> np.uint64(bit)) & np.uint64(1) == 1)

    @property
    def labels(self) -> NDArray[np.bool_]:
        """Which rater labels the voxels of which pattern, (P, K)."""
        return np.stack([self.holds(FIRST_RATER + rater) for rater in range(self.n_raters)], axis=1)

    @property
    def votes(self) -> NDArray[np.int64]:
        """Number of raters that label the voxels of each pattern, (P,)."""
        return np.asarray(self.labels.sum(axis=1), dtype=np.int64)

    @property
    def binary(self) -> NDArray[np.bool_]:
        """Whether the voxels of each pattern belong to the binary prediction, (P,)."""
        return self.holds(FIRST_RATER + self.n_raters)

    @property
    def rater_voxels(self) -> NDArray[np.int64]:
        """Number of voxels each rater labels, (K,)."""
        return np.asarray(self.counts @ self.labels, dtype=np.int64)


def tally(inputs: Inputs, drawn: Drawn | None = None) -> Tally:
    """Read a prediction once.

    A voxel lies above a threshold where its float32 probability is greater than the threshold rounded to
    float32: a stored 0.1 is not above 0.1.

    Args:
        inputs: The arrays of a case.
        drawn: What its raters drew, where that has been read already.

    Returns:
        Codes, histogram, sum and boxes.

    Raises:
        InputError: If a mask holds something other than 0 and 1, or the probability leaves [0, 1] or is not a
            number.
    """
    drawn = drawn or Drawn.of(inputs.raters)
    bits = FIRST_RATER + drawn.n_raters + 1
    codes = np.zeros(inputs.probability.shape, dtype=drawn.codes.dtype)
    dense = np.zeros(1 << bits if bits <= _DENSE_BITS else 0, dtype=np.int64)
    box = no_box()
    given = inputs.binary is not None
    binary = inputs.binary if inputs.binary is not None else np.zeros((1, 1, 1), dtype=np.uint8)
    total, faults = _scan(
        drawn.codes,
        drawn.rows,
        inputs.probability,
        binary,
        given,
        _LEVELS,
        np.float32(HARD_THRESHOLD),
        drawn.n_raters,
        codes,
        dense,
        box,
    )
    if faults:
        raise _fault(inputs, faults)
    patterns, counts = _dense_histogram(codes, dense) if dense.size else histogram(codes)
    return Tally(
        drawn=drawn,
        codes=codes,
        patterns=patterns,
        counts=counts,
        probability_sum=total,
        prediction_box=as_box(box),
    )


def union(*boxes: Box | None) -> Box | None:
    """Give the smallest box that holds all boxes; None where there are none."""
    present = [np.array(box) for box in boxes if box is not None]
    if not present:
        return None
    low = np.min([box[:, 0] for box in present], axis=0)
    high = np.max([box[:, 1] for box in present], axis=0)
    return tuple((int(a), int(b)) for a, b in zip(low, high, strict=True))


def _dense_histogram(
    codes: NDArray[np.unsignedinteger[Any]], dense: NDArray[np.int64]
) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
    dense[0] = codes.size - int(dense[1:].sum())
    patterns = np.flatnonzero(dense)
    return patterns.astype(np.uint64), dense[patterns]


def _fault(inputs: Inputs, faults: int) -> InputError:
    if faults & _BAD_PROBABILITY:
        p = inputs.probability
        missing = int(np.isnan(p).sum())
        if missing:
            return InputError(f"probability holds NaN in {missing} voxels; every voxel must lie in [0, 1]")
        return InputError(f"probability must lie in [0, 1]; found values from {p.min():g} to {p.max():g}")
    largest_binary = 0 if inputs.binary is None else inputs.binary.max()
    return InputError(f"binary must hold 0 and 1; found {largest_binary}: pass binary == label")


@njit(nogil=True, twin=without_numba.scan)
def _scan(
    drawn: Any,
    drawn_rows: Any,
    probability: Any,
    binary: Any,
    given: Any,
    levels: Any,
    hard: Any,
    n_raters: Any,
    codes: Any,
    dense: Any,
    box: Any,
) -> Any:
    """Encode every voxel; rows (z, y, :) that no mask enters cost only their reading."""
    line = np.zeros(codes.shape[2], codes.dtype)
    total = 0.0
    faults = 0
    for z in range(codes.shape[0]):
        for y in range(codes.shape[1]):
            p = probability[z, y]
            largest = _largest_bits(p.view(np.uint32))
            chosen = or_row(binary[z, y]) if given else np.uint8(0)
            if largest:
                total += _row_sum(p)
            faults |= _row_faults(chosen, largest, p)
            if drawn_rows[z, y] or chosen or largest > np.uint32(0x3D000000):  # 2**-5, below the lowest threshold
                if drawn_rows[z, y]:
                    line[:] = drawn[z, y]
                else:
                    line[:] = 0
                _encode(line, p, levels)
                _encode_binary(line, n_raters, binary, given, p, z, y, hard)
                _tally_row(line, codes, dense, box, z, y)
    return total, faults


@njit(nogil=True)
def _largest_bits(bits: Any) -> Any:
    """Largest bit pattern of a row: bits order floats from 0 on; minus and NaN come above 1."""
    largest = np.uint32(0)
    for x in range(bits.size):
        largest = max(largest, bits[x])
    return largest


@njit(nogil=True)
def _row_sum(p: Any) -> Any:
    """Sum a row in float64; four sums side by side, in an order that is the same on every machine."""
    a, b, c, d = 0.0, 0.0, 0.0, 0.0
    whole = p.size - p.size % 4
    for x in range(0, whole, 4):
        a += np.float64(p[x])
        b += np.float64(p[x + 1])
        c += np.float64(p[x + 2])
        d += np.float64(p[x + 3])
    for x in range(whole, p.size):
        a += np.float64(p[x])
    return (a + b) + (c + d)


@njit(nogil=True)
def _row_faults(chosen: Any, largest: Any, p: Any) -> Any:
    faults = 0
    if chosen > 1:
        faults |= _BAD_BINARY
    if largest > _ONE:
        for x in range(p.size):
            if not (0.0 <= p[x] <= 1.0):  # NaN fails too, while -0.0, whose bits are large, passes
                faults |= _BAD_PROBABILITY
    return faults


@njit(nogil=True)
def _encode(line: Any, p: Any, levels: Any) -> Any:
    for level in range(levels.size):
        threshold = levels[level]
        bit = line.dtype.type(1 << level)
        for x in range(p.size):
            line[x] |= bit if p[x] > threshold else line.dtype.type(0)


@njit(nogil=True)
def _encode_binary(line: Any, n_raters: Any, binary: Any, given: Any, p: Any, z: Any, y: Any, hard: Any) -> Any:
    bit = line.dtype.type(np.uint64(1) << np.uint64(FIRST_RATER + n_raters))
    for x in range(line.size):
        inside = binary[z, y, x] > 0 if given else p[x] > hard
        line[x] |= bit if inside else line.dtype.type(0)


@njit(nogil=True)
def _tally_row(line: Any, codes: Any, dense: Any, box: Any, z: Any, y: Any) -> Any:
    predicted = np.uint64((1 << FIRST_RATER) - 1)
    for x in range(line.size):
        code = np.uint64(line[x])
        if code:
            codes[z, y, x] = line[x]
            if dense.size:
                dense[code] += 1
            if code & predicted:
                grow(box, z, y, x)
