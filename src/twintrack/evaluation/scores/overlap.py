"""Overlap between a thresholded prediction and the thresholded response."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from twintrack.compute.kernels import count_thresholds
from twintrack.errors import InputError

THRESHOLDS: tuple[float, ...] = tuple(np.linspace(0.1, 0.8, 6).tolist())
"""The thresholds of CURVAS-PDACVI; with five raters they mean at least 1, 2, 2, 3, 4 and 5 of them."""


def thresholded_dice(
    probability: NDArray[np.float32],
    masks: Sequence[NDArray[np.uint8]],
    *,
    thresholds: Sequence[float] = THRESHOLDS,
) -> float:
    """Give the mean Dice coefficient over several thresholds of prediction and response.

    At each threshold t the prediction is p > t and the reference is response > t (both strict):
    Dice = 2 |A ∩ B| / (|A| + |B|), 1 where both are empty. As in CURVAS-PDACVI, without its 1e-6.

    Args:
        probability: Predicted probability or response, float32 in [0, 1], any shape.
        masks: K raters' masks of 0 and 1, same shape.
        thresholds: Thresholds, increasing; rounded to float32 for the prediction, so that a prediction equal to the
            response scores 1.

    Returns:
        The mean over thresholds, in [0, 1].

    Raises:
        InputError: If a mask has another shape.
    """
    shape = np.shape(probability)
    for mask in masks:
        if np.shape(mask) != shape:
            raise InputError(f"probability has shape {shape}, a mask {np.shape(mask)}")
    votes = np.sum([np.ascontiguousarray(mask).reshape(-1) for mask in masks], axis=0, dtype=np.uint8)
    counts = np.zeros((len(thresholds) + 1, len(masks) + 1), np.int64)
    p = np.ascontiguousarray(probability, dtype=np.float32).reshape(-1)
    count_thresholds(p, votes, np.asarray(thresholds, np.float32), counts)
    return dice_of_counts(counts, thresholds=thresholds)


def dice_of_counts(counts: NDArray[np.int64], *, thresholds: Sequence[float] = THRESHOLDS) -> float:
    """Give the mean Dice over thresholds from a joint histogram.

    Args:
        counts: Voxels by (thresholds exceeded by the prediction, votes), shape (T + 1, K + 1).
        thresholds: The T thresholds, increasing.

    Returns:
        The mean over thresholds.
    """
    response = np.arange(counts.shape[1]) / (counts.shape[1] - 1)
    dice = []
    for t, threshold in enumerate(thresholds):
        predicted, reference = counts[t + 1 :], counts[:, response > threshold]
        size = int(predicted.sum() + reference.sum())
        both = int(predicted[:, response > threshold].sum())
        dice.append(2 * both / size if size else 1.0)
    return float(np.mean(dice))
