"""Platt scaling: a slope and an offset on the logit."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import scipy
from numpy.typing import NDArray
from pydantic import Field

from twintrack.calibration.curve import Curve
from twintrack.calibration.methods.base import HIGHEST, LOWEST, ResponseMap
from twintrack.calibration.methods.logistic import fit_logistic


class PlattMap(ResponseMap):
    """f(p) = σ(a logit(p) + b) with a ≥ 0.

    Platt (1999), Probabilistic Outputs for Support Vector Machines, with the logit of the probability as the score.
    """

    method: Literal["platt"] = "platt"
    slope: float = Field(ge=0)
    offset: float

    @classmethod
    def fit(cls, curve: Curve) -> PlattMap:
        """Fit slope and offset by weighted cross-entropy to the response."""
        score = scipy.special.logit(np.clip(curve.probability, LOWEST, HIGHEST))
        features = np.column_stack([score, np.ones_like(score)])
        slope, offset = fit_logistic(features, curve, start=[1.0, 0.0], bounds=[(0.0, 1e3), (-50.0, 50.0)])
        return cls(slope=slope, offset=offset)

    def __call__(self, probability: NDArray[Any]) -> NDArray[np.float64]:
        """Map probabilities to responses."""
        p = np.clip(np.asarray(probability, np.float64), LOWEST, HIGHEST)
        return np.asarray(scipy.special.expit(self.slope * scipy.special.logit(p) + self.offset))
