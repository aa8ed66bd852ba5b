"""Numba kernels: the innermost loops over the elements of one block.

Every kernel takes flat, contiguous blocks and adds into arrays the caller owns, so that sums over blocks,
cases and processes are plain additions. Counts are integers and therefore exact in any order.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from twintrack.compute import without_numba
from twintrack.compute.jit import njit
from twintrack.compute.levels import levels_of

_CHUNK = 8192  # elements whose levels stay in the second-level cache between two loops


@njit(nogil=True, twin=without_numba.count_levels)
def count_levels(p: Any, votes: Any, inside: Any, counts: Any) -> None:
    """Count the elements of a block by (level of p, number of votes).

    Elements of level 0 without votes, of which an image mostly consists, are passed over four at a time: adding to one
    and the same place again and again would wait for the addition before.

    Args:
        p: float32 block in [0, 1].
        votes: uint8 block, 0 … K.
        inside: uint8 block; elements with 0 are passed over. An empty array means all.
        counts: Integer array (N_LEVELS, K + 1), added into; contiguous.
    """
    places = counts.reshape(counts.size)
    width = np.int32(counts.shape[1])
    everywhere = inside.size == 0
    first = 0  # elements that belong to the first place, less those that are outside
    for start in range(0, p.size, _CHUNK):
        stop = min(start + _CHUNK, p.size)
        place = levels_of(p[start:stop])
        labelled = votes[start:stop]
        for i in range(place.size):
            place[i] = np.int32(place[i] * width + np.int32(labelled[i]))
        if not everywhere:
            within = inside[start:stop]
            for i in range(place.size):
                place[i] = place[i] if within[i] else np.int32(0)
                first -= 0 if within[i] else 1
        whole = place.size // 4 * 4
        for i in range(0, whole, 4):
            # Unsigned: no test for indices from the end.
            a, b, c, d = np.uint32(place[i]), np.uint32(place[i + 1]), np.uint32(place[i + 2]), np.uint32(place[i + 3])
            if a | b | c | d:
                places[a] += 1
                places[b] += 1
                places[c] += 1
                places[d] += 1
            else:
                first += 4
        for i in range(whole, place.size):
            places[np.uint32(place[i])] += 1
    places[0] += first


@njit(twin=without_numba.pack_levels)
def pack_levels(p: Any, votes: Any, inside: Any, chosen: Any, keys: Any) -> Any:
    """Pack number and votes of those elements of a block that lie at chosen levels.

    Args:
        p: float32 block; what lies outside [0, 1] counts as 0 or 1.
        votes: uint8 block.
        inside: uint8 block; elements with 0 are passed over. An empty array means all.
        chosen: bool array (N_LEVELS,).
        keys: uint64 array of the block's size, of which the first are overwritten: the bits of p, then eight bits of
            votes, so that keys sort by p.

    Returns:
        How many keys were written, and how many elements inside are above 0.
    """
    levels = levels_of(p)
    bits = p.view(np.uint32)
    one = np.uint64(np.float32(1.0).view(np.uint32))
    everywhere = inside.size == 0
    taken, above = 0, 0
    for i in range(p.size):
        if not (everywhere or inside[i]):
            continue
        if p[i] > 0.0:
            above += 1
        if chosen[np.uint32(levels[i])]:
            # No -0 nor less, whose bits are those of large numbers.
            number = min(np.uint64(bits[i]), one) if p[i] > 0.0 else np.uint64(0)
            keys[taken] = (number << np.uint64(8)) | np.uint64(votes[i])
            taken += 1
    return taken, above


@njit(twin=without_numba.sum_levels)
def sum_levels(p: Any, target: Any, count: Any, p_sum: Any, target_sum: Any) -> None:
    """Sum p and target by the level of p.

    Args:
        p: float32 block in [0, 1].
        target: float32 block.
        count: int64 array (N_LEVELS,), added into.
        p_sum: float64 array (N_LEVELS,), added into.
        target_sum: float64 array (N_LEVELS,), added into.
    """
    levels = levels_of(p)
    for i in range(p.size):
        level = np.uint32(levels[i])
        count[level] += 1
        p_sum[level] += p[i]
        target_sum[level] += target[i]


@njit(twin=without_numba.sum_bins)
def sum_bins(p: Any, target: Any, count: Any, p_sum: Any, target_sum: Any) -> None:
    """Sum p and target in equal-width bins of p on [0, 1]; p = 1 belongs to the last bin.

    Args:
        p: float32 block in [0, 1].
        target: float32 block.
        count: int64 array (B,), added into.
        p_sum: float64 array (B,), added into.
        target_sum: float64 array (B,), added into.
    """
    bins = count.size
    for i in range(p.size):
        b = min(int(p[i] * np.float64(bins)), bins - 1)
        count[b] += 1
        p_sum[b] += p[i]
        target_sum[b] += target[i]


@njit(twin=without_numba.sum_top_label_bins)
def sum_top_label_bins(p: Any, masks: Any, count: Any, confidence_sum: Any, correct: Any) -> None:
    """Sum confidence and correctness of the top label in equal-width bins of confidence on [0, 1].

    The top label of an element is 1 where p > 1/2 and 0 elsewhere; its confidence is max(p, 1 - p).

    Args:
        p: float32 block in [0, 1], n elements.
        masks: uint8 block (K, n) of 0 and 1.
        count: int64 array (B,), added into.
        confidence_sum: float64 array (B,), added into.
        correct: int64 array (K, B): how often the top label equals the mask, added into.
    """
    bins = count.size
    for i in range(p.size):
        label = 1 if p[i] > 0.5 else 0
        confidence = max(np.float64(p[i]), 1.0 - np.float64(p[i]))
        b = min(int(confidence * bins), bins - 1)
        count[b] += 1
        confidence_sum[b] += confidence
        for k in range(masks.shape[0]):
            if masks[k, i] == label:
                correct[k, b] += 1


@njit(twin=without_numba.count_thresholds)
def count_thresholds(p: Any, votes: Any, thresholds: Any, counts: Any) -> None:
    """Count elements by (number of thresholds that p exceeds, number of votes).

    Args:
        p: float32 block.
        votes: uint8 block, 0 … K.
        thresholds: float32 array (T,), increasing; exceeding is strict. They are float32 as p is: a response of 4/5
            kept as float32 lies above the float64 number 0.8, and would exceed it.
        counts: int64 array (T + 1, K + 1), added into.
    """
    for i in range(p.size):
        t = 0
        while t < thresholds.size and p[i] > thresholds[t]:
            t += 1
        counts[t, votes[i]] += 1
