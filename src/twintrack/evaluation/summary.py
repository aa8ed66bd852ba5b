"""From the scores of cases to the scores of a cohort, with intervals and paired differences."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import reduce
from operator import add
from typing import Any

import numpy as np
from numpy.typing import NDArray

from twintrack.evaluation.bootstrap import Interval, patient_weights, weighted_means
from twintrack.evaluation.predictions import pairs
from twintrack.evaluation.protocols import CaseScores, Score, ScoreSet
from twintrack.evaluation.scores.reliability import Reliability


@dataclass(frozen=True, eq=False)
class Values:
    """A score of one prediction.

    Attributes:
        per_case: Its value for each case, NaN where it has none; None for scores that cases do not have.
        cohort: Its value for the cohort.
        resampled: Its value in each resample of the bootstrap.
    """

    per_case: NDArray[np.float64] | None
    cohort: float
    resampled: NDArray[np.float64]

    @classmethod
    def of_cases(cls, per_case: NDArray[np.float64], weights: NDArray[np.float64]) -> Values:
        """Average over cases; cases without a value do not count."""
        finite_values = per_case[np.isfinite(per_case)]
        mean = float(finite_values.mean()) if finite_values.size else math.nan
        return cls(per_case, mean, weighted_means(weights, per_case))


def summarise(
    cases: Sequence[Mapping[str, CaseScores]],
    *,
    rules: ScoreSet,
    patients: Sequence[str],
    repeats: int,
    seed: int,
) -> dict[str, Any]:
    """Summarise one or several predictions of the same cases.

    Args:
        cases: For each case the scores of each prediction; a prediction may be missing in some cases.
        rules: The protocol the scores follow.
        patients: The patient of each case.
        repeats: Resamples of the bootstrap.
        seed: Its seed.

    Returns:
        "scores": for each score its label, meaning, unit and direction, "predictions" with value, low and high of
        each, and "differences" of the pairs that `pairs` names; "reliability": the curve of each prediction, where the
        protocol has one.
    """
    weights = patient_weights(patients, repeats=repeats, seed=seed)
    names = list(dict.fromkeys(name for case in cases for name in case))
    values = {name: _values([case.get(name) for case in cases], weights, rules) for name in names}
    scores = {}
    for key in dict.fromkeys(key for name in names for key in values[name]):
        score = rules.describe(key)
        found = {name: values[name][key] for name in names if key in values[name]}
        scores[key] = {
            "label": score.label,
            "meaning": score.meaning,
            "unit": score.unit,
            "better": score.better,
            "predictions": {name: asdict(Interval.of(one.cohort, one.resampled)) for name, one in found.items()},
            "differences": [
                {"of": new, "to": old, **difference(score, found[old], found[new], weights)}
                for new, old in pairs(names)
                if new in found and old in found
            ],
        }
    curves = {
        name: reduce(add, [case[name].sums["width"] for case in cases]).points()
        for name in names
        if all(name in case and "width" in case[name].sums for case in cases)
    }
    return {"scores": scores, "reliability": curves}


def _values(cases: Sequence[CaseScores | None], weights: NDArray[np.float64], rules: ScoreSet) -> dict[str, Values]:
    keys = dict.fromkeys(key for case in cases if case for key in case.values)
    found = {
        key: Values.of_cases(
            np.array([case.values.get(key, math.nan) if case else math.nan for case in cases]), weights
        )
        for key in keys
    }
    complete = [case for case in cases if case and case.sums]
    if len(complete) == len(cases):
        for key, sums in rules.pool(complete).items():
            found[key] = Values(None, reduce(add, sums).calibration_error(), _pooled_error(sums, weights))
    return found


def _pooled_error(cases: Sequence[Reliability], weights: NDArray[np.float64]) -> NDArray[np.float64]:
    gap = np.stack([case.predicted - case.observed for case in cases])
    count = np.array([case.count.sum() for case in cases])
    return np.asarray(np.abs(weights @ gap).sum(axis=1) / (weights @ count))


def difference(score: Score, before: Values, after: Values, weights: NDArray[np.float64]) -> dict[str, Any]:
    """Compare two predictions of the same cases.

    Args:
        score: What is compared.
        before: The one prediction.
        after: The other.
        weights: How often each case is in each resample.

    Returns:
        Value, low and high of after − before; for scores that cases have, the mean is over the cases where both have
        one, and the numbers of cases where `after` is better, equal and worse are given.
    """
    if before.per_case is None or after.per_case is None:
        return asdict(Interval.of(after.cohort - before.cohort, after.resampled - before.resampled))
    gaps = Values.of_cases(after.per_case - before.per_case, weights)
    both = np.isfinite(before.per_case) & np.isfinite(after.per_case)
    both_values = zip(before.per_case[both].tolist(), after.per_case[both].tolist(), strict=True)
    gains = [score.improvement(old, new) for old, new in both_values]
    return {
        **asdict(Interval.of(gaps.cohort, gaps.resampled)),
        "cases_improved": sum(gain > 0 for gain in gains),
        "cases_equal": sum(gain == 0 for gain in gains),
        "cases_worsened": sum(gain < 0 for gain in gains),
    }


def finite(content: Any) -> Any:
    """Put None in place of NaN and infinities, which JSON does not know."""
    if isinstance(content, dict):
        return {key: finite(value) for key, value in content.items()}
    if isinstance(content, (list, tuple)):
        return [finite(value) for value in content]
    if isinstance(content, float) and not math.isfinite(content):
        return None
    return content
