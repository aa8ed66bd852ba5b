"""Beta calibration: separate slopes for small and large probabilities."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import scipy
from numpy.typing import NDArray
from pydantic import Field

from twintrack.calibration.curve import Curve
from twintrack.calibration.methods.base import HIGHEST, LOWEST, ResponseMap
from twintrack.calibration.methods.logistic import fit_logistic


class BetaMap(ResponseMap):
    """f(p) = σ(a ln p − b ln(1 − p) + c) with a, b ≥ 0.

    Kull, Silva Filho, Flach (2017), Beta calibration, equation 7.
    """

    method: Literal["beta"] = "beta"
    a: float = Field(ge=0)
    b: float = Field(ge=0)
    c: float

    @classmethod
    def fit(cls, curve: Curve) -> BetaMap:
        """Fit a, b and c by weighted cross-entropy to the response."""
        p = np.clip(curve.probability, LOWEST, HIGHEST)
        features = np.column_stack([np.log(p), -np.log1p(-p), np.ones_like(p)])
        a, b, c = fit_logistic(features, curve, start=[1.0, 1.0, 0.0], bounds=[(0.0, 1e3), (0.0, 1e3), (-50.0, 50.0)])
        return cls(a=a, b=b, c=c)

    def __call__(self, probability: NDArray[Any]) -> NDArray[np.float64]:
        """Map probabilities to responses."""
        p = np.clip(np.asarray(probability, np.float64), LOWEST, HIGHEST)
        return np.asarray(scipy.special.expit(self.a * np.log(p) - self.b * np.log1p(-p) + self.c))
