"""Identity: the probability is taken for the response. The baseline of every comparison."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from twintrack.calibration.curve import Curve
from twintrack.calibration.methods.base import ResponseMap


class IdentityMap(ResponseMap):
    """f(p) = p."""

    method: Literal["identity"] = "identity"

    @classmethod
    def fit(cls, curve: Curve) -> IdentityMap:  # noqa: ARG003  (nothing is learnt)
        """Learn nothing."""
        return cls()

    def __call__(self, probability: NDArray[Any]) -> NDArray[np.float64]:
        """Give the probabilities as they are."""
        return np.asarray(probability, np.float64)
