"""Whether a model is unsure where the raters differ: correlation of predicted uncertainty and rater variance."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from twintrack.compute.blocks import blocks, flat
from twintrack.errors import InputError
from twintrack.evaluation.scores.arrays import bounding_box, unit_values
from twintrack.raters.masks import as_votes
from twintrack.raters.response import response

XENT_BOUND = 1e-8
"""Smallest probability whose logarithm is taken in a cross-entropy map; the figure PHiSeg's public code adds."""


def rater_variance(masks: Sequence[NDArray[Any]]) -> NDArray[np.float32]:
    """Give the raters' variance at each voxel, r (1 − r) (over K, not K − 1).

    Args:
        masks: K raters' binary masks, (z, y, x) or (y, x).

    Returns:
        Array of the masks' shape in [0, 1/4].

    Raises:
        InputError: If the masks are not binary or differ in shape.
    """
    mean = response(masks)
    return mean * (1 - mean)


def bernoulli_variance(probability: NDArray[Any]) -> NDArray[np.float32]:
    """Give the variance p (1 − p) that a probability says a further label would have.

    Args:
        probability: Predicted probability or response in [0, 1], any shape.

    Returns:
        Array of the same shape in [0, 1/4].

    Raises:
        InputError: If there is no voxel, or a value is NaN or outside [0, 1].
    """
    p = unit_values(probability, name="probability")
    return np.asarray(p * (1 - p))


def member_variance(members: Sequence[NDArray[Any]]) -> NDArray[np.float32]:
    """Give the variance of the members' probabilities at each voxel (over M, not M − 1).

    Args:
        members: M members' probabilities in [0, 1], one shape.

    Returns:
        Array of that shape in [0, 1/4].

    Raises:
        InputError: If there is no member, the shapes differ, or a value is NaN or outside [0, 1].
    """
    maps = _members(members)
    rows, out = [flat(one) for one in maps], np.empty(maps[0].size, np.float32)
    for part in blocks(out.size):
        out[part] = np.var([row[part] for row in rows], axis=0, dtype=np.float64)
    return out.reshape(maps[0].shape)


def expected_entropy(members: Sequence[NDArray[Any]]) -> NDArray[np.float32]:
    """Give the mean over members of the entropy of each one's probability, in nats.

    With a single member (or the mean probability alone) it is the entropy of that map. 0 ln 0 counts as 0.

    Args:
        members: M members' probabilities in [0, 1], one shape.

    Returns:
        Array of that shape in [0, ln 2].

    Raises:
        InputError: If there is no member, the shapes differ, or a value is NaN or outside [0, 1].
    """
    maps = _members(members)
    rows, out = [flat(one) for one in maps], np.empty(maps[0].size, np.float32)
    for part in blocks(out.size):
        p = np.array([row[part] for row in rows], np.float64)
        # ln 1 stands where ln 0 would be multiplied by 0.
        logs = p * np.log(np.where(p > 0, p, 1)) + (1 - p) * np.log1p(-np.where(p < 1, p, 0))
        out[part] = -logs.mean(axis=0)
    return out.reshape(maps[0].shape)


def normalised_cross_correlation(first: NDArray[Any], second: NDArray[Any]) -> float:
    """Give the zero-normalised cross-correlation of two maps, Pearson's coefficient over their voxels.

    Args:
        first: Numbers, any shape.
        second: Numbers, same shape.

    Returns:
        The correlation in [−1, 1]; NaN where a map is constant, since it then has no direction to agree with.

    Raises:
        InputError: If the shapes differ, there is no voxel, or a number is not finite.
    """
    if np.shape(first) != np.shape(second) or np.size(first) == 0:
        raise InputError(f"expected two maps of one shape that hold voxels; got {np.shape(first)}, {np.shape(second)}")
    return _correlation(np.asarray(first), np.asarray(second), voxels=np.size(first))


def variance_ncc(uncertainty: NDArray[Any], masks: Sequence[NDArray[Any]]) -> float:
    """Give the correlation between a predicted uncertainty map and the raters' variance (NCC).

    NCC = mean of (U − Ū)(V − V̄) / (σ_U σ_V) over voxels, V = r (1 − r). U may be `bernoulli_variance` of the
    probability, `member_variance`, or `expected_entropy`. The comparison of these two maps goes back to S_NCC of
    Baumgartner et al. (2019), PHiSeg, MICCAI, whose own maps `phiseg_ncc` uses; in this form it is in use for
    multi-rater benchmarks. It does not see scale: half or twice the uncertainty scores the same.

    Args:
        uncertainty: Predicted uncertainty, numbers of any scale, (z, y, x) or (y, x).
        masks: K raters' binary masks, same shape.

    Returns:
        The correlation in [−1, 1]; NaN where the raters agree everywhere or the prediction is constant.

    Raises:
        InputError: If the masks are not binary, the shapes differ, or an uncertainty is not finite.
    """
    votes, predicted = as_votes(masks), np.asarray(uncertainty)
    if predicted.shape != votes[0].shape:
        raise InputError(f"the uncertainty has shape {predicted.shape}, a mask {votes[0].shape}")
    box = bounding_box([predicted, *votes])
    if box is None:
        return float("nan")
    return _correlation(predicted[box], rater_variance([vote[box] for vote in votes]), voxels=predicted.size)


