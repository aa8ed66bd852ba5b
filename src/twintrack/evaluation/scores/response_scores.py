"""Proper scores of every voxel against the mean human response: squared error and cross-entropy."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from twintrack.compute.blocks import blocks
from twintrack.compute.dot import dot
from twintrack.errors import InputError
from twintrack.evaluation.scores.arrays import unit_pair, unit_values

BOUND = 2.0**-24
"""How near to 0 and 1 a probability may come in the log score: the distance to 1 of the float32 next below 1."""


def brier(probability: NDArray[Any], response: NDArray[Any]) -> float:
    """Give the mean squared error to the mean human response.

    MSE = mean (p − r)². It is a proper score for r: its expectation is smallest where p is the expected response.
    The Brier score against every rater's labels y (`brier_to_labels`) is larger by mean r (1 − r), which no
    prediction can change, so that both rank predictions of a case alike. Brier (1950), Verification of Forecasts
    Expressed in Terms of Probability, Monthly Weather Review 78(1), in the form for one class.

    Args:
        probability: Predicted probability or response, float32 in [0, 1], any shape.
        response: Observed mean human response in [0, 1], same shape.

    Returns:
        The error in [0, 1]; 0 at best.

    Raises:
        InputError: If the shapes differ, there is no voxel, or a value is NaN or outside [0, 1].
    """
    p, r = unit_pair(probability, response)
    total = 0.0
    for part in blocks(p.size):
        error = p[part].astype(np.float64) - r[part]
        total += dot(error, error)
    return total / p.size


def disagreement(response: NDArray[Any]) -> float:
    """Give the raters' mean variance, mean r (1 − r): the Brier score of the response itself against the labels.

    Args:
        response: Observed mean human response in [0, 1], any shape.

    Returns:
        The variance in [0, 1/4]; 0 where all raters agree everywhere.

    Raises:
        InputError: If there is no voxel, or a value is NaN or outside [0, 1].
    """
    r = unit_values(response, name="response").reshape(-1)
    total = 0.0
    for part in blocks(r.size):
        of_part = r[part].astype(np.float64)
        total += dot(of_part, 1 - of_part)
    return total / r.size


def brier_to_labels(probability: NDArray[Any], response: NDArray[Any]) -> float:
    """Give the Brier score against each rater's labels, averaged over raters and voxels.

    For K raters with labels y₁ … y_K of mean r: mean over k of (p − y_k)² = (p − r)² + r (1 − r). Brier (1950),
    Verification of Forecasts Expressed in Terms of Probability, Monthly Weather Review 78(1).

    Args:
        probability: Predicted probability or response, float32 in [0, 1], any shape.
        response: Observed mean human response in [0, 1], same shape.

    Returns:
        The score in [0, 1]; `disagreement` at best.

    Raises:
        InputError: If the shapes differ, there is no voxel, or a value is NaN or outside [0, 1].
    """
    return brier(probability, response) + disagreement(response)


def log_score(probability: NDArray[Any], response: NDArray[Any], *, bound: float = BOUND) -> float:
    """Give the cross-entropy to the mean human response, in nats.

    −mean [r ln p + (1 − r) ln (1 − p)], with p first brought into [bound, 1 − bound]. It equals the log score against
    each rater's labels, averaged over raters and voxels. Where p = 0 though a share r of the raters labelled
    the voxel, the voxel costs r · ln (1 / bound) (16.6 r for the default) instead of infinity; likewise
    (1 − r) · ln (1 / bound) at p = 1. So the size of `bound` weighs the tumour that lies outside the ROI: compare
    figures of one bound only. Good (1952), Rational Decisions, J. R. Stat. Soc. B 14(1); Gneiting, Raftery (2007),
    Strictly Proper Scoring Rules, Prediction, and Estimation, section 3.

    Args:
        probability: Predicted probability or response, float32 in [0, 1], any shape.
        response: Observed mean human response in [0, 1], same shape.
        bound: Smallest p and 1 − p that count, in (0, 1/2).

    Returns:
        The score, 0 or more; at p = r the raters' mean entropy.

    Raises:
        InputError: If the shapes differ, there is no voxel, a value is NaN or outside [0, 1], or the bound is not in
            (0, 1/2).
    """
    if not 0 < bound < 0.5:
        raise InputError(f"bound: expected a number between 0 and 1/2; got {bound}")
    p, r = unit_pair(probability, response)
    total = 0.0
    for part in blocks(p.size):
        inside = np.clip(p[part].astype(np.float64), bound, 1 - bound)
        of_part = r[part].astype(np.float64)
        total -= dot(of_part, np.log(inside)) + dot(1 - of_part, np.log1p(-inside))
    return total / p.size
