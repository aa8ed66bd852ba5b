"""Calibration errors that count every bin alike: adaptive (equal numbers of voxels) and average (equal widths)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from twintrack.errors import InputError
from twintrack.evaluation.scores.arrays import unit_pair
from twintrack.evaluation.scores.reliability import BINS, Reliability, reliability


def mean_bin_gap(sums: Reliability) -> float:
    """Give the mean over occupied bins of |mean predicted − mean observed|.

    Where `Reliability.calibration_error` weighs bins by their voxels, here each occupied bin counts once.

    Args:
        sums: Sums per bin, of predictions and responses or of confidence and correctness.

    Returns:
        The gap in [0, 1]; NaN where no bin is occupied.
    """
    occupied = sums.count > 0
    if not occupied.any():
        return float("nan")
    gap = np.abs(sums.predicted[occupied] - sums.observed[occupied]) / sums.count[occupied]
    return float(gap.mean())


def adaptive_calibration_error(
    probability: NDArray[Any], response: NDArray[Any], *, bins: int = BINS, threshold: float = 0.0
) -> float:
    """Give the adaptive calibration error against the mean human response (ACE; with a threshold TACE).

    ACE = (1/R) Σ_b |mean p_b − mean r_b| over R bins that hold equal numbers of voxels: Nixon, Dusenberry, Zhang,
    Jerfel, Tran (2019), Measuring Calibration in Deep Learning, CVPR Workshops, for the tumour class alone
    (of two classes the other gives the same figure) and with the response in place of the label. Voxels
    of (nearly) equal probability stay together (`reliability`, binning "mass"), so bins are equal up to ties
    and only occupied ones count: the many voxels of exactly 0 fill one bin, not most of them. For the name used
    for something else see `average_calibration_error`.

    Args:
        probability: Predicted probability or response, float32 in [0, 1], any shape.
        response: Observed mean human response in [0, 1], same shape.
        bins: Number of bins R.
        threshold: Only voxels with p ≥ threshold are ranked, as in that paper's TACE, since nearly all voxels of an
            image are sure background; 0 for all.

    Returns:
        The error in [0, 1]; NaN where no voxel reaches the threshold.

    Raises:
        InputError: If the shapes differ, there is no voxel, a value is NaN or outside [0, 1], or the number of bins
            or the threshold is out of range.
    """
    p, r = unit_pair(probability, response)
    _check(bins)
    if not 0 <= threshold <= 1:
        raise InputError(f"threshold: expected a number in [0, 1]; got {threshold}")
    if threshold > 0:
        kept = p >= np.float32(threshold)
        p, r = p[kept], r[kept]
    return mean_bin_gap(reliability(p, r, bins=bins, binning="mass"))


def average_calibration_error(probability: NDArray[Any], response: NDArray[Any], *, bins: int = BINS) -> float:
    """Give the average calibration error against the mean human response (also abbreviated ACE).

    (1/B') Σ_b |mean p_b − mean r_b| over the B' occupied of B bins of equal width: Neumann, Zisserman, Vedaldi
    (2018), Relaxed Softmax, NeurIPS workshop; Barfoot, Garcia Peraza Herrera, Glocker, Vercauteren (2024), Average
    Calibration Error: A Differentiable Loss for Improved Reliability in Image Segmentation, MICCAI, for images. A bin
    of ten voxels counts as much as one of ten million.

    Args:
        probability: Predicted probability or response, float32 in [0, 1], any shape.
        response: Observed mean human response in [0, 1], same shape.
        bins: Number of bins B.

    Returns:
        The error in [0, 1].

    Raises:
        InputError: If the shapes differ, there is no voxel, a value is NaN or outside [0, 1], or `bins` is not
            positive.
    """
    p, r = unit_pair(probability, response)
    _check(bins)
    return mean_bin_gap(reliability(p, r, bins=bins, binning="width"))


def _check(bins: int) -> None:
    if bins < 1:
        raise InputError(f"bins: expected a positive number; got {bins}")