def phiseg_ncc(members: Sequence[NDArray[Any]], masks: Sequence[NDArray[Any]], *, bound: float = XENT_BOUND) -> float:
    """Give S_NCC: how well the members' cross-entropy map predicts that of each rater.

    With CE(y, s) = −y ln s − (1 − y) ln (1 − s), members s_i and their mean s̄: the mean over raters k of
    NCC(mean_i CE(s̄, s_i), mean_i CE(y_k, s_i)). Baumgartner, Tezcan, Chaitanya, Hötker, Muehlematter, Schawkat,
    Becker, Donati, Konukoglu (2019), PHiSeg: Capturing Uncertainty in Medical Image Segmentation, MICCAI, section 3.
    Where a member is wrong and sure, ln `bound` is what it costs, and such voxels dominate: compare figures of one
    bound only.

    Args:
        members: M members' (or samples') probabilities in [0, 1], (z, y, x) or (y, x).
        masks: K raters' binary masks, same shape.
        bound: Smallest probability whose logarithm is taken.

    Returns:
        The mean correlation in [−1, 1]; NaN where one of the maps is constant.

    Raises:
        InputError: If there is no member, the shapes differ, or a value is out of range.
    """
    if not 0 < bound < 0.5:
        raise InputError(f"bound: expected a number between 0 and 1/2; got {bound}")
    votes = as_votes(masks)
    maps = _members(members)
    if maps[0].shape != votes[0].shape:
        raise InputError(f"members have shape {maps[0].shape}, a mask {votes[0].shape}")
    # Where every member is 0 and no rater labels, all cross-entropies are 0.
    box = bounding_box([*maps, *votes])
    if box is None:
        return float("nan")
    rows = [flat(one[box]) for one in maps]
    tumour, background, own = (np.empty(rows[0].size, np.float32) for _ in range(3))
    for part in blocks(rows[0].size):
        s = np.array([row[part] for row in rows], np.float64)
        tumour[part] = cost = -np.log(np.maximum(s, bound)).mean(axis=0)
        background[part] = rest = -np.log(np.maximum(1 - s, bound)).mean(axis=0)
        mean = s.mean(axis=0)
        own[part] = mean * cost + (1 - mean) * rest
    theirs = (np.where(flat(vote[box]), tumour, background) for vote in votes)
    return float(np.mean([_correlation(own, one, voxels=votes[0].size) for one in theirs]))


def _correlation(first: NDArray[Any], second: NDArray[Any], *, voxels: int) -> float:
    # Of two maps of which only a part is given; both are 0 at the other voxels.
    a, b, zeros = flat(first), flat(second), voxels - first.size
    ends = np.array([[a.min(), a.max()], [b.min(), b.max()]], float)
    if not np.isfinite(ends).all():
        raise InputError("expected two maps of finite numbers; found NaN or infinite ones")
    if zeros:
        ends = np.stack([np.minimum(ends[:, 0], 0), np.maximum(ends[:, 1], 0)], axis=1)
    if (ends[:, 0] == ends[:, 1]).any():
        return float("nan")
    means = np.array([one.sum(dtype=np.float64) / voxels for one in (a, b)])
    sums = zeros * np.outer(means, means)
    # Around the means, in a second pass: products of raw values would lose the digits that matter.
    for part in blocks(a.size):
        centred = np.stack([a[part], b[part]]).astype(np.float64) - means[:, None]
        sums += centred @ centred.T
    return float(np.clip(sums[0, 1] / np.sqrt(sums[0, 0] * sums[1, 1]), -1, 1))


def _members(members: Sequence[NDArray[Any]]) -> list[NDArray[np.float32]]:
    if len(members) == 0:
        raise InputError("expected the probability of at least one member; got none")
    shapes = {np.shape(member) for member in members}
    if len(shapes) > 1:
        raise InputError(f"the members differ in shape: {sorted(shapes)}")
    return [unit_values(member, name=f"member {number}") for number, member in enumerate(members, start=1)]
