"""Selective prediction: how the risk falls when the least confident voxels are left to a human (AURC)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.special import digamma

from twintrack.errors import InputError
from twintrack.evaluation.scores.arrays import unit_case
from twintrack.raters.response import vote_count

Risk: TypeAlias = Literal["squared", "majority", "raters"]
"""What goes wrong at a voxel: (p − r)²; the label is not the majority's; the share of raters with another label."""


@dataclass(frozen=True, eq=False)
class RiskCoverage:
    """A risk–coverage curve and the areas under it.

    Attributes:
        coverage: Share of the voxels kept when all at least as confident as each distinct confidence are,
            increasing to 1, shape (g,).
        risk: Mean risk of the kept voxels, shape (g,).
        area: AURC, the mean over all numbers of kept voxels of the mean risk of the kept.
        optimal_area: The AURC of the best order there is, by the risk itself (the oracle).
    """

    coverage: NDArray[np.float64]
    risk: NDArray[np.float64]
    area: float
    optimal_area: float

    @property
    def excess_area(self) -> float:
        """E-AURC, the area above the oracle's: what a better confidence could gain; 0 at best."""
        return self.area - self.optimal_area


def risk_coverage(confidence: NDArray[Any], risk: NDArray[Any]) -> RiskCoverage:
    """Give the risk–coverage curve of any confidence and any risk, of voxels or of cases.

    Ordered by decreasing confidence, AURC = (1/n) Σ_{i=1…n} mean risk of the first i. Geifman, El-Yaniv (2017),
    Selective Classification for Deep Neural Networks, NeurIPS (coverage and selective risk); Geifman, Uziel, El-Yaniv
    (2019), Bias-Reduced Uncertainty Estimation for Deep Neural Classifiers, ICLR (AURC and E-AURC). Equal confidences
    have no order: their part of the area is its expectation over random orders, in closed form, so that the result
    does not depend on the order of the voxels.

    Args:
        confidence: Numbers of any scale, higher is surer, any shape.
        risk: Non-negative numbers, same shape.

    Returns:
        Curve and areas.

    Raises:
        InputError: If the shapes differ, there is no number, or one is not finite or a risk is negative.
    """
    sure, cost = np.asarray(confidence, np.float64), np.asarray(risk, np.float64)
    if sure.shape != cost.shape or sure.size == 0:
        raise InputError(f"expected confidence and risk of one shape that hold numbers; got {sure.shape}, {cost.shape}")
    if not (np.isfinite(sure).all() and np.isfinite(cost).all() and cost.min() >= 0):
        raise InputError("confidence and risk must be finite and the risk not negative; found other values")
    return _curve(-sure.reshape(-1), cost.reshape(-1), certain=0)


def voxel_risk_coverage(
    probability: NDArray[Any], masks: Sequence[NDArray[Any]], *, risk: Risk = "squared"
) -> RiskCoverage:
    """Give the risk–coverage curve of a case's voxels; see `risk_coverage`.

    The confidence is max(p, 1 − p), the predicted label 1 where p > 1/2. Voxels are ordered by min(p, 1 − p), which
    float32 holds exactly where it would round 1 − p to 1. The voxels with p = 0 and no vote, most of a CT, are not
    sorted: they share the highest confidence and the risk 0.

    Args:
        probability: Predicted probability or response, float32 in [0, 1], (z, y, x) or (y, x).
        masks: K raters' binary masks, same shape.
        risk: "squared": (p − r)². "majority": 1 where the label is not that of more than half of the raters.
            "raters": share of raters with another label.

    Returns:
        Curve and areas. Areas shrink with the share of sure background: compare figures of one region only.

    Raises:
        InputError: If the arrays are not as described.
    """
    p_all, votes_all = unit_case(probability, masks)
    k = len(votes_all)
    votes = vote_count(votes_all).reshape(-1)
    p = p_all.reshape(-1)
    open_ = (p > 0) | (votes > 0)
    p, votes = p[open_], votes[open_]
    uncertainty = np.minimum(p, 1 - p)
    return _curve(uncertainty, _risk(p, votes, k, risk), certain=open_.size - p.size)


def _risk(p: NDArray[np.float32], votes: NDArray[np.unsignedinteger[Any]], k: int, risk: Risk) -> NDArray[np.float64]:
    if risk == "squared":
        return np.asarray(np.square(p - votes / k))
    if risk == "majority":
        return np.asarray((p > 0.5) != (votes > k // 2), np.float64)
    if risk == "raters":
        return np.where(p > 0.5, 1 - votes / k, votes / k)
    raise InputError(f"risk: expected squared, majority or raters; got {risk!r}")


def _curve(uncertainty: NDArray[Any], risk: NDArray[np.float64], *, certain: int) -> RiskCoverage:
    # `certain` further voxels of uncertainty 0 and risk 0 stand in front as one weighted entry.
    order = np.argsort(uncertainty)
    keys, costs = uncertainty[order], risk[order]
    count = np.ones(keys.size)
    if certain:
        keys, costs, count = np.append(0, keys), np.append(0, costs), np.append(certain, count)
    start = np.flatnonzero(np.append(True, keys[1:] != keys[:-1]))
    count, total = np.add.reduceat(count, start), np.add.reduceat(costs, start)
    kept, lost = np.cumsum(count), np.cumsum(total)
    n = kept[-1]
    ranked = np.sort(risk)
    optimal = np.cumsum(ranked) / (certain + np.arange(1, ranked.size + 1))
    return RiskCoverage(kept / n, lost / kept, _area(count, total, kept, lost) / n, float(optimal.sum()) / n)


def _area(
    count: NDArray[np.float64], total: NDArray[np.float64], kept: NDArray[np.float64], lost: NDArray[np.float64]
) -> float:
    # Within a group of g voxels of mean risk m, after n voxels of total risk s, the expected mean risk of the kept
    # is (s + j m) / (n + j), j = 1 … g; its sum is g m + (s − n m) Σ 1 / (n + j), and that of 1 / (n + j) a
    # difference of digamma functions.
    mean = total / count
    before = kept - count
    harmonic = digamma(kept + 1) - digamma(before + 1)
    return float((total + (lost - total - before * mean) * harmonic).sum())
