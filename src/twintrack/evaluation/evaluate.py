"""Scoring a cohort: every case before and after calibration, the cohort with intervals, and the human ceiling."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, replace
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from twintrack.calibration import Calibration
from twintrack.calibration.record import histogram_sha256
from twintrack.cohort import Case, CaseData, Cohort, OnBad, Progress, map_cases
from twintrack.compute.executors import Executor
from twintrack.compute.levels import level_histogram
from twintrack.errors import CohortError
from twintrack.evaluation.bootstrap import LEVEL, REPEATS
from twintrack.evaluation.choice import example_cases
from twintrack.evaluation.details.case_details import CaseDetails, details_of
from twintrack.evaluation.details.details import Details
from twintrack.evaluation.details.pictures import picture_cases
from twintrack.evaluation.predictions import CALIBRATED, HUMAN, RAW, vs_others
from twintrack.evaluation.protocols import CaseScores, ScoreSet, ScoringProtocol, protocol_named
from twintrack.evaluation.scores.ceiling import against_others, leave_one_out
from twintrack.evaluation.summary import finite, summarise

MIN_CEILING = 3
"""Raters a case needs for the ceiling: one is scored, and the others must be more than one."""

Row: TypeAlias = dict[str, Any]


@dataclass(frozen=True, eq=False)
class Evaluation:
    """The scores of a cohort.

    Attributes:
        per_case: One row for each case and prediction: case, patient, prediction ("raw", "calibrated", and with the
            ceiling "human", "raw_vs_others", "calibrated_vs_others"), raters, voxel_volume (mm³), rater_volume and
            predicted_volume (mm³), with a calibration flags (in how many things the case is unlike the fitted ones:
            `Calibration.flags`), and every score of the protocol.
        summary: For each score and prediction the cohort's value with its interval, paired differences with the number
            of cases that improved, and the reliability curves; plain numbers and None, ready for JSON.
        details: What a report shows beside them; None where they were not asked for.
    """

    per_case: list[Row]
    summary: dict[str, Any]
    details: Details | None = None


@dataclass(frozen=True, eq=False)
class ScoredCase:
    """One case, scored.

    Attributes:
        about: What its rows begin with.
        histogram_sha256: Hash of its raw probabilities; empty where there are none.
        scores: The scores of each prediction.
        details: What a report shows of it, where that was asked for.
    """

    about: Row
    histogram_sha256: str
    scores: Mapping[str, CaseScores]
    details: CaseDetails | None = None


def evaluate(
    cases: Iterable[Case],
    *,
    calibration: Calibration | None = None,
    protocol: str | ScoringProtocol = "response",
    ceiling: bool = False,
    repeats: int = REPEATS,
    seed: int = 0,
    details: bool = False,
    on_bad: OnBad | None = None,
    progress: Progress | None = None,
    executor: Executor | None = None,
) -> Evaluation:
    """Score the ensemble's probability, and the calibrated response, against the raters.

    Args:
        cases: Cases with raters and members, read one at a time; without members only the ceiling can be scored.
        calibration: What to score beside the raw ensemble; None scores the raw ensemble alone.
        protocol: "response", "extended", "pdacvi-official", "pdacvi-corrected", or a protocol of one's own.
        ceiling: Also score each rater against the others, and the predictions against the same others, in cases with at
            least three raters: a prediction that scores like "human" is as good as one more rater.
        repeats: Resamples of the bootstrap over patients.
        seed: Its seed.
        details: Also keep what a report shows (`twintrack.evaluation.details`): counts, volumes and flags of every
            case, and pictures of three, which are read a second time.
        on_bad: Called with a case that cannot be used and the reason. None: raise.
        progress: Wraps the cases to show progress.
        executor: Who reads and scores the cases (`twintrack.compute.executors`); None: this process.

    Returns:
        Rows and summary, and the details where they are asked for.

    Raises:
        InputError: If the protocol is not known.
        TwinTrackError: If a case cannot be used and `on_bad` is None, or no case is left.
    """
    rules = protocol_named(protocol) if isinstance(protocol, str) else protocol
    cohort = cases if isinstance(cases, Cohort) else Cohort(cases)
    has_members = any(case.members for case in cohort)
    if len(cohort) and not has_members and not ceiling:
        raise CohortError(
            "no case has members, so there is no prediction to score; the raters alone are scored against each other "
            "with the human ceiling (--ceiling)"
        )
    score = _Score(rules, calibration, members=has_members, ceiling=ceiling, details=details)
    reading = {"members": has_members, "vessels": rules.needs_vessels}
    walk = map_cases(score, cohort, label="Evaluating", **reading, on_bad=on_bad, progress=progress, executor=executor)
    scored = [one for one in walk if one.scores]
    if not scored:
        raise CohortError("there is nothing to score: every case was skipped or has too few raters for the ceiling")
    found = assemble(scored, rules, n_seen=_count_seen(scored, calibration), repeats=repeats, seed=seed)
    if not details:
        return found
    kept = [one.details for one in scored if one.details is not None]
    best = CALIBRATED if calibration is not None else RAW
    chosen = example_cases(found.per_case, found.summary["scores"], prediction=best)
    pictures = picture_cases(cohort, chosen, calibration=calibration, progress=progress, executor=executor)
    about = Details.of(kept, n_left_out=len(cohort) - len(scored), calibration=calibration)
    return replace(found, details=replace(about, pictures=tuple(pictures)))


@dataclass(frozen=True)
class _Score:
    """Scores a case."""

    rules: ScoringProtocol
    calibration: Calibration | None
    _: KW_ONLY
    members: bool
    ceiling: bool
    details: bool

    def __call__(self, case: Case, data: CaseData) -> ScoredCase:
        predictions, flags = _predictions(case, data, self.calibration) if self.members else ({}, None)
        scores = {name: self.rules.score(data, prediction) for name, prediction in predictions.items()}
        if self.ceiling:
            scores |= _ceiling(self.rules, data, predictions)
        about = _about(case, data, predictions) | ({} if flags is None else {"flags": len(flags)})
        kept = None
        if self.details:
            kept = details_of(case, data, predictions, calibration=self.calibration, flags=flags or ())
        return ScoredCase(about, _fingerprint(predictions), scores, kept)


def _predictions(
    case: Case, data: CaseData, calibration: Calibration | None
) -> tuple[dict[str, NDArray[np.float32]], tuple[str, ...] | None]:
    """Give the predictions and, with a calibration, the flags."""
    predictions = {RAW: data.probability()}
    if calibration is None:
        return predictions, None
    calibration.check(case)
    predictions[CALIBRATED], flags = calibration.apply_and_flag(data)
    return predictions, flags


def assemble(scored: list[ScoredCase], rules: ScoreSet, *, n_seen: int, repeats: int, seed: int) -> Evaluation:
    """Make rows and summary of scored cases.

    Args:
        scored: The cases.
        rules: What their scores are.
        n_seen: How many of them the calibration was fitted on.
        repeats: Resamples of the bootstrap over patients.
        seed: Its seed.

    Returns:
        The evaluation.
    """
    patients = [one.about["patient"] for one in scored]
    found = summarise([one.scores for one in scored], rules=rules, patients=patients, repeats=repeats, seed=seed)
    about = {
        "protocol": rules.name,
        "n_cases": len(scored),
        "n_patients": len(set(patients)),
        "n_cases_seen_by_the_fit": n_seen,
        "bootstrap": {"repeats": repeats, "seed": seed, "level": LEVEL, "unit": "patient"},
    }
    return Evaluation([row for one in scored for row in _rows(one)], finite({**about, **found}))


def _ceiling(
    rules: ScoringProtocol, data: CaseData, predictions: Mapping[str, NDArray[np.float32]]
) -> dict[str, CaseScores]:
    """Score each rater, and each prediction, against all raters but one; mean over the raters left out."""
    masks = list(data.raters.values())
    if len(masks) < MIN_CEILING:
        return {}

    def score(prediction: NDArray[np.float32], others: Sequence[NDArray[np.uint8]]) -> Mapping[str, float]:
        panel = {str(k): other for k, other in enumerate(others, start=1)}
        return rules.score(replace(data, raters=panel), prediction).values

    rounds = {HUMAN: leave_one_out(masks, score)}
    rounds |= {vs_others(name): against_others(map_, masks, score) for name, map_ in predictions.items()}
    keys = [key for key in rounds[HUMAN][0] if rules.describe(key).has_ceiling]
    return {
        name: CaseScores({key: float(np.mean([values[key] for values in found])) for key in keys})
        for name, found in rounds.items()
    }


def _fingerprint(predictions: Mapping[str, NDArray[np.float32]]) -> str:
    """Hash the raw probabilities, by which a case of the fit is recognised."""
    return histogram_sha256(level_histogram(predictions[RAW])) if RAW in predictions else ""


def _about(case: Case, data: CaseData, predictions: Mapping[str, NDArray[np.float32]]) -> Row:
    volume = data.grid.voxel_volume
    drawn = [int(np.count_nonzero(mask)) for mask in data.raters.values()]
    return {
        "case": case.id,
        "patient": case.patient,
        "raters": len(drawn),
        "voxel_volume": volume,
        "rater_volume": volume * sum(drawn) / len(drawn),
        "predicted_volume": {
            name: volume * float(prediction.sum(dtype=np.float64)) for name, prediction in predictions.items()
        },
    }


def _rows(one: ScoredCase) -> list[Row]:
    drawn, predicted = one.about["rater_volume"], one.about["predicted_volume"]
    volumes = {**predicted, **{vs_others(name): volume for name, volume in predicted.items()}, HUMAN: drawn}
    return [
        {
            **one.about,
            "prediction": name,
            "predicted_volume": volumes[name],
            **scores.values,
        }
        for name, scores in one.scores.items()
    ]


def _count_seen(scored: list[ScoredCase], calibration: Calibration | None) -> int:
    """Count the cases whose raw probabilities are those of a case of the fit."""
    if calibration is None:
        return 0
    fitted = {record.histogram_sha256 for record in calibration.provenance.cases} - {""}
    return sum(one.histogram_sha256 in fitted for one in scored)
