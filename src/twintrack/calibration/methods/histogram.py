"""Histogram binning: the mean response of each bin of probability."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from twintrack.calibration.curve import Curve
from twintrack.calibration.methods.base import ResponseMap

BINS = 20


class HistogramMap(ResponseMap):
    """f(p) = mean response of the training voxels in the equal-width bin of p.

    Zadrozny, Elkan (2001), Obtaining calibrated probability estimates from decision trees and naive Bayesian
    classifiers. Not necessarily monotone. A bin without voxels gives its own middle. The last bin includes p = 1.
    """

    method: Literal["histogram"] = "histogram"
    values: tuple[Annotated[float, Field(ge=0, le=1)], ...] = Field(min_length=1)

    @classmethod
    def fit(cls, curve: Curve, *, bins: int = BINS) -> HistogramMap:
        """Average the response in each bin.

        Args:
            curve: Mean target and weight by probability.
            bins: Number of bins.

        Returns:
            The fitted map.
        """
        index = np.minimum((curve.probability * bins).astype(int), bins - 1)
        weight = np.bincount(index, curve.weight, bins)
        total = np.bincount(index, curve.weight * curve.response, bins)
        middle = (np.arange(bins) + 0.5) / bins
        values = np.where(weight > 0, total / np.where(weight > 0, weight, 1), middle)
        return cls(values=tuple(np.clip(values, 0, 1).tolist()))

    def __call__(self, probability: NDArray[Any]) -> NDArray[np.float64]:
        """Map probabilities to responses."""
        bins = len(self.values)
        p = np.asarray(probability, np.float64)
        values = np.asarray(self.values, np.float64)
        return np.asarray(values[np.minimum((p * bins).astype(int), bins - 1)])
