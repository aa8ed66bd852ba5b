"""Top-label calibration error: how far the confidence in the likelier label is from how often a rater agrees."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from twintrack.compute.kernels import sum_top_label_bins
from twintrack.evaluation.scores.reliability import Reliability

TOP_LABEL_BINS = 50


@dataclass(frozen=True, eq=False)
class TopLabelSums:
    """Sums over voxels in equal-width bins of confidence.

    Attributes:
        count: Voxels, shape (B,).
        confidence: Sum of the confidence, shape (B,).
        correct: How often the top label is the rater's, shape (K, B).
    """

    count: NDArray[np.int64]
    confidence: NDArray[np.float64]
    correct: NDArray[np.int64]

    @classmethod
    def empty(cls, n_raters: int, *, bins: int = TOP_LABEL_BINS) -> TopLabelSums:
        """Start at zero."""
        return cls(np.zeros(bins, np.int64), np.zeros(bins), np.zeros((n_raters, bins), np.int64))

    def add(self, probability: NDArray[np.float32], masks: NDArray[np.uint8]) -> None:
        """Add a flat block of probabilities and the masks (K, n) of the raters on it."""
        sum_top_label_bins(probability, masks, self.count, self.confidence, self.correct)

    def errors(self) -> list[float]:
        """Give each rater's calibration error; see `top_label_calibration_error`."""
        return [Reliability(self.count, self.confidence, row.astype(float)).calibration_error() for row in self.correct]


def top_label_calibration_error(
    probability: NDArray[np.float32], masks: Sequence[NDArray[np.uint8]], *, bins: int = TOP_LABEL_BINS
) -> list[float]:
    """Give the top-label calibration error against each rater.

    The top label is 1 where p > 1/2; its confidence is max(p, 1 − p). ECE = Σ_b |Σ confidence − Σ correct| / N over
    equal-width bins of confidence on [0, 1]. Guo, Pleiss, Sun, Weinberger (2017), equation 3; averaged over
    raters as CURVAS does.

    Args:
        probability: Predicted probability or response, float32 in [0, 1], any shape.
        masks: K raters' masks of 0 and 1, same shape.
        bins: Number of bins.

    Returns:
        K errors in [0, 1].
    """
    sums = TopLabelSums.empty(len(masks), bins=bins)
    rows = np.stack([np.ascontiguousarray(mask, dtype=np.uint8).reshape(-1) for mask in masks])
    sums.add(np.ascontiguousarray(probability, dtype=np.float32).reshape(-1), rows)
    return sums.errors()
