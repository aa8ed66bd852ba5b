"""What NumPy does in place of numba's kernels where numba cannot run: the same results, to the last bit.

Sums of fractions are taken in the kernels' order, one number after the other: `numpy.add.at` and `numpy.add.accumulate`
do, `numpy.sum` and `numpy.bincount` (which starts anew from 0) do not. Arrays are brought to float64 by `astype`, since
before NumPy 2 a scalar of float64 left an array of float32 what it was.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from twintrack.compute.levels import levels_of

Floats = NDArray[np.float64]
_ROW = 256  # as in `twintrack.compute.members`


def sum_in_order(values: NDArray[Any], *, start: float = 0.0) -> float:
    """Add numbers to `start` one after the other, in float64."""
    return float(np.add.accumulate(np.concatenate([[start], np.asarray(values, np.float64)]))[-1])


def count_levels(
    p: NDArray[np.float32], votes: NDArray[np.uint8], inside: NDArray[np.uint8], counts: NDArray[Any]
) -> None:
    """Count the elements of a block by (level of p, number of votes); see the kernel."""
    place = levels_of(p).astype(np.intp) * counts.shape[1] + votes
    if inside.size:
        place = place[inside != 0]
    counts += np.bincount(place, minlength=counts.size).reshape(counts.shape).astype(counts.dtype)


def pack_levels(
    p: NDArray[np.float32],
    votes: NDArray[np.uint8],
    inside: NDArray[np.uint8],
    chosen: NDArray[np.bool_],
    keys: NDArray[np.uint64],
) -> tuple[int, int]:
    """Pack number and votes of those elements of a block that lie at chosen levels; see the kernel."""
    within = inside != 0 if inside.size else np.ones(p.size, np.bool_)
    above = int(np.count_nonzero(within & (p > 0)))
    taken = within & chosen[levels_of(p)]
    number = np.clip(p[taken], np.float32(0), np.float32(1))
    # No -0, whose bits are those of a large number.
    bits = np.where(number > 0, number, np.float32(0)).view(np.uint32).astype(np.uint64)
    n = int(np.count_nonzero(taken))
    keys[:n] = (bits << np.uint64(8)) | votes[taken]
    return n, above


def sum_levels(
    p: NDArray[np.float32], target: NDArray[np.float32], count: NDArray[np.int64], p_sum: Floats, target_sum: Floats
) -> None:
    """Sum p and target by the level of p; see the kernel."""
    _add(levels_of(p), p, target, count, p_sum, target_sum)


def sum_bins(
    p: NDArray[np.float32], target: NDArray[np.float32], count: NDArray[np.int64], p_sum: Floats, target_sum: Floats
) -> None:
    """Sum p and target in equal-width bins of p on [0, 1]; see the kernel."""
    _add(_bins(p, count.size), p, target, count, p_sum, target_sum)


def sum_top_label_bins(
    p: NDArray[np.float32],
    masks: NDArray[np.uint8],
    count: NDArray[np.int64],
    confidence_sum: Floats,
    correct: NDArray[np.int64],
) -> None:
    """Sum confidence and correctness of the top label in equal-width bins of confidence; see the kernel."""
    exact = p.astype(np.float64)
    confidence = np.maximum(exact, 1.0 - exact)
    place = _bins(confidence, count.size)
    count += np.bincount(place, minlength=count.size)
    np.add.at(confidence_sum, place, confidence)
    label = p > np.float32(0.5)
    for k, mask in enumerate(masks):
        correct[k] += np.bincount(place[mask == label], minlength=count.size)


def count_thresholds(
    p: NDArray[np.float32], votes: NDArray[np.uint8], thresholds: NDArray[np.float32], counts: NDArray[np.int64]
) -> None:
    """Count elements by (number of thresholds that p exceeds, number of votes); see the kernel."""
    place = np.searchsorted(thresholds, p, side="left") * counts.shape[1] + votes
    counts += np.bincount(place, minlength=counts.size).reshape(counts.shape)


def sum_members(
    members: tuple[NDArray[np.float32], ...], inside: NDArray[np.uint8], edges: Floats, sums: Floats, mass: Floats
) -> None:
    """Sum over the elements of a block how sure the members are and how far they agree; see the kernel."""
    rows = -(-members[0].size // _ROW)

    def in_rows(values: NDArray[Any]) -> Floats:
        out = np.zeros(rows * _ROW)
        out[: values.size] = values
        return out

    p = np.zeros(rows * _ROW)
    for member in members:
        p += in_rows(member)
    p = np.minimum(p / len(members), 1.0)
    squares = np.zeros(rows * _ROW)
    for member in members:
        squares += np.square(in_rows(member) - p)
    if inside.size:
        within = in_rows(inside) != 0
        p, squares = np.where(within, p, 0.0), np.where(within, squares, 0.0)
    described = (p, p * (1.0 - p), np.sqrt(squares / max(len(members) - 1, 1)))
    for k, values in enumerate(described):
        # Every place of a row has a sum of its own, and these are added up at the end.
        columns = np.add.accumulate(values.reshape(rows, _ROW), axis=0)[-1]
        sums[k] += sum_in_order(columns)
    sums[3] = max(sums[3], p.max(initial=0.0))
    heavy = p[p >= edges[0]]
    place = np.minimum(np.searchsorted(edges, heavy, side="right") - 1, mass.size - 1)
    np.add.at(mass, place, heavy)


def _bins(values: NDArray[Any], n: int) -> NDArray[np.intp]:
    return np.minimum((values.astype(np.float64) * n).astype(np.intp), n - 1)


def _add(
    place: NDArray[Any],
    p: NDArray[np.float32],
    target: NDArray[np.float32],
    count: NDArray[np.int64],
    p_sum: Floats,
    target_sum: Floats,
) -> None:
    count += np.bincount(place, minlength=count.size)
    np.add.at(p_sum, place, p.astype(np.float64))
    np.add.at(target_sum, place, target.astype(np.float64))
