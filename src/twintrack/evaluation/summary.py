"""From the statistics of cases to the scores of a cohort, with intervals and paired differences."""

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
from twintrack.evaluation.reliability import BINS, Reliability
from twintrack.evaluation.scores import POOLED, SCORES, Score
from twintrack.evaluation.statistics import CaseStatistics


@dataclass(frozen=True, eq=False)
class _Values:
    """A score of one prediction: per case where it has such values, over the cohort, and over each resample."""

    per_case: NDArray[np.float64] | None
    cohort: float
    resampled: NDArray[np.float64]


def summarise(
    statistics: Mapping[str, Sequence[CaseStatistics]], *, patients: Sequence[str], repeats: int, seed: int
) -> dict[str, Any]:
    """Summarise one or several predictions of the same cases.

    Args:
        statistics: For each prediction the statistics of every case, in the same order.
        patients: The patient of each case.
        repeats: Resamples of the bootstrap.
        seed: Its seed.

    Returns:
        "scores": for each score its meaning, unit and direction, for each prediction value, low and high, and (with a
        second prediction) "difference" to the first with interval and the number of cases improved and worsened;
        "reliability": the curve of each prediction.
    """
    weights = patient_weights(patients, repeats=repeats, seed=seed)
    values = {name: _values(cases, weights) for name, cases in statistics.items()}
    first, *others = statistics
    scores = {}
    for score in (*SCORES, *POOLED):
        entry: dict[str, Any] = {
            "label": score.label,
            "meaning": score.meaning,
            "unit": score.unit,
            "better": score.better,
        }
        for name in statistics:
            entry[name] = asdict(Interval.of(values[name][score.name].cohort, values[name][score.name].resampled))
        for name in others:
            entry["difference"] = _difference(score, values[first][score.name], values[name][score.name])
        scores[score.name] = entry
    curves = {name: reduce(add, [case.width for case in cases]).points() for name, cases in statistics.items()}
    return {"scores": scores, "reliability": curves}


def _values(cases: Sequence[CaseStatistics], weights: NDArray[np.float64]) -> dict[str, _Values]:
    table = [case.scores() for case in cases]
    found = {}
    for score in SCORES:
        column = np.array([row[score.name] for row in table])
        found[score.name] = _Values(column, float(np.nanmean(column)), weighted_means(weights, column))
    index = reduce(add, [case.strips for case in cases]).equal_mass_index(bins=BINS)
    pooled = {
        "pooled_mhr_ece": [case.width for case in cases],
        "pooled_mhr_ece_mass": [case.strips.grouped(index, bins=BINS) for case in cases],
    }
    for name, sums in pooled.items():
        found[name] = _Values(None, reduce(add, sums).calibration_error(), _pooled_error(sums, weights))
    return found


def _pooled_error(cases: Sequence[Reliability], weights: NDArray[np.float64]) -> NDArray[np.float64]:
    gap = np.stack([case.predicted - case.observed for case in cases])
    count = np.array([case.count.sum() for case in cases])
    return np.asarray(np.abs(weights @ gap).sum(axis=1) / (weights @ count))


def _difference(score: Score, before: _Values, after: _Values) -> dict[str, Any]:
    interval = Interval.of(after.cohort - before.cohort, after.resampled - before.resampled)
    found = asdict(interval)
    if before.per_case is not None and after.per_case is not None:
        gains = [score.improvement(a, b) for a, b in zip(before.per_case, after.per_case, strict=True)]
        found["cases_improved"] = sum(bool(gain > 0) for gain in gains)
        found["cases_worsened"] = sum(bool(gain < 0) for gain in gains)
    return found


def finite(content: Any) -> Any:
    """Put None in place of NaN and infinities, which JSON does not know."""
    if isinstance(content, dict):
        return {key: finite(value) for key, value in content.items()}
    if isinstance(content, (list, tuple)):
        return [finite(value) for value in content]
    if isinstance(content, float) and not math.isfinite(content):
        return None
    return content
