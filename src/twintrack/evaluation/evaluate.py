"""Scoring a cohort: every case before and after calibration, the cohort with intervals, and the human ceiling."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field, replace
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
from twintrack.evaluation.candidates import Candidates, require_all
from twintrack.evaluation.choice import example_cases
from twintrack.evaluation.details.case_details import CaseDetails, details_of
from twintrack.evaluation.details.details import Details
from twintrack.evaluation.details.pictures import picture_cases
from twintrack.evaluation.predictions import HUMAN, RAW, scored_as, vs_others
from twintrack.evaluation.protocols import CaseScores, ScoreSet, ScoringProtocol, protocol_named
from twintrack.evaluation.scores.ceiling import leave_one_out
from twintrack.evaluation.summary import finite, summarise

MIN_CEILING = 3
"""Raters a case needs for the ceiling: one is scored, and the others must be more than one."""

Row: TypeAlias = dict[str, Any]


@dataclass(frozen=True, eq=False)
class Evaluation:
    """The scores of a cohort.

    Attributes:
        per_case: One row for each case and prediction: case, patient, prediction ("raw", "calibrated" or the names
            given, and with the ceiling "human", "raw_vs_others", "calibrated_vs_others"), raters, voxel_volume (mm³),
            rater_volume and predicted_volume (mm³), with a calibration flags (in how many things the case is unlike
            the fitted ones: `Calibration.flags`; with several in the rows of each), and every score of the protocol.
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
        flags: For each calibration in what the case is unlike the fitted ones.
        details: What a report shows of it, where that was asked for.
    """

    about: Row
    histogram_sha256: str
    scores: Mapping[str, CaseScores]
    flags: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    details: CaseDetails | None = None


def evaluate(
    cases: Iterable[Case],
    *,
    calibration: Calibration | Mapping[str, Calibration] | None = None,
    predictions: Mapping[str, Iterable[Case]] | None = None,
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

    Several calibrations, and predictions made elsewhere, are scored in the same pass: each case is read once, and what
    depends on its raters alone is computed once. While a case is scored all its predictions are in memory.

    Args:
        cases: Cases with raters and members, read one at a time; without members only the ceiling and other
            predictions can be scored.
        calibration: What to score beside the raw ensemble: one calibration, called "calibrated", or several by name.
            None scores the raw ensemble alone.
        predictions: Other predictions of the same cases, by name: for each the cases that hold them as their members
            (`find_cohort(members=FOLDER)`). They are scored as they are: no calibration is applied to them.
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
        InputError: If the protocol is not known, a name cannot be given to a prediction or is given twice, or one
            calibration is given twice.
        TwinTrackError: If a case cannot be used and `on_bad` is None, or no case is left.

    Examples:
        >>> import numpy as np
        >>> p, mask = np.full((1, 4, 4), 0.5, np.float32), np.eye(4, dtype=np.uint8)[None]
        >>> cases = [Case("c1", members=[p, p * mask], raters=[mask, mask, 1 - mask], spacing=(3.0, 0.7, 0.7))]
        >>> from twintrack.calibration import fit
        >>> given = {"isotonic": fit(cases, method="isotonic"), "identity": fit(cases, method="identity")}
        >>> [row["prediction"] for row in evaluate(cases, calibration=given, repeats=10).per_case]
        ['raw', 'isotonic', 'identity']
    """
    rules = protocol_named(protocol) if isinstance(protocol, str) else protocol
    cohort = cases if isinstance(cases, Cohort) else Cohort(cases)
    candidates = Candidates.of(cohort, calibration, predictions)
    if len(cohort) and not candidates and not ceiling:
        raise CohortError(
            "no case has members, so there is no prediction to score; the raters alone are scored against each other "
            "with the human ceiling (--ceiling)"
        )
    if on_bad is None:
        require_all(cohort, candidates.others)
    score = _Score(rules, candidates, ceiling=ceiling, details=details)
    reading = {"members": candidates.members, "vessels": rules.needs_vessels}
    walk = map_cases(score, cohort, label="Evaluating", **reading, on_bad=on_bad, progress=progress, executor=executor)
    scored = [one for one in walk if one.scores]
    if not scored:
        raise CohortError("there is nothing to score: every case was skipped or has too few raters for the ceiling")
    seen = _seen(scored, candidates.calibrations)
    n_seen = {name: sum(one.histogram_sha256 in hashes for one in scored) for name, hashes in seen.items()}
    any_seen = frozenset[str]().union(*seen.values())
    found = assemble(
        scored,
        rules,
        n_seen=sum(one.histogram_sha256 in any_seen for one in scored),
        more={"n_cases_seen_by_each_fit": n_seen} if len(n_seen) > 1 else {},
        repeats=repeats,
        seed=seed,
    )
    if not details:
        return found
    main = next(iter([*candidates.calibrations, RAW])) if candidates.members else next(iter(candidates.others), RAW)
    chosen = example_cases(found.per_case, found.summary["scores"], prediction=main)
    pictures = picture_cases(cohort, chosen, candidates, progress=progress, executor=executor)
    kept = [one.details for one in scored if one.details is not None]
    n_left_out = len(cohort) - len(scored)
    about = Details.of(kept, n_left_out=n_left_out, calibrations=candidates.calibrations, pictures=pictures)
    return replace(found, details=about)


