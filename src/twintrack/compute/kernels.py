"""Numba kernels: the innermost loops over the elements of one block.

Every kernel takes flat, contiguous blocks and adds into arrays the caller owns, so that sums over blocks,
cases and processes are plain additions. Counts are integers and therefore exact in any order.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from twintrack.compute.levels import levels_of


@njit(cache=True)
def count_levels(p: Any, votes: Any, inside: Any, counts: Any) -> None:
    """Count the elements of a block by (level of p, number of votes).

    Args:
        p: float32 block in [0, 1].
        votes: uint8 block, 0 … K.
        inside: uint8 block; elements with 0 are passed over. An empty array means all.
        counts: int64 array (N_LEVELS, K + 1), added into.
    """
    levels = levels_of(p)
    everywhere = inside.size == 0
    for i in range(p.size):
        if everywhere or inside[i]:
            counts[np.uint32(levels[i]), votes[i]] += 1  # unsigned: no test for indices from the end


@njit(cache=True)
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


@njit(cache=True)
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


@njit(cache=True)
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


@njit(cache=True)
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


@njit(cache=True)
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


@njit(cache=True)
def sum_members(members: Any, inside: Any, edges: Any, sums: Any, mass: Any) -> None:
    """Sum over the elements of a block how sure the members are and how far they agree.

    Args:
        members: float32 block (M, n) in [0, 1]; p is the mean over M.
        inside: uint8 block; elements with 0 are passed over. An empty array means all.
        edges: float64 array (B + 1,), increasing: bin b holds the p from edges[b] up to below edges[b + 1], the last
            also all above; what is below edges[0] is in none.
        sums: float64 array (4,): Σp, Σp(1 − p) and Σ of the members' standard deviation (of a sample; 0 for one member)
            are added into; the fourth is raised to the largest p.
        mass: float64 array (B,): Σp of each bin, added into.
    """
    n_members = members.shape[0]
    everywhere = inside.size == 0
    for i in range(members.shape[1]):
        if not (everywhere or inside[i]):
            continue
        total = 0.0
        for m in range(n_members):
            total += members[m, i]
        p = min(total / n_members, 1.0)
        if p <= 0.0:
            continue
        squares = 0.0
        for m in range(n_members):
            squares += (members[m, i] - p) ** 2
        sums[0] += p
        sums[1] += p * (1.0 - p)
        sums[2] += np.sqrt(squares / max(n_members - 1, 1))
        sums[3] = max(sums[3], p)
        if p >= edges[0]:
            b = 0
            while b < mass.size - 1 and p >= edges[b + 1]:
                b += 1
            mass[b] += p
