"""The reliability diagram after CORP: the recalibration curve, and how far from the diagonal chance alone would put it.

The band is one of consistency, after Dimitriadis, Gneiting, Jordan (2021), Stable reliability diagrams for
probabilistic classifiers, PNAS 118(8): what the curve does, at each prediction by itself, if the predictions are
calibrated. There labels are drawn from the predictions, each by itself. Voxels of one patient are not by themselves:
what is missed, is missed by the thousand, and a band of single voxels is too narrow by far. With `patients` whole
patients are drawn instead, each with its own deviations from the curve, which are carried over to the diagonal.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from operator import add

import numpy as np
from numpy.typing import NDArray

from twintrack.calibration.curve import Curve
from twintrack.calibration.methods.isotonic import pool_adjacent_violators
from twintrack.errors import InputError
from twintrack.evaluation.bootstrap import patient_weights
from twintrack.evaluation.scores.corp import Corp, ResponsePoints, corp_of_points
from twintrack.evaluation.scores.reliability import Reliability

LEVEL = 0.9
"""Share of the draws within the band."""

REPEATS = 500


@dataclass(frozen=True, eq=False)
class ReliabilityDiagram:
    """All that a reliability diagram shows of one prediction.

    Attributes:
        corp: The decomposition and the blocks of the curve, in the form for labels: its score is the Brier score
            against each rater's labels, its uncertainty that of the labels.
        predicted: Mean prediction of each occupied bin, increasing, shape (n,).
        recalibrated: The curve there, non-decreasing.
        weight: Number of voxels of each bin.
        lower: Lower end of the band about the diagonal, at each prediction by itself; NaN where there is no band (whole
            patients are to be drawn, and there is one).
        upper: Upper end.
        level: Share of the draws within the band.
    """

    corp: Corp
    predicted: NDArray[np.float64]
    recalibrated: NDArray[np.float64]
    weight: NDArray[np.float64]
    lower: NDArray[np.float64]
    upper: NDArray[np.float64]
    level: float

    @property
    def share_outside(self) -> float:
        """Share of the voxels where the curve leaves the band, in [0, 1]."""
        outside = (self.recalibrated < self.lower) | (self.recalibrated > self.upper)
        return float(self.weight[outside].sum() / self.weight.sum())


def reliability_diagram(
    cases: Sequence[Reliability],
    *,
    patients: Sequence[str] | None = None,
    level: float = LEVEL,
    repeats: int = REPEATS,
    seed: int = 0,
) -> ReliabilityDiagram:
    """Make the reliability diagram of pooled voxels.

    Args:
        cases: Sums of each case over fine bins of the prediction, as `strip_sums` gives them and the protocol
            "response" keeps them ("strips"); all with the same bins.
        patients: The patient of each case, to be drawn whole. None: every voxel is drawn by itself, with one label;
            right only for predictions that have nothing to do with each other.
        level: Share of the draws within the band.
        repeats: Number of draws.
        seed: Their seed.

    Returns:
        Curve, band and decomposition.

    Raises:
        InputError: If there is no voxel, the bins differ, or there are not as many patients as cases.
    """
    _check(cases, patients, level)
    pooled = reduce(add, cases)
    occupied = pooled.count > 0
    predicted = pooled.predicted[occupied] / pooled.count[occupied]
    weight = pooled.count[occupied].astype(np.float64)
    observed = pooled.observed[occupied]
    curve = _recalibrated(predicted, weight, observed)
    lower, upper = np.full((2, predicted.size), np.nan)
    if patients is None:
        draws = _labels(predicted, weight, repeats=repeats, seed=seed)
        lower, upper = _band(predicted, draws, level=level)
    elif len(set(patients)) > 1:
        sums = [
            np.stack([getattr(one, name)[occupied] for one in cases]) for name in ("count", "predicted", "observed")
        ]
        times = patient_weights(patients, repeats=repeats, seed=seed)
        draws = _patients(*sums, curve=curve, times=times, more=_more(len(set(patients))))
        lower, upper = _band(predicted, draws, level=level)
    # With Σ response for Σ response² the responses count as labels of 0 and 1, of which they are the means.
    points = ResponsePoints(predicted, weight, np.clip(observed / weight, 0, 1), float(observed.sum()))
    return ReliabilityDiagram(corp_of_points(points), predicted, curve, weight, lower, upper, level)


def _check(cases: Sequence[Reliability], patients: Sequence[str] | None, level: float) -> None:
    sizes = {one.count.size for one in cases}
    if len(sizes) != 1 or not any(one.count.any() for one in cases):
        raise InputError(f"a reliability diagram needs cases with voxels in the same bins; got {len(cases)} cases")
    if patients is not None and len(patients) != len(cases):
        raise InputError(f"expected the patient of each of {len(cases)} cases; got {len(patients)}")
    if not 0 < level < 1:
        raise InputError(f"level: expected a share between 0 and 1; got {level}")


def _labels(
    predicted: NDArray[np.float64], weight: NDArray[np.float64], *, repeats: int, seed: int
) -> list[tuple[NDArray[np.float64], NDArray[np.float64]]]:
    """Draw the sum of the labels of each bin, as the predictions say."""
    rng = np.random.default_rng(seed)
    share = np.clip(predicted, 0, 1)
    drawn = rng.binomial(weight.astype(np.int64), share, size=(repeats, share.size))
    return [(weight, row.astype(np.float64)) for row in drawn]


def _patients(
    count: NDArray[np.float64],
    predicted: NDArray[np.float64],
    observed: NDArray[np.float64],
    *,
    curve: NDArray[np.float64],
    times: NDArray[np.float64],
    more: float,
) -> list[tuple[NDArray[np.float64], NDArray[np.float64]]]:
    """Draw patients; each deviates from the diagonal as it does from the curve."""
    calibrated = (observed - count * curve) * more + predicted
    return list(zip(times @ count, times @ calibrated, strict=True))


def _more(n: int) -> float:
    """Say how much more n patients deviate from a curve of other patients than from their own (n − 1 instead of n)."""
    return math.sqrt(n / (n - 1))


def _band(
    predicted: NDArray[np.float64],
    draws: Sequence[tuple[NDArray[np.float64], NDArray[np.float64]]],
    *,
    level: float,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    curves = [_recalibrated(predicted, weight, observed) for weight, observed in draws]
    low, high = np.quantile(curves, [(1 - level) / 2, (1 + level) / 2], axis=0)
    return np.clip(low, 0, 1), np.clip(high, 0, 1)


def _recalibrated(
    predicted: NDArray[np.float64], weight: NDArray[np.float64], observed: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Give the isotonic fit at each bin; between bins that hold something it is linear."""
    held = weight > 0
    found = pool_adjacent_violators(Curve(predicted[held], weight[held], observed[held] / weight[held]))
    fitted = np.repeat(found.response, found.last - found.first + 1)
    return np.asarray(np.interp(predicted, predicted[held], fitted))
