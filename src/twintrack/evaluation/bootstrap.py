"""Bootstrap over patients: how much a cohort's score would vary with other patients of the same kind."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

REPEATS = 2000
LEVEL = 0.95


@dataclass(frozen=True)
class Interval:
    """An estimate with its percentile bootstrap interval.

    Attributes:
        value: The estimate on the cohort itself.
        low: Lower end of the interval.
        high: Upper end.
    """

    value: float
    low: float
    high: float

    @classmethod
    def of(cls, value: float, resampled: NDArray[np.float64], *, level: float = LEVEL) -> Interval:
        """Take the interval from resampled values; NaN among them are left out."""
        kept = resampled[np.isfinite(resampled)]
        if not kept.size:
            return cls(value, float("nan"), float("nan"))
        low, high = np.quantile(kept, [(1 - level) / 2, (1 + level) / 2])
        return cls(value, float(low), float(high))


def patient_weights(patients: Sequence[str], *, repeats: int = REPEATS, seed: int = 0) -> NDArray[np.float64]:
    """Draw patients with replacement and say how often each case is in each resample.

    All cases of a patient are drawn together, since they are not independent (cluster bootstrap; Efron, Tibshirani
    1993, An Introduction to the Bootstrap, chapter 8). The same weights for two predictions make their difference
    a paired one.

    Args:
        patients: The patient of each case.
        repeats: Number of resamples B.
        seed: Seed of the random numbers.

    Returns:
        Weights (B, cases), whole numbers.
    """
    names, owner = np.unique(np.asarray(patients), return_inverse=True)
    rng = np.random.default_rng(seed)
    draws = rng.multinomial(names.size, np.full(names.size, 1 / names.size), size=repeats)
    return np.asarray(draws[:, owner], np.float64)


def weighted_means(weights: NDArray[np.float64], values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Average the cases' values in each resample.

    Args:
        weights: Weights (B, cases).
        values: Value of each case (cases,); cases with NaN do not count.

    Returns:
        Means (B,); NaN for a resample without any finite value.
    """
    finite = np.isfinite(values)
    total = weights[:, finite].sum(axis=1)
    sums = weights[:, finite] @ values[finite]
    return np.asarray(np.divide(sums, total, out=np.full(total.shape, np.nan), where=total > 0))
