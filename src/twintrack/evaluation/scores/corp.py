"""The CORP decomposition: how much of a squared error is miscalibration, and how much discrimination buys."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from twintrack.calibration.curve import Curve
from twintrack.calibration.methods.isotonic import pool_adjacent_violators
from twintrack.compute.blocks import blocks
from twintrack.compute.dot import dot
from twintrack.errors import InputError
from twintrack.evaluation.scores.arrays import unit_pair, unit_values


@dataclass(frozen=True, eq=False)
class ResponsePoints:
    """Voxels grouped by predicted value: all that the decomposition needs. Points of several cases add.

    Attributes:
        probability: Distinct predicted values in [0, 1], float64, strictly increasing, shape (n,).
        weight: Weight (number) of the voxels at each, positive, shape (n,).
        response: Their mean response, shape (n,).
        squares: Σ weight × response² over the voxels themselves; what exceeds Σ weight × (mean response)² is the
            spread of the responses within the points.
    """

    probability: NDArray[np.float64]
    weight: NDArray[np.float64]
    response: NDArray[np.float64]
    squares: float

    @classmethod
    def of(cls, probability: NDArray[Any], response: NDArray[Any]) -> ResponsePoints:
        """Group the voxels of a case, exactly.

        Only voxels with p > 0 are sorted; beside the two inputs it takes about 30 bytes for each of those.

        Args:
            probability: Predicted probability or response, float32 in [0, 1], any shape.
            response: Observed mean human response in [0, 1], same shape.

        Returns:
            The points.

        Raises:
            InputError: If the shapes differ, there is no voxel, or a value is NaN or outside [0, 1].
        """
        p, r = unit_pair(probability, response)
        rated = p > 0
        values, group = np.unique(p[rated], return_inverse=True)
        weight = np.bincount(group, minlength=values.size).astype(np.float64)
        total = np.bincount(group, weights=r[rated], minlength=values.size)
        zeros = p.size - float(weight.sum())
        if zeros:
            values, weight = np.append(0, values), np.append(zeros, weight)
            total = np.append(_total(r, where=~rated), total)
        return cls(values.astype(np.float64), weight, np.clip(total / weight, 0, 1), _total(r, power=2))

    @classmethod
    def of_votes(cls, probability: NDArray[Any], counts: NDArray[Any]) -> ResponsePoints:
        """Take the points from counts of votes, as a `ResponseTable` holds them for K raters.

        With `level_values` as the probabilities a table gives a cohort in milliseconds; its scores are those of the
        middles of the levels, which are within 0.1 % of p or of 1 − p.

        Args:
            probability: Predicted values in [0, 1], shape (n,).
            counts: Weight of the voxels at each value that j of the K raters labelled, shape (n, K + 1).

        Returns:
            The points that occur.

        Raises:
            InputError: If the shapes do not fit, nothing is counted, or a value is out of range.
        """
        values = unit_values(probability, name="probability").size
        table = np.asarray(counts, np.float64)
        if table.ndim != 2 or table.shape[0] != values or table.shape[1] < 2 or not table.any() or table.min() < 0:
            raise InputError(f"expected counts (≥ 0, not all 0) of shape ({values}, K + 1); got shape {table.shape}")
        responses = np.arange(table.shape[1]) / (table.shape[1] - 1)
        weight = table.sum(axis=1)
        kept = weight > 0
        mean = (table @ responses)[kept] / weight[kept]
        squares = float((table @ responses**2).sum())
        return _merged(np.asarray(probability, np.float64).reshape(-1)[kept], weight[kept], mean, squares)

    def __add__(self, other: ResponsePoints) -> ResponsePoints:
        return _merged(
            np.concatenate([self.probability, other.probability]),
            np.concatenate([self.weight, other.weight]),
            np.concatenate([self.response, other.response]),
            self.squares + other.squares,
        )


@dataclass(frozen=True, eq=False)
class Corp:
    """A mean squared error to the response, decomposed: score = miscalibration − discrimination + uncertainty.

    Attributes:
        score: Mean squared error of the prediction to the response.
        miscalibration: MCB, what isotonic recalibration would take away; 0 or more, 0 if calibrated.
        discrimination: DSC, what the recalibrated prediction gains over the constant mean response; 0 or more.
        uncertainty: UNC, the mean squared error of that constant: the variance of the response over the voxels.
        disagreement: mean r (1 − r), the raters' own variance; what the label forms below add.
        first: Lowest predicted value of each block of the recalibration, shape (b,).
        last: Highest predicted value of each block.
        response: Recalibrated value of each block, strictly increasing: the reliability diagram is the graph of
            `response` over [first, last].
        weight: Weight of the voxels in each block.
    """

    score: float
    miscalibration: float
    discrimination: float
    uncertainty: float
    disagreement: float
    first: NDArray[np.float64]
    last: NDArray[np.float64]
    response: NDArray[np.float64]
    weight: NDArray[np.float64]

    @property
    def label_score(self) -> float:
        """Brier score against each rater's labels."""
        return self.score + self.disagreement

    @property
    def label_uncertainty(self) -> float:
        """UNC of the Brier score against each rater's labels, r̄ (1 − r̄) for the mean response r̄."""
        return self.uncertainty + self.disagreement


