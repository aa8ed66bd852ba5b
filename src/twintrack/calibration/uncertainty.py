"""How sure a calibration is of its map: the maps that other draws of the calibration patients would have given.

Patients are drawn with replacement (bootstrap; Efron 1979), all cases of one together, and the same method with the
same settings is fitted to each draw. Not in it: that another draw might have led to another choice of the method.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import scipy
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from twintrack.calibration.conditional.reference import shipped_reference
from twintrack.calibration.methods import AnyMap, ResponseMap, fit_map
from twintrack.calibration.methods.isotonic import IsotonicMap
from twintrack.calibration.methods.knots import KnotMap
from twintrack.calibration.sample import CaseSample
from twintrack.calibration.selection.candidates import Candidate, judge
from twintrack.calibration.tally import CoarseCounts, coarse_curve

REPLICATES = 50
"""Default number of draws: enough for the ends of a 90 % interval."""

LEVEL = 0.9
"""Share of the draws within a band or an interval."""

_DIGITS = 6
# Pitfall: most voxels of a CT lie far out, and a map that is cut short there says nothing of their sum.
_LOGITS = np.concatenate([np.arange(-24, -9, 1.5), np.linspace(-9, 9, 48), np.arange(10.5, 17, 1.5)])
_KNOTS = _LOGITS.size + 2  # 0 and 1 too


class Uncertainty(BaseModel):
    """Maps fitted to resampled patients.

    Attributes:
        replicates: The maps; those with many knots are kept at 65 of them.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    replicates: tuple[AnyMap, ...] = Field(min_length=2)

    def band(
        self, probability: NDArray[Any], *, level: float = LEVEL
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
        """Give the band of the calibration curve.

        Args:
            probability: Where, numbers in [0, 1], any shape.
            level: Share of the maps within, at each probability by itself.

        Returns:
            Lower and upper response, same shape; None for a case-aware map, which is not a curve.
        """
        curves = [one(probability) for one in self.replicates if isinstance(one, ResponseMap)]
        if not curves:
            return None
        return ends(np.stack(curves), level)

    def interval(
        self, predicted: CaseSample, *, level: float = LEVEL
    ) -> tuple[tuple[float, float], NDArray[np.float64], NDArray[np.float64]]:
        """Say how sure the map is of a case.

        Args:
            predicted: The case: a sample without raters, as `CaseSample.of` takes it.
            level: Share of the maps within.

        Returns:
            Interval of the expected volume in voxels, and lower and upper response of the sample's rows `high`. It is
            the uncertainty of an expectation: a further rater's volume varies more.
        """
        found = [judge(one, predicted) for one in self.replicates]
        volumes = [float(predicted.low.weight @ one.low + predicted.high.weight @ one.high) for one in found]
        low, high = ends(np.array(volumes), level)
        return (float(low), float(high)), *ends(np.stack([one.high for one in found]), level)


def resampled(
    fitted: AnyMap,
    samples: Sequence[CaseSample],
    *,
    weights: Sequence[float] | None = None,
    replicates: int = REPLICATES,
    seed: int = 0,
) -> Uncertainty | None:
    """Fit a map again to patients drawn with replacement.

    Args:
        fitted: The map, fitted to all of them.
        samples: The calibration cases.
        weights: How often each counted in the fit; by default once.
        replicates: How many draws, at least two.
        seed: Of the draws.

    Returns:
        The maps; None of fewer than two patients, which tell nothing of other patients.

    Raises:
        CalibrationError: If a draw cannot be fitted.
    """
    candidate, reference = Candidate.of(fitted), shipped_reference()
    given = np.ones(len(samples)) if weights is None else np.asarray(weights, float)
    draws = _draws([sample.patient for sample in samples], replicates, seed)
    maps = (candidate.fit(samples, reference, weights=(times * given).tolist(), near=fitted) for times in draws)
    return _of(maps) if draws else None


def resampled_curves(
    method: str, counted: Sequence[tuple[int, CoarseCounts]], *, replicates: int = REPLICATES, seed: int = 0
) -> Uncertainty | None:
    """Fit a map of the probability alone to patients drawn with replacement.

    Args:
        method: Its method.
        counted: For each case the number of its patient and its counts.
        replicates: How many draws, at least two.
        seed: Of the draws.

    Returns:
        The maps; None of fewer than two patients.
    """
    draws = _draws([patient for patient, _ in counted], replicates, seed)
    every = np.stack([counts for _, counts in counted])
    totals = [np.tensordot(times, every, 1) for times in draws]
    # A draw of cases in which nothing is predicted tells nothing.
    maps = [fit_map(method, coarse_curve(total)) for total in totals if total[0].any()]
    return _of(maps) if len(maps) > 1 else None


def _draws(patients: Sequence[str] | Sequence[int], replicates: int, seed: int) -> list[NDArray[np.float64]]:
    """Say how often each case counts in each draw; cases of a patient are drawn together."""
    names, patient = np.unique(patients, return_inverse=True)
    if names.size < 2:
        return []
    rng = np.random.default_rng(seed)
    share = np.full(names.size, 1 / names.size)
    return [rng.multinomial(names.size, share)[patient].astype(np.float64) for _ in range(replicates)]


def _of(maps: Iterable[AnyMap]) -> Uncertainty:
    return Uncertainty(replicates=tuple(_few_knots(one) for one in maps))


def _few_knots(fitted: AnyMap) -> AnyMap:
    """Keep a map with many numbers at some points only: more are not needed to say how far maps differ."""
    if not isinstance(fitted, KnotMap) or len(fitted.probability) <= _KNOTS:
        return fitted
    knots = np.concatenate([[0.0], scipy.special.expit(_LOGITS), [1.0]])
    response = np.maximum.accumulate(np.clip(np.round(fitted(knots), _DIGITS), 0, 1))
    return IsotonicMap(probability=tuple(knots.tolist()), response=tuple(response.tolist()))


def ends(values: NDArray[np.float64], level: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Give the ends between which the middle share of draws lies.

    Args:
        values: A row for each draw, (R, …).
        level: The share.

    Returns:
        Lower and upper end, (…).
    """
    low, high = np.quantile(values, [(1 - level) / 2, (1 + level) / 2], axis=0)
    return np.asarray(low), np.asarray(high)
