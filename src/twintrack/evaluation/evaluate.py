"""Scoring a cohort: every case before and after calibration, the cohort with intervals."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from twintrack.calibration import Calibration
from twintrack.cohort import Case, CaseData, OnBad, Progress, map_cases
from twintrack.errors import CohortError
from twintrack.evaluation.bootstrap import LEVEL, REPEATS
from twintrack.evaluation.scores import SCORES
from twintrack.evaluation.statistics import CaseStatistics, collect
from twintrack.evaluation.summary import finite, summarise

RAW, CALIBRATED = "raw", "calibrated"
"""The two predictions that are scored: the ensemble's probability, and the response made of it."""

Row: TypeAlias = dict[str, Any]


@dataclass(frozen=True, eq=False)
class Evaluation:
    """The scores of a cohort.

    Attributes:
        per_case: One row for each case and prediction: case, patient, prediction ("raw" or "calibrated"), raters,
            voxel_volume (mm³), rater_volume and predicted_volume (mm³), and every score of
            `twintrack.evaluation.scores.SCORES`.
        summary: For each prediction and score the cohort's value with its interval, the paired difference, how many
            cases improved, and the reliability curve; plain numbers and None, ready for JSON.
    """

    per_case: list[Row]
    summary: dict[str, Any]


@dataclass(frozen=True, eq=False)
class _Scored:
    case: Case
    statistics: Mapping[str, CaseStatistics]


def evaluate(
    cases: Iterable[Case],
    *,
    calibration: Calibration | None = None,
    repeats: int = REPEATS,
    seed: int = 0,
    on_bad: OnBad | None = None,
    progress: Progress | None = None,
) -> Evaluation:
    """Score the ensemble's probability, and the calibrated response, against the raters.

    Every voxel of the grid counts, also outside the ROI, where the prediction is 0: tumour that the ROI missed is an
    error of the whole system.

    Args:
        cases: Cases with members and raters, read one at a time.
        calibration: What to score beside the raw ensemble; None scores the raw ensemble alone.
        repeats: Resamples of the bootstrap over patients.
        seed: Its seed.
        on_bad: Called with a case that cannot be used and the reason. None: raise.
        progress: Wraps the cases to show progress.

    Returns:
        Rows and summary.

    Raises:
        TwinTrackError: If a case cannot be used and `on_bad` is None, or no case is left.
    """
    fitted_on = {record.histogram_sha256 for record in calibration.provenance.cases} if calibration else set[str]()

    def score(case: Case, data: CaseData) -> _Scored:
        masks = list(data.raters.values())
        predictions = {RAW: data.probability()}
        if calibration:
            calibration.check(case)
            predictions[CALIBRATED] = calibration.apply(data)
        volume = data.grid.voxel_volume
        statistics = {name: collect(map_, masks, voxel_volume=volume) for name, map_ in predictions.items()}
        return _Scored(case, statistics)

    scored = list(map_cases(score, cases, label="Evaluating", on_bad=on_bad, progress=progress))
    if not scored:
        raise CohortError("there is nothing to score: every case was skipped")
    rows = [_row(one.case, name, statistics) for one in scored for name, statistics in one.statistics.items()]
    summary = summarise(
        {name: [one.statistics[name] for one in scored] for name in scored[0].statistics},
        patients=[one.case.patient for one in scored],
        repeats=repeats,
        seed=seed,
    )
    about = {"n_cases": len(scored), "n_patients": len({one.case.patient for one in scored})}
    bootstrap = {"repeats": repeats, "seed": seed, "level": LEVEL, "unit": "patient"}
    seen = sum(one.statistics[RAW].histogram_sha256 in fitted_on - {""} for one in scored)
    content = {**about, "n_cases_seen_by_the_fit": seen, "bootstrap": bootstrap, **summary}
    return Evaluation(rows, finite(content))


def _row(case: Case, prediction: str, statistics: CaseStatistics) -> Row:
    volume = statistics.voxel_volume
    scores = statistics.scores()
    return {
        "case": case.id,
        "patient": case.patient,
        "prediction": prediction,
        "raters": len(statistics.rater_volumes),
        "voxel_volume": volume,
        "rater_volume": volume * sum(statistics.rater_volumes) / len(statistics.rater_volumes),
        "predicted_volume": volume * statistics.predicted_volume,
        **{score.name: scores[score.name] for score in SCORES},
    }
