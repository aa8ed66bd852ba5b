"""Scoring several structures at once by the CURVAS 2024 protocol: each structure is a cohort of the same cases."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from twintrack.cohort import Case, CaseData, Cohort, OnBad, Progress, map_cases
from twintrack.compute.executors import Executor
from twintrack.errors import CohortError, InputError
from twintrack.evaluation import curvas2024
from twintrack.evaluation.bootstrap import REPEATS
from twintrack.evaluation.candidates import by_name, read_other, require_all
from twintrack.evaluation.evaluate import MIN_CEILING, Evaluation, ScoredCase, assemble
from twintrack.evaluation.predictions import HUMAN, RAW, require_names, vs_others
from twintrack.evaluation.protocols import CaseScores, Score, ScoreSet
from twintrack.evaluation.protocols.base import naming_the_case


class Curvas2024Scores(ScoreSet):
    """The scores of CURVAS 2024 over named structures.

    Args:
        variant: "official" or "corrected".
    """

    def __init__(self, variant: curvas2024.Variant) -> None:
        self.name = "curvas-2024" if variant == "official" else f"curvas-2024-{variant}"
        self.variant = variant

    def describe(self, name: str) -> Score:
        """Say what a score is."""
        kind, _, structure = name.partition("_of_")
        what = {
            "consensus_dice": Score(name, "consensus Dice", "Dice where the raters agree", "higher"),
            "confidence": Score(name, "confidence", "probability where the raters agree", "higher", has_ceiling=False),
            "crps": Score(
                name, "volume CRPS", "expected volume against a Gaussian through the raters'", "lower", "mm³"
            ),
            "ece": Score(name, "ECE", "multi-class top-label calibration error, mean over raters", "lower"),
        }[kind]
        label = f"{what.label}, {structure}" if structure else what.label
        return Score(name, label, what.meaning, what.better, what.unit, what.has_ceiling)


def evaluate_structures(
    structures: Mapping[str, Cohort],
    *,
    predictions: Mapping[str, Mapping[str, Iterable[Case]]] | None = None,
    variant: curvas2024.Variant = "official",
    ceiling: bool = False,
    repeats: int = REPEATS,
    seed: int = 0,
    on_bad: OnBad | None = None,
    progress: Progress | None = None,
    executor: Executor | None = None,
) -> Evaluation:
    """Score raw probabilities of several structures by the CURVAS 2024 protocol (`twintrack.evaluation.curvas2024`).

    The first structure has label 1, the second 2, and so on; background is what they leave. `official` crops a case
    that has a reference image as the challenge does.

    Args:
        structures: For each structure the cohort of its cases; the same cases, with the same raters.
        predictions: Other predictions of the same cases, by name, scored in the same pass: for each structure the cases
            that hold them as their members.
        variant: "official" or "corrected".
        ceiling: Also score each rater's label map against the others, in cases with at least three raters.
        repeats: Resamples of the bootstrap over patients.
        seed: Its seed.
        on_bad: Called with a case that cannot be used and the reason. None: raise.
        progress: Wraps the cases to show progress.
        executor: Who reads and scores the cases (`twintrack.compute.executors`); None: this process.

    Returns:
        Rows and summary, as `twintrack.evaluation.evaluate` gives them.

    Raises:
        InputError: If two structures of a rater overlap, or a name cannot be given to a prediction.
        CohortError: If the cohorts do not hold the same cases with the same raters, or other predictions lack a
            structure or, without `on_bad`, a case.
        TwinTrackError: If a case cannot be used and `on_bad` is None, or no case is left.
    """
    first, *others = structures
    found = {name: {case.id: case for case in cohort} for name, cohort in structures.items()}
    for name in others:
        if found[name].keys() != found[first].keys():
            raise CohortError(f"the structures {first} and {name} do not have the same cases")
    sets = _sets(structures, predictions or {}, require=on_bad is None)
    rules = Curvas2024Scores(variant)
    score = _Score(rules, first, others={name: found[name] for name in others}, predictions=sets, ceiling=ceiling)
    walk = map_cases(score, structures[first], label="Evaluating", on_bad=on_bad, progress=progress, executor=executor)
    scored = list(walk)
    if not scored:
        raise CohortError("there is nothing to score: every case was skipped")
    return assemble(scored, rules, n_seen=0, repeats=repeats, seed=seed)


def _sets(
    structures: Mapping[str, Cohort], predictions: Mapping[str, Mapping[str, Iterable[Case]]], *, require: bool
) -> dict[str, dict[str, dict[str, Case]]]:
    """Give for each set of predictions and structure, in the structures' order, the cases by id."""
    require_names(predictions)
    sets = {}
    for name, given in predictions.items():
        if given.keys() != structures.keys():
            raise CohortError(
                f"the predictions {name!r} are of {', '.join(given)}; the structures are {', '.join(structures)}"
            )
        sets[name] = {key: by_name(cohort, {name: given[key]})[name] for key, cohort in structures.items()}
        if require:
            for key, cohort in structures.items():
                require_all(cohort, {name: sets[name][key]})
    return sets


