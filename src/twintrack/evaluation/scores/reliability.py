"""Reliability: what was predicted against what was observed, bin by bin, and the calibration error that sums it up."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from twintrack.compute.kernels import sum_bins, sum_levels
from twintrack.compute.levels import N_LEVELS
from twintrack.errors import InputError

Binning: TypeAlias = Literal["width", "mass"]
"""Bins of equal width on [0, 1], or of (nearly) equal numbers of voxels."""

BINS = 20
"""Default number of bins of the calibration error against the response."""

STRIP = 32
"""Levels (`twintrack.compute.levels`) per strip: within one, p or 1 − p varies by at most 3 %."""


@dataclass(frozen=True, eq=False)
class Reliability:
    """Sums over the voxels of each bin. Sums of several cases add.

    Attributes:
        count: Number of voxels, shape (B,).
        predicted: Sum of the predicted values, shape (B,).
        observed: Sum of the observed values, shape (B,).
    """

    count: NDArray[np.int64]
    predicted: NDArray[np.float64]
    observed: NDArray[np.float64]

    @classmethod
    def empty(cls, bins: int) -> Reliability:
        """Start at zero."""
        return cls(np.zeros(bins, np.int64), np.zeros(bins), np.zeros(bins))

    def __add__(self, other: Reliability) -> Reliability:
        return Reliability(self.count + other.count, self.predicted + other.predicted, self.observed + other.observed)

    def strips(self) -> Reliability:
        """Join every `STRIP` neighbouring levels, for sums by level."""
        start = np.arange(0, self.count.size, STRIP)
        return Reliability(
            np.add.reduceat(self.count, start),
            np.add.reduceat(self.predicted, start),
            np.add.reduceat(self.observed, start),
        )

    def equal_mass_index(self, *, bins: int) -> NDArray[np.intp]:
        """Say in which of `bins` bins of nearly equal numbers of voxels each strip belongs.

        A strip goes where the middle of its ranks lies; a bin stays empty where one strip holds more voxels than a
        bin should.
        """
        total = max(int(self.count.sum()), 1)
        middle = np.cumsum(self.count) - self.count / 2
        return np.minimum((middle * bins / total).astype(np.intp), bins - 1)

    def grouped(self, index: NDArray[np.intp], *, bins: int) -> Reliability:
        """Add up the strips of each bin."""
        count, predicted, observed = (
            np.bincount(index, values, bins) for values in (self.count, self.predicted, self.observed)
        )
        return Reliability(count.astype(np.int64), predicted.astype(np.float64), observed.astype(np.float64))

    def calibration_error(self) -> float:
        """Give the expected calibration error.

        ECE = Σ_b (n_b / N) |mean predicted_b − mean observed_b| = Σ_b |Σ predicted − Σ observed| / N. Naeini, Cooper,
        Hauskrecht (2015), Obtaining Well Calibrated Probabilities Using Bayesian Binning, section "calibration
        measures"; the observed value may be a fraction (the mean human response).

        Returns:
            The error in [0, 1]; NaN where there is no voxel.
        """
        n = int(self.count.sum())
        return float(np.abs(self.predicted - self.observed).sum() / n) if n else float("nan")

    def points(self) -> list[dict[str, float]]:
        """Give the reliability curve: voxels, mean predicted and mean observed value of each occupied bin."""
        return [
            {"voxels": int(n), "predicted": float(p / n), "observed": float(r / n)}
            for n, p, r in zip(self.count, self.predicted, self.observed, strict=True)
            if n
        ]


def reliability(
    probability: NDArray[np.float32],
    response: NDArray[np.float32],
    *,
    bins: int = BINS,
    binning: Binning = "width",
) -> Reliability:
    """Sum probability and response in bins of probability.

    Args:
        probability: Predicted probability or response, float32 in [0, 1], any shape.
        response: Observed mean human response, in [0, 1], same shape.
        bins: Number of bins B.
        binning: "width": bin b holds b/B ≤ p < (b+1)/B, the last also p = 1. "mass": voxels are ranked by
            probability and cut into B groups; voxels of one strip (`STRIP`) stay together in the group that
            holds the middle of their ranks, so that groups are equal up to ties.

    Returns:
        The sums.

    Raises:
        InputError: If the shapes differ.
    """
    if np.shape(probability) != np.shape(response):
        raise InputError(f"probability has shape {np.shape(probability)}, response {np.shape(response)}")
    p = np.ascontiguousarray(probability, dtype=np.float32).reshape(-1)
    r = np.ascontiguousarray(response, dtype=np.float32).reshape(-1)
    if binning == "width":
        sums = Reliability.empty(bins)
        sum_bins(p, r, sums.count, sums.predicted, sums.observed)
        return sums
    strips = strip_sums(p, r)
    return strips.grouped(strips.equal_mass_index(bins=bins), bins=bins)


def strip_sums(probability: NDArray[np.float32], response: NDArray[np.float32]) -> Reliability:
    """Sum probability and response in strips of `STRIP` levels, from which diagrams and equal-mass bins are made.

    Args:
        probability: Predicted probability or response, float32 in [0, 1], any shape.
        response: Observed mean human response, in [0, 1], same shape.

    Returns:
        The sums.

    Raises:
        InputError: If the shapes differ.
    """
    if np.shape(probability) != np.shape(response):
        raise InputError(f"probability has shape {np.shape(probability)}, response {np.shape(response)}")
    p = np.ascontiguousarray(probability, dtype=np.float32).reshape(-1)
    r = np.ascontiguousarray(response, dtype=np.float32).reshape(-1)
    levels = Reliability.empty(N_LEVELS)
    sum_levels(p, r, levels.count, levels.predicted, levels.observed)
    return levels.strips()


def mhr_calibration_error(
    probability: NDArray[np.float32],
    response: NDArray[np.float32],
    *,
    bins: int = BINS,
    binning: Binning = "width",
) -> float:
    """Give the calibration error against the mean human response (MHR-ECE).

    Args:
        probability: Predicted probability or response, float32 in [0, 1], any shape.
        response: Observed mean human response, same shape.
        bins: Number of bins.
        binning: Equal width or equal mass; see `reliability`.

    Returns:
        The error in [0, 1].

    Raises:
        InputError: If the shapes differ.
    """
    return reliability(probability, response, bins=bins, binning=binning).calibration_error()
