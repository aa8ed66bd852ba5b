"""Generalised energy distance: whether samples of a model vary as the raters do, mask by mask."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from twintrack.compute.blocks import blocks, flat
from twintrack.errors import InputError
from twintrack.raters.masks import as_votes

Overlap: TypeAlias = Literal["iou", "dice"]
"""The overlap whose difference from 1 is the distance of two masks."""


@dataclass(frozen=True)
class EnergyDistance:
    """A squared generalised energy distance and its parts: value = 2 · between − samples − raters.

    Attributes:
        value: D², 0 where both vary alike.
        between: Mean distance between a sample and a rater.
        samples: Mean distance between two samples, the diversity of the model.
        raters: Mean distance between two raters, their disagreement.
    """

    value: float
    between: float
    samples: float
    raters: float


def energy_distance(
    samples: Sequence[NDArray[Any]],
    masks: Sequence[NDArray[Any]],
    *,
    overlap: Overlap = "iou",
    unbiased: bool = False,
) -> EnergyDistance:
    """Give the squared generalised energy distance between a model's samples and the raters (GED).

    D² = 2 E d(S, Y) − E d(S, S′) − E d(Y, Y′) with d = 1 − IoU, and IoU 1 where both masks are empty. Kohl et al.
    (2018), A Probabilistic U-Net for Segmentation of Ambiguous Images, NeurIPS; Székely, Rizzo (2013),
    Energy statistics, J. Stat. Plan. Inference 143(8).

    As in the literature the expectations within samples and within raters run over all pairs, each mask with itself
    included. That is biased upwards (a V-statistic: even samples drawn from the raters' own distribution score above
    0), never negative, 0 for equal sets, and defined for one sample. `unbiased` leaves the pairs of a mask with
    itself out (a U-statistic): right on average and comparable between different numbers of samples, but may be
    negative. Overlap is exact: all pairwise intersections are one matrix product, over the blocks that hold any label.

    Args:
        samples: M binary masks of the model, M ≥ 1 (≥ 2 if unbiased); (z, y, x) or (y, x).
        masks: K raters' binary masks, K ≥ 1 (≥ 2 if unbiased), same shape.
        overlap: "iou", or "dice" for d = 1 − Dice, which some benchmarks use.
        unbiased: Leave out the pairs of a mask with itself.

    Returns:
        The distance and its parts.

    Raises:
        InputError: If the masks are not binary or differ in shape, or are too few.
    """
    drawn, votes = _samples(samples), as_votes(masks)
    if drawn[0].shape != votes[0].shape:
        raise InputError(f"samples have shape {drawn[0].shape}, a mask {votes[0].shape}")
    if overlap not in ("iou", "dice"):
        raise InputError(f"overlap: expected iou or dice; got {overlap!r}")
    if unbiased and min(len(drawn), len(votes)) < 2:
        raise InputError(f"the unbiased distance needs two samples and two raters; got {len(drawn)} and {len(votes)}")
    distances = _distances([*drawn, *votes], overlap)
    m = len(drawn)
    between = float(distances[:m, m:].mean())
    within_samples = _within(distances[:m, :m], unbiased=unbiased)
    within_raters = _within(distances[m:, m:], unbiased=unbiased)
    return EnergyDistance(2 * between - within_samples - within_raters, between, within_samples, within_raters)


def _samples(samples: Sequence[NDArray[Any]]) -> list[NDArray[np.uint8]]:
    try:
        return as_votes(samples)
    except InputError as error:
        raise InputError(f"the model's samples are checked as raters' masks are: {error}") from error


def _distances(masks: Sequence[NDArray[np.uint8]], overlap: Overlap) -> NDArray[np.float64]:
    rows = [flat(mask) for mask in masks]
    common = np.zeros((len(rows), len(rows)))
    for part in blocks(rows[0].size):
        block = np.stack([row[part] for row in rows])
        if block.any():
            # A block is far below 2²⁴ voxels, up to which float32 counts exactly.
            numbers = block.astype(np.float32)
            common += numbers @ numbers.T
    sizes = common.diagonal()
    total = sizes[:, None] + sizes[None, :]
    top, bottom = (2 * common, total) if overlap == "dice" else (common, total - common)
    return 1 - np.divide(top, bottom, out=np.ones_like(common), where=bottom > 0)


def _within(distances: NDArray[np.float64], *, unbiased: bool) -> float:
    # The diagonal, a mask with itself, is 0 and adds nothing to the sum.
    n = len(distances)
    return float(distances.sum()) / (n * (n - 1) if unbiased else n * n)