@dataclass(frozen=True)
class _Score:
    """Scores a case."""

    rules: ScoringProtocol
    candidates: Candidates
    _: KW_ONLY
    ceiling: bool
    details: bool

    def __call__(self, case: Case, data: CaseData) -> ScoredCase:
        predictions, flags = self.candidates.predict(case, data)
        scores = self.rules.score_each(data, predictions) if predictions else {}
        if self.ceiling:
            scores |= _ceiling(self.rules, data, predictions)
        kept = None
        if self.details:
            kept = details_of(case, data, predictions, calibrations=self.candidates.calibrations, flags=flags)
        return ScoredCase(_about(case, data, predictions), _fingerprint(predictions), scores, flags, kept)


def _seen(scored: Sequence[ScoredCase], calibrations: Mapping[str, Calibration]) -> dict[str, frozenset[str]]:
    """Give for each calibration the hashes of those cases whose raw probabilities are those of a case of the fit."""
    present = {one.histogram_sha256 for one in scored} - {""}
    return {
        name: frozenset(present & {record.histogram_sha256 for record in calibration.provenance.cases})
        for name, calibration in calibrations.items()
    }


def assemble(
    scored: list[ScoredCase],
    rules: ScoreSet,
    *,
    n_seen: int,
    more: Mapping[str, Any] | None = None,
    repeats: int,
    seed: int,
) -> Evaluation:
    """Make rows and summary of scored cases.

    Args:
        scored: The cases.
        rules: What their scores are.
        n_seen: How many of them a calibration was fitted on.
        more: What else the summary says of the cohort.
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
        **(more or {}),
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

    def score(rater: NDArray[np.float32], others: Sequence[NDArray[np.uint8]]) -> dict[str, CaseScores]:
        panel = {str(k): other for k, other in enumerate(others, start=1)}
        against = {vs_others(name): prediction for name, prediction in predictions.items()}
        return rules.score_each(replace(data, raters=panel), {HUMAN: rater, **against})

    rounds = leave_one_out(masks, score)
    keys = [key for key in rounds[0][HUMAN].values if rules.describe(key).has_ceiling]
    return {
        name: CaseScores({key: float(np.mean([found[name].values[key] for found in rounds])) for key in keys})
        for name in rounds[0]
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
            **({"flags": _flags(one, name)} if one.flags else {}),
            "prediction": name,
            "predicted_volume": volumes[name],
            **scores.values,
        }
        for name, scores in one.scores.items()
    ]


def _flags(one: ScoredCase, prediction: str) -> int | None:
    """Give the flags of the calibration that made a prediction; with one calibration raw and raters have them too."""
    name = scored_as(prediction)
    if name in (RAW, HUMAN) and len(one.flags) == 1:
        name = next(iter(one.flags))
    return len(one.flags[name]) if name in one.flags else None
