"""Isotonic regression: the best non-decreasing map, the method of the TwinTrack paper."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import scipy
from numpy.typing import NDArray

from twintrack.calibration.curve import Curve
from twintrack.calibration.methods.knots import KnotMap


@dataclass(frozen=True, eq=False)
class Blocks:
    """The solution of isotonic regression: runs of probabilities that share one response.

    Attributes:
        first: Index of the first point of each block.
        last: Index of the last point of each block.
        response: Common response of each block, strictly increasing.
        weight: Weight of each block.
    """

    first: NDArray[np.intp]
    last: NDArray[np.intp]
    response: NDArray[np.float64]
    weight: NDArray[np.float64]


def pool_adjacent_violators(curve: Curve) -> Blocks:
    """Minimise Σ w (r − f)² over non-decreasing f.

    Barlow, Bartholomew, Bremner, Brunk (1972), Statistical Inference under Order Restrictions; SciPy does the work.

    Args:
        curve: Points by increasing probability.

    Returns:
        The blocks.
    """
    solution = scipy.optimize.isotonic_regression(curve.response, weights=curve.weight)
    edges = np.asarray(solution.blocks)
    return Blocks(edges[:-1], edges[1:] - 1, solution.x[edges[:-1]], np.asarray(solution.weights))


class IsotonicMap(KnotMap):
    """The non-decreasing f that minimises Σ w (r − f(p))².

    Fitted to the mean human response it equals the fit to all raters' pooled labels. Constant over a block,
    linear between the end of one block and the start of the next (as scikit-learn does).
    """

    method: Literal["isotonic"] = "isotonic"

    @classmethod
    def fit(cls, curve: Curve) -> IsotonicMap:
        """Fit by pooling adjacent violators."""
        blocks = pool_adjacent_violators(curve)
        ends = np.column_stack([blocks.first, blocks.last]).ravel()
        response = np.clip(np.repeat(blocks.response, 2), 0.0, 1.0)
        keep = np.concatenate(([True], np.diff(ends) > 0))
        return cls(probability=tuple(curve.probability[ends[keep]].tolist()), response=tuple(response[keep].tolist()))