def corp(probability: NDArray[Any], response: NDArray[Any]) -> Corp:
    """Decompose the squared error of a prediction to the mean human response; see `corp_of_points`.

    Args:
        probability: Predicted probability or response, float32 in [0, 1], any shape.
        response: Observed mean human response in [0, 1], same shape.

    Returns:
        The decomposition and the recalibration curve.

    Raises:
        InputError: If the shapes differ, there is no voxel, or a value is NaN or outside [0, 1].
    """
    return corp_of_points(ResponsePoints.of(probability, response))


def corp_of_points(points: ResponsePoints) -> Corp:
    """Decompose the squared error of pooled voxels to their mean human response.

    With S(x) = mean (x − r)² over voxels, p̂ the isotonic regression of r on p (pool adjacent violators; voxels of
    equal p are one point) and r̄ the mean of r: MCB = S(p) − S(p̂), DSC = S(r̄) − S(p̂), UNC = S(r̄). Dimitriadis,
    Gneiting, Jordan (2021), Stable reliability diagrams for probabilistic classifiers, PNAS 118(8), the CORP score
    decomposition, there for labels of 0 and 1.

    For fractional responses there are two choices of S: to the response, or to each rater's label, which is
    larger by the constant mean r (1 − r). The constant cancels in MCB and DSC, which are therefore the same for both;
    score and uncertainty are given to the response, and to the labels as `label_score` and `label_uncertainty`.

    Args:
        points: The voxels, grouped by predicted value.

    Returns:
        The decomposition and the recalibration curve.
    """
    p, weight, response = points.probability, points.weight, points.response
    blocks_ = pool_adjacent_violators(Curve(p, weight, response))
    recalibrated = np.repeat(blocks_.response, blocks_.last - blocks_.first + 1)
    total = float(weight.sum())
    mean = dot(weight, response) / total
    squares = points.squares / total
    spread = max(squares - dot(weight, response**2) / total, 0.0)
    score, best = (dot(weight, (f - response) ** 2) / total + spread for f in (p, recalibrated))
    return Corp(
        score=score,
        # Never negative but for the last digit.
        miscalibration=max(score - best, 0.0),
        # S(r̄) − S(p̂) without cancellation: p̂ is the mean response of each block.
        discrimination=dot(weight, (recalibrated - mean) ** 2) / total,
        uncertainty=dot(weight, (response - mean) ** 2) / total + spread,
        disagreement=max(mean - squares, 0.0),
        first=p[blocks_.first],
        last=p[blocks_.last],
        response=blocks_.response,
        weight=blocks_.weight,
    )


def _total(values: NDArray[np.float32], *, power: int = 1, where: NDArray[np.bool_] | None = None) -> float:
    total = 0.0
    for part in blocks(values.size):
        of_part = values[part] if where is None else values[part][where[part]]
        total += float((of_part.astype(np.float64) ** power).sum())
    return total


def _merged(
    probability: NDArray[np.float64], weight: NDArray[np.float64], response: NDArray[np.float64], squares: float
) -> ResponsePoints:
    values, group = np.unique(probability, return_inverse=True)
    total = np.bincount(group, weights=weight).astype(np.float64)
    mean = np.bincount(group, weights=weight * response) / total
    return ResponsePoints(values, total, np.clip(mean, 0, 1), squares)
