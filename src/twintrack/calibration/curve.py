"""A `Curve`: mean target and weight at each distinct probability, the form in which every method is fitted."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from twintrack.errors import CalibrationError


@dataclass(frozen=True, eq=False)
class Curve:
    """Mean target by probability.

    Attributes:
        probability: Distinct probabilities in [0, 1], float64, strictly increasing.
        weight: Weight of the voxels at each, positive.
        response: Their mean target, in [0, 1].

    Raises:
        CalibrationError: If there is no point.
    """

    probability: NDArray[np.float64]
    weight: NDArray[np.float64]
    response: NDArray[np.float64]

    def __post_init__(self) -> None:
        if not self.probability.size:
            raise CalibrationError(
                "there is nothing to fit: every voxel inside the ROI has probability exactly 0. "
                "Check the foreground (--foreground) and the ROI."
            )

    def mean_response(self) -> float:
        """Give the weighted mean target."""
        return float(np.average(self.response, weights=self.weight))