@dataclass(frozen=True)
class _Score:
    """Scores a case of the first structure together with that of the same name of every other structure."""

    rules: Curvas2024Scores
    first: str
    _: KW_ONLY
    others: Mapping[str, Mapping[str, Case]]
    predictions: Mapping[str, Mapping[str, Mapping[str, Case]]]
    ceiling: bool

    def __call__(self, case: Case, data: CaseData) -> ScoredCase:
        parts = {self.first: data, **{name: cases[case.id].read() for name, cases in self.others.items()}}
        maps = _label_maps(case, parts)
        probabilities = {RAW: np.stack([part.probability() for part in parts.values()])}
        for name, given in self.predictions.items():
            probabilities[name] = np.stack([read_other(case, data, cases, name=name) for cases in given.values()])
        box = _box(case, self.rules.variant)

        def by_protocol(prediction: NDArray[np.float32], raters: Sequence[NDArray[np.uint8]]) -> dict[str, float]:
            with naming_the_case(case.id):
                scores = curvas2024.score(
                    [rater[box] for rater in raters],
                    prediction[(slice(None), *box)],
                    structures=dict(enumerate(parts, start=1)),
                    voxel_volume=data.grid.voxel_volume,
                    variant=self.rules.variant,
                )
            return _flat(scores)

        scores = {name: by_protocol(prediction, maps) for name, prediction in probabilities.items()}
        if self.ceiling and len(maps) >= MIN_CEILING:
            scores |= _ceiling(self.rules, probabilities, maps, by_protocol)
        about = _about(case, data, maps, probabilities)
        return ScoredCase(about, "", {name: CaseScores(values) for name, values in scores.items()})


def _label_maps(case: Case, parts: Mapping[str, CaseData]) -> list[NDArray[np.uint8]]:
    """Put each rater's masks of the structures into one label map."""
    names = {tuple(part.raters) for part in parts.values()}
    if len(names) > 1:
        said = "; ".join(f"{name}: {', '.join(part.raters)}" for name, part in parts.items())
        raise CohortError(f"case {case.id}: the structures do not have the same raters ({said})")
    maps = []
    for rater in next(iter(names)):
        labels = np.zeros(next(iter(parts.values())).grid.shape, np.uint8)
        for label, (name, part) in enumerate(parts.items(), start=1):
            mask = part.raters[rater] != 0
            if (labels[mask] != 0).any():
                raise InputError(f"case {case.id}: rater {rater} labels a voxel {name} and another structure too")
            labels[mask] = label
        maps.append(labels)
    return maps


def _box(case: Case, variant: curvas2024.Variant) -> tuple[slice, ...]:
    """Give what the challenge scores of a case; all of it where the CT is not there, or in the corrected variant."""
    image = case.read_image() if variant == "official" else None
    return (slice(None),) * 3 if image is None else curvas2024.in_plane_box(image.array)


def _flat(scores: curvas2024.Scores) -> dict[str, float]:
    values = {"consensus_dice": scores["consensus_dice_mean"], "confidence": scores["confidence_mean"]}
    values["ece"] = scores["ece_mean"]
    for name in scores["crps"]:
        values[f"consensus_dice_of_{name}"] = scores["consensus_dice"][name]
        values[f"confidence_of_{name}"] = scores["confidence"][name]["mean"]
        values[f"crps_of_{name}"] = scores["crps"][name]
    return values


def _ceiling(
    rules: ScoreSet,
    probabilities: Mapping[str, NDArray[np.float32]],
    maps: Sequence[NDArray[np.uint8]],
    score: Callable[[NDArray[np.float32], Sequence[NDArray[np.uint8]]], dict[str, float]],
) -> dict[str, dict[str, float]]:
    labels = np.arange(1, len(probabilities[RAW]) + 1)[:, None, None, None]
    rounds: dict[str, list[dict[str, float]]] = {HUMAN: [], **{vs_others(name): [] for name in probabilities}}
    for k, left_out in enumerate(maps):
        others = [*maps[:k], *maps[k + 1 :]]
        rounds[HUMAN].append(score((left_out == labels).astype(np.float32), others))
        for name, prediction in probabilities.items():
            rounds[vs_others(name)].append(score(prediction, others))
    keys = [key for key in rounds[HUMAN][0] if rules.describe(key).has_ceiling]
    return {
        name: {key: float(np.mean([values[key] for values in found])) for key in keys} for name, found in rounds.items()
    }


def _about(
    case: Case, data: CaseData, maps: Sequence[NDArray[np.uint8]], probabilities: Mapping[str, NDArray[np.float32]]
) -> dict[str, Any]:
    volume = data.grid.voxel_volume
    return {
        "case": case.id,
        "patient": case.patient,
        "raters": len(maps),
        "voxel_volume": volume,
        "rater_volume": volume * float(np.mean([np.count_nonzero(labels) for labels in maps])),
        "predicted_volume": {name: volume * float(p.sum(dtype=np.float64)) for name, p in probabilities.items()},
    }
