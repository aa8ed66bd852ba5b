"""Temperature scaling: one number that sharpens or softens all odds alike."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import scipy
from numpy.typing import NDArray
from pydantic import Field

from twintrack.calibration.curve import Curve
from twintrack.calibration.methods.base import HIGHEST, LOWEST, ResponseMap
from twintrack.calibration.methods.logistic import fit_logistic


class TemperatureMap(ResponseMap):
    """f(p) = σ(logit(p) / T): the odds are raised to the power 1/T.

    Guo, Pleiss, Sun, Weinberger (2017), On Calibration of Modern Neural Networks, section 4.2; for two classes and
    applied to the averaged probability, since the members' logits are not kept.
    """

    method: Literal["temperature"] = "temperature"
    temperature: float = Field(gt=0)

    @classmethod
    def fit(cls, curve: Curve) -> TemperatureMap:
        """Fit T by weighted cross-entropy to the response."""
        features = scipy.special.logit(np.clip(curve.probability, LOWEST, HIGHEST))[:, None]
        (slope,) = fit_logistic(features, curve, start=[1.0], bounds=[(1e-3, 1e3)])
        return cls(temperature=1.0 / slope)

    def __call__(self, probability: NDArray[Any]) -> NDArray[np.float64]:
        """Map probabilities to responses."""
        p = np.clip(np.asarray(probability, np.float64), LOWEST, HIGHEST)
        return np.asarray(scipy.special.expit(scipy.special.logit(p) / self.temperature))
