"""Whether a model is unsure where the raters differ: correlation of predicted uncertainty and rater variance."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from twintrack.compute.blocks import blocks, flat
from twintrack.errors import InputError
from twintrack.evaluation.arrays import unit_values
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
    rows, shape = _members(members)
    out = np.empty(rows[0].size, np.float32)
    for part in blocks(out.size):
        out[part] = np.var([row[part] for row in rows], axis=0, dtype=np.float64)
    return out.reshape(shape)


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
    rows, shape = _members(members)
    out = np.empty(rows[0].size, np.float32)
    for part in blocks(out.size):
        p = np.array([row[part] for row in rows], np.float64)
        # ln 1 stands where ln 0 would be multiplied by 0.
        logs = p * np.log(np.where(p > 0, p, 1)) + (1 - p) * np.log1p(-np.where(p < 1, p, 0))
        out[part] = -logs.mean(axis=0)
    return out.reshape(shape)


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
    a, b = flat(np.asarray(first)), flat(np.asarray(second))
    ends = np.array([[a.min(), a.max()], [b.min(), b.max()]], float)
    if not np.isfinite(ends).all():
        raise InputError("expected two maps of finite numbers; found NaN or infinite ones")
    if (ends[:, 0] == ends[:, 1]).any():
        return float("nan")
    mean_a, mean_b = float(a.mean(dtype=np.float64)), float(b.mean(dtype=np.float64))
    sums = np.zeros((2, 2))
    # Around the means, in a second pass: products of raw values would lose the digits that matter.
    for part in blocks(a.size):
        centred = np.stack([a[part].astype(np.float64) - mean_a, b[part].astype(np.float64) - mean_b])
        sums += centred @ centred.T
    return float(np.clip(sums[0, 1] / np.sqrt(sums[0, 0] * sums[1, 1]), -1, 1))


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
        InputError: If the masks are not binary, or the shapes differ.
    """
    return normalised_cross_correlation(uncertainty, rater_variance(masks))


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
    rows, shape = _members(members)
    if shape != votes[0].shape:
        raise InputError(f"members have shape {shape}, a mask {votes[0].shape}")
    size = rows[0].size
    tumour, background, own = (np.empty(size, np.float32) for _ in range(3))
    for part in blocks(size):
        s = np.array([row[part] for row in rows], np.float64)
        tumour[part] = cost = -np.log(np.maximum(s, bound)).mean(axis=0)
        background[part] = rest = -np.log(np.maximum(1 - s, bound)).mean(axis=0)
        mean = s.mean(axis=0)
        own[part] = mean * cost + (1 - mean) * rest
    each = [normalised_cross_correlation(own, np.where(flat(vote), tumour, background)) for vote in votes]
    return float(np.mean(each))


def _members(members: Sequence[NDArray[Any]]) -> tuple[list[NDArray[np.float32]], tuple[int, ...]]:
    if len(members) == 0:
        raise InputError("expected the probability of at least one member; got none")
    shapes = {np.shape(member) for member in members}
    if len(shapes) > 1:
        raise InputError(f"the members differ in shape: {sorted(shapes)}")
    maps = [unit_values(member, name=f"member {number}") for number, member in enumerate(members, start=1)]
    return [one.reshape(-1) for one in maps], shapes.pop()
