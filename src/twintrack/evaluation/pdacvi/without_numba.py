"""What NumPy does in place of this protocol's kernels where numba cannot run: the same figures, to the last bit.

Volumes are worked on slice by slice, so that no intermediate is of a volume's size.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from twintrack.compute.without_numba import sum_in_order
from twintrack.evaluation.curvas.bins import bins_of
from twintrack.evaluation.scores.overlap import THRESHOLDS

Codes = NDArray[np.unsignedinteger[Any]]
_FIRST_RATER = len(THRESHOLDS)


def scan_raters(raters: NDArray[np.uint8], codes: Codes, rows: NDArray[np.bool_], box: NDArray[np.int64]) -> int:
    """Encode what the raters drew; see `drawn`."""
    every = 0
    for z in range(codes.shape[0]):
        for rater, mask in enumerate(raters[:, z]):
            every |= int(np.bitwise_or.reduce(mask, axis=None))
            codes[z] |= np.where(mask, codes.dtype.type(1 << (_FIRST_RATER + rater)), codes.dtype.type(0))
        rows[z] = codes[z].any(axis=1)
        _grow(box, z, codes[z] != 0)
    return every


def scan(
    drawn: Codes,
    drawn_rows: NDArray[np.bool_],  # noqa: ARG001  (tells the kernel what it may pass over)
    probability: NDArray[np.float32],
    binary: NDArray[np.uint8],
    given: bool,
    levels: NDArray[np.float32],
    hard: np.float32,
    n_raters: int,
    codes: Codes,
    dense: NDArray[np.int64],
    box: NDArray[np.int64],
) -> tuple[float, int]:
    """Encode a prediction; see `tally`."""
    total, faults, bit = 0.0, 0, codes.dtype.type
    predicted = bit((1 << _FIRST_RATER) - 1)
    for z, p in enumerate(probability):
        faults |= 0 if ((p >= 0) & (p <= 1)).all() else 1
        faults |= 2 if given and binary[z].max() > 1 else 0
        total = sum_in_order(_row_sums(p), start=total)
        code = drawn[z].copy()
        for level, threshold in enumerate(levels):
            code |= np.where(p > threshold, bit(1 << level), bit(0))
        chosen = binary[z] > 0 if given else p > hard
        code |= np.where(chosen, bit(1 << (_FIRST_RATER + n_raters)), bit(0))
        codes[z] = code
        if dense.size:
            dense += np.bincount(code.reshape(-1), minlength=dense.size)
        _grow(box, z, code & predicted != 0)
    return total, faults


def count_edges(
    vessels: NDArray[np.uint8],
    table: NDArray[np.int16],
    nothing: NDArray[np.uint8],  # noqa: ARG001  (a row of zeros for the kernel)
    counts: NDArray[np.int64],
) -> int:
    """Add up edge pixels; give the first label without a name, else 0; see `contact`."""
    place = np.argwhere(vessels)
    label = vessels[tuple(place.T)]
    strangers = label[table[label] < 0]
    if strangers.size:
        return int(strangers[0])
    padded = np.pad(vessels, 1)
    inside = []
    for axis in range(3):
        step = np.eye(3, dtype=np.intp)[axis]
        before, behind = (padded[tuple((place + 1 + side * step).T)] for side in (-1, 1))
        inside.append((before == label) & (behind == label))
    for plane, (one, other) in enumerate(((1, 2), (0, 2), (0, 1))):
        edge = ~(inside[one] & inside[other])
        np.add.at(counts, (plane, place[edge, plane], table[label[edge]]), 1)
    return 0


def count_contact(
    vessels: NDArray[np.uint8],
    codes: Codes,
    table: NDArray[np.uint8],
    start: NDArray[np.int64],
    masks: Any,
    symmetric: bool,
    counts: NDArray[np.int64],
) -> None:
    """Add up contact pixels of a crop; see `contact`."""
    place = np.argwhere(vessels[2:-2, 2:-2, 2:-2]) + 2
    here: NDArray[np.intp] = np.asarray(np.ravel_multi_index(tuple(place.T), vessels.shape))
    steps = (vessels.shape[1] * vessels.shape[2], vessels.shape[2], 1)
    add = _symmetric if symmetric else _one_sided
    for plane, row, column in ((0, 1, 2), (1, 0, 2), (2, 0, 1)):
        near = _Near(vessels.reshape(-1), codes.reshape(-1), steps[row], steps[column])
        edge = near.is_edge(here, near.vessels[here])
        at = place[edge, plane] + start[plane]
        vessel = table[near.vessels[here[edge]]]
        for bits in add(near, here[edge], masks):
            for mask in range(counts.shape[-1]):
                touched = (bits >> codes.dtype.type(mask)) & codes.dtype.type(1) != 0
                np.add.at(counts, (plane, at[touched], vessel[touched], mask), 1)


class _Near:
    """Looks at pixels and their neighbours in one plane, at many places at once."""

    def __init__(self, vessels: NDArray[np.uint8], codes: Codes, down: int, right: int) -> None:
        self.vessels, self.codes, self.down, self.right = vessels, codes, down, right

    def is_edge(self, at: NDArray[np.intp], label: NDArray[np.uint8]) -> NDArray[np.bool_]:
        inside = np.ones(at.shape, np.bool_)
        for step in (-self.down, self.down, -self.right, self.right):
            inside &= self.vessels[at + step] == label
        return np.asarray((self.vessels[at] == label) & ~inside)

    def reach(self, at: NDArray[np.intp]) -> Codes:
        found = self.codes[at].copy()
        for step in (-self.down, self.down, -self.right, self.right):
            found |= self.codes[at + step]
        return found

    def near_side(self, at: NDArray[np.intp], label: NDArray[np.uint8]) -> Codes:
        return np.where(self.is_edge(at, label), self.codes.dtype.type(0), self.reach(at))


def _one_sided(near: _Near, here: NDArray[np.intp], masks: Any) -> list[Codes]:
    label, reach = near.vessels[here], near.reach(here)
    beyond = masks & ~reach
    on_right, on_below, on_corner = (
        near.near_side(here + step, label) & beyond for step in (near.right, near.down, near.down + near.right)
    )
    return [reach & masks, on_right, on_below, on_corner, on_right | on_below]


def _symmetric(near: _Near, here: NDArray[np.intp], masks: Any) -> list[Codes]:
    label, touching = near.vessels[here], near.reach(here)
    for i in (-1, 0, 1):
        for j in (-1, 0, 1):
            if i or j:
                touching |= near.near_side(here + i * near.down + j * near.right, label)
    return [touching & masks]


def fill_bins(
    probability: NDArray[np.float32],
    codes: Codes,
    limits: NDArray[np.int64],
    one: np.floating[Any],
    clamp: np.floating[Any],
    edges: NDArray[np.floating[Any]],
    sums: NDArray[np.floating[Any]],
    counts: NDArray[np.int64],
    wrong: NDArray[np.int64],
) -> None:
    """Add the region's voxels to the bins of confidence; see `top_label`."""
    rows, columns = (slice(*limits[:, axis]) for axis in (1, 2))
    for z in range(limits[0, 0], limits[1, 0]):
        p = probability[z, rows, columns].reshape(-1).astype(one.dtype)
        tumour, background = np.maximum(p, clamp), np.maximum(one - p, clamp)
        confidence = np.maximum(tumour, background) / (tumour + background)
        place = bins_of(confidence, edges, counts.size)
        np.add.at(sums, place, confidence)
        counts += np.bincount(place, minlength=counts.size)
        code = codes[z, rows, columns].reshape(-1)
        for rater in range(wrong.shape[0]):
            drawn = (code >> codes.dtype.type(_FIRST_RATER + rater)) & codes.dtype.type(1) != 0
            wrong[rater] += np.bincount(place[drawn != (tumour > background)], minlength=counts.size)


def _row_sums(p: NDArray[np.float32]) -> NDArray[np.float64]:
    """Sum each row in float64, four sums side by side, as the kernel does."""
    whole = p.shape[1] // 4 * 4
    lanes = np.zeros((p.shape[0], 4))
    if whole:
        lanes = np.add.accumulate(p[:, :whole].astype(np.float64).reshape(p.shape[0], -1, 4), axis=1)[:, -1]
    for x in range(whole, p.shape[1]):
        lanes[:, 0] += p[:, x]
    return np.asarray((lanes[:, 0] + lanes[:, 1]) + (lanes[:, 2] + lanes[:, 3]))


def _grow(box: NDArray[np.int64], z: int, mask: NDArray[np.bool_]) -> None:
    """Make a box hold the voxels of a slice."""
    y, x = (np.flatnonzero(mask.any(axis=axis)) for axis in (1, 0))
    if y.size:
        low, high = np.array([z, y[0], x[0]]), np.array([z, y[-1], x[-1]])
        box[:, 0], box[:, 1] = np.minimum(box[:, 0], low), np.maximum(box[:, 1], high)
