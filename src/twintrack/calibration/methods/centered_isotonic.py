"""Centred isotonic regression: isotonic without its steps."""

from __future__ import annotations

from typing import Literal

import numpy as np

from twintrack.calibration.curve import Curve
from twintrack.calibration.methods.isotonic import pool_adjacent_violators
from twintrack.calibration.methods.knots import KnotMap


class CenteredIsotonicMap(KnotMap):
    """Isotonic regression with each block drawn together to its weighted mean probability.

    Oron, Flournoy (2017), Centered Isotonic Regression: Point and Interval Estimation for Dose-Response Studies.
    Strictly increasing between the first and last block, so that the ranking of voxels survives. A block
    whose response is exactly 0 or 1 cannot be improved upon and keeps both its ends, as in that paper. Constant
    outside the outermost knots.
    """

    method: Literal["centered-isotonic"] = "centered-isotonic"

    @classmethod
    def fit(cls, curve: Curve) -> CenteredIsotonicMap:
        """Fit by pooling adjacent violators, then centre the blocks."""
        blocks = pool_adjacent_violators(curve)
        moment = np.add.reduceat(curve.weight * curve.probability, blocks.first)
        weight = np.add.reduceat(curve.weight, blocks.first)
        # The mean of a block may leave it by rounding.
        low, high = curve.probability[blocks.first], curve.probability[blocks.last]
        centre = np.clip(moment / weight, low, high)
        knots: list[tuple[float, float]] = []
        for b, response in enumerate(np.clip(blocks.response, 0.0, 1.0).tolist()):
            flat = response in (0.0, 1.0) and low[b] < high[b]
            knots += [(low[b], response), (high[b], response)] if flat else [(centre[b], response)]
        probability, response = zip(*knots, strict=True)
        return cls(probability=tuple(map(float, probability)), response=response)
