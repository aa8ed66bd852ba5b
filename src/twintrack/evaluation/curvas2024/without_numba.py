"""What NumPy does in place of this protocol's kernels where numba cannot run.

The same figures to the last bit, but for one: where `official` makes a softmax of the probabilities, the exponential
may round otherwise in its last digit. Volumes are worked on slice by slice.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from twintrack.compute.without_numba import sum_in_order
from twintrack.evaluation.curvas.bins import bins_of

Reals = NDArray[np.floating[Any]]
_DOUBLE = np.float64(1.0)


def hard_labels(foreground: NDArray[np.float32], background: NDArray[np.float32], labels: NDArray[np.uint8]) -> None:
    """Give each voxel its likeliest label; see `softmax`."""
    for z in range(labels.shape[0]):
        labels[z] = _top_label(foreground[:, z], background, z, _DOUBLE)[0]


def largest_deviation(foreground: NDArray[np.float32], background: NDArray[np.float32]) -> float:
    """Say how far the worst voxel is from a distribution; see `softmax`."""
    worst = 0.0
    for z in range(foreground.shape[1]):
        excess = _structure_sum(foreground[:, z], _DOUBLE) - 1.0
        if background.size:
            excess = np.abs(excess + background[z])
        worst = max(worst, float(excess.max()))
    return worst


def has_negative_background(foreground: NDArray[np.float32]) -> bool:
    """Say whether the structures of any voxel sum to more than 1 in float32; see `softmax`."""
    one = np.float32(1.0)
    return any(bool((_structure_sum(foreground[:, z], one) > one).any()) for z in range(foreground.shape[1]))


def fill_bins(
    raters: NDArray[np.uint8],
    foreground: NDArray[np.float32],
    background: NDArray[np.float32],
    one: np.floating[Any],
    softmax: bool,
    edges: Reals,
    sums: Reals,
    counts: NDArray[np.int64],
    correct: NDArray[np.int64],
) -> None:
    """Add the voxels to the bins of confidence; see `top_label`."""
    for z in range(raters.shape[1]):
        label, p = _top_label(foreground[:, z], background, z, one)
        if softmax:
            p = _softmax_of_top(foreground[:, z], p, one)
        place = bins_of(p.reshape(-1), edges, counts.size)
        np.add.at(sums, place, p.reshape(-1))
        counts += np.bincount(place, minlength=counts.size)
        for k, drawn in enumerate(raters[:, z]):
            correct[k] += np.bincount(place[(drawn == label).reshape(-1)], minlength=counts.size)


def count(
    raters: NDArray[np.uint8],
    foreground: NDArray[np.float32],
    labels: NDArray[np.uint8],
    rater_voxels: NDArray[np.int64],
    agreed: NDArray[np.int64],
    predicted: NDArray[np.int64],
    confidence: NDArray[np.float64],
    probability_sum: NDArray[np.float64],
    row_dice: NDArray[np.float64],
) -> None:
    """Count where the raters agree; see `consensus`."""
    n, slices = foreground.shape[0], np.zeros((foreground.shape[0], 2))
    for k, drawn in enumerate(raters):
        rater_voxels[k] += np.bincount(drawn.reshape(-1), minlength=n + 1)
    for z in range(labels.shape[0]):
        for s in range(n):
            p, chosen = foreground[s, z], labels[z] == s + 1
            votes = (raters[:, z] == s + 1).sum(axis=0)
            probability_sum[s] = sum_in_order(p.reshape(-1), start=probability_sum[s])
            nobody, everybody = votes == 0, votes == len(raters)
            for every, here in enumerate((nobody, everybody)):
                agreed[s, every] += np.count_nonzero(here)
                predicted[s, every] += np.count_nonzero(here & chosen)
                confidence[s, every] = sum_in_order(p[here], start=confidence[s, every])
            wrong, right = ((here & chosen).sum(axis=1) for here in (nobody, everybody))
            _add_row_dice(wrong, right, everybody.sum(axis=1), slices[s])
    row_dice[:] = slices[:, 1] / slices[:, 0]


def _add_row_dice(
    wrong: NDArray[np.int64], right: NDArray[np.int64], every: NDArray[np.int64], into: NDArray[np.float64]
) -> None:
    """Add the mean Dice of a slice's rows where all raters agree, without the first (see the kernel)."""
    used = every > 0
    used[0] &= used.size == 1
    if used.any():
        dice = 2.0 * right[used] / (wrong + right + every)[used]
        into += 1.0, sum_in_order(dice) / np.count_nonzero(used)


def _structure_sum(foreground: NDArray[np.float32], one: np.floating[Any]) -> Reals:
    total = foreground[0].astype(one.dtype)
    for p in foreground[1:]:
        total += p
    return np.asarray(total)


def _top_label(
    foreground: NDArray[np.float32], background: NDArray[np.float32], z: int, one: np.floating[Any]
) -> tuple[NDArray[np.uint8], Reals]:
    best = background[z].astype(one.dtype) if background.size else one - _structure_sum(foreground, one)
    label = np.zeros(best.shape, np.uint8)
    for s, structure in enumerate(foreground, start=1):
        p = structure.astype(one.dtype)
        label[p > best] = s
        best = np.maximum(p, best)
    return label, best


def _softmax_of_top(foreground: NDArray[np.float32], top: Reals, one: np.floating[Any]) -> Reals:
    def exp(values: Reals) -> Reals:
        return np.exp(values.astype(np.float64)).astype(values.dtype)  # float32's own is less exact

    total = exp(one - _structure_sum(foreground, one) - top)
    for p in foreground:
        total += exp(p.astype(one.dtype) - top)
    return np.asarray(one / total)
