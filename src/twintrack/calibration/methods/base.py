"""What every fitted map is: a non-executable set of numbers that turns probabilities into responses."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict
from typing_extensions import Self

from twintrack.calibration.curve import Curve

LOWEST, HIGHEST = 2.0**-33, 1.0 - 2.0**-25
"""Bounds within which a probability is kept before its logit is taken.

A float32 softmax reaches exact 0 and 1 by rounding; these bounds lie half-way between them and the
nearest numbers that the level scheme tells apart.
"""


class ResponseMap(BaseModel, ABC):
    """A fitted map from probability to response, as it is saved."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    @classmethod
    @abstractmethod
    def fit(cls, curve: Curve) -> Self:
        """Fit the map to a curve.

        Args:
            curve: Mean target and weight by probability.

        Returns:
            The fitted map.
        """

    @abstractmethod
    def __call__(self, probability: NDArray[Any]) -> NDArray[np.float64]:
        """Map probabilities to responses.

        Args:
            probability: Numbers in [0, 1], any shape.

        Returns:
            Responses in [0, 1], float64, same shape.
        """
