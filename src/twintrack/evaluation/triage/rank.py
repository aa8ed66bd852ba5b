"""Ranking new cases, of which no rater is known: a worklist of cases and their regions, cut at a budget."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass
from typing import Any

import numpy as np

from twintrack.calibration import Calibration
from twintrack.calibration.agreement import agreement_levels, volumes_at_least
from twintrack.cohort import Case, CaseData, OnBad, Progress, map_cases
from twintrack.compute.executors import Executor
from twintrack.errors import CohortError, InputError
from twintrack.evaluation.triage.budget import Budget, Reading, Spent, spend
from twintrack.evaluation.triage.priority import DEFAULT, case_priorities, experts_of, require_ranking, uncertain_range
from twintrack.evaluation.triage.regions import MOST, Regions, find_regions, require_range
from twintrack.evaluation.triage.rules import Decision, TriageRules
from twintrack.evaluation.triage.vessels import Vessels, default_vessels, vessel_record


@dataclass(frozen=True, eq=False)
class RankedCase:
    """What is known of a case without raters.

    Attributes:
        case: The case.
        patient: Whose it is.
        measured: Whether the voxel size is known; volumes are else numbers of voxels.
        n_voxels: Voxels of its grid.
        priorities: A number for each of `twintrack.evaluation.triage.RANKINGS`.
        expected_volume: Σ r, mm³.
        at_least: Volume that at least k of K experts are expected to label, by k, mm³; what lies between the first and
            the last is the margin.
        regions: Its regions.
        flags: In what it is unlike those of the calibration.
        vessels: What the map says of its vessels (`twintrack.evaluation.triage.vessels.vessel_record`).
    """

    case: str
    patient: str
    measured: bool
    n_voxels: int
    priorities: Mapping[str, float]
    expected_volume: float
    at_least: Mapping[int, float]
    regions: Regions
    flags: tuple[str, ...]
    vessels: Any


@dataclass(frozen=True, eq=False)
class Worklist:
    """Cases in the order in which they should be looked at.

    Attributes:
        ranking: By which number.
        n_raters: K of the levels of agreement.
        uncertain: Responses between which a voxel is uncertain.
        budget: What can be looked at; None: everything.
        reading: What minutes are counted by.
        rules: What decided; None: every case is to be reviewed.
        cases: The cases, the most urgent first.
        decisions: The decision on each.
        chosen: For each case the indices of its regions that are looked at; None where it is not looked at.
        spent: What that comes to, in the unit of the budget; None without one.
    """

    ranking: str
    n_raters: int
    uncertain: tuple[float, float]
    budget: Budget | None
    reading: Reading
    rules: TriageRules | None
    cases: tuple[RankedCase, ...]
    decisions: tuple[Decision, ...]
    chosen: tuple[list[int] | None, ...]
    spent: float | None


def rank_cases(
    calibration: Calibration,
    cases: Iterable[Case],
    *,
    budget: Budget | None = None,
    reading: Reading | None = None,
    ranking: str = DEFAULT,
    rules: TriageRules | None = None,
    n_raters: int | None = None,
    uncertain: tuple[float, float] | None = None,
    most_regions: int = MOST,
    vessels: Vessels | None = None,
    on_bad: OnBad | None = None,
    progress: Progress | None = None,
    executor: Executor | None = None,
) -> Worklist:
    """Rank cases without raters, and spend a budget on them.

    The order is by the ranking's number for each unit of what a case costs: as it is for whole cases, per minute of
    reading, or per uncertain voxel. Accepted and deferred cases cost nothing of a budget for review: the former are not
    looked at, the latter go to experts who draw them.

    Args:
        calibration: What makes the responses.
        cases: Cases with members, read one at a time; raters are not looked at.
        budget: What can be looked at; None: everything.
        reading: What minutes are counted by; None: the defaults.
        ranking: One of `twintrack.evaluation.triage.RANKINGS`.
        rules: What accepts, reviews or defers; None: every case is to be reviewed.
        n_raters: K of the levels of agreement; None: the most raters that a calibration case had.
        uncertain: A voxel is uncertain where its response is at least the first and below the second; None: where one
            of K experts, but not all, are to be expected to label it.
        most_regions: How many regions of a case are told apart.
        vessels: How vessels are looked at, where cases have them; None: by the benchmark's names, nested.
        on_bad: Called with a case that cannot be used and the reason. None: raise.
        progress: Wraps the cases to show progress.
        executor: Who reads the cases (`twintrack.compute.executors`); None: this process.

    Returns:
        The worklist.

    Raises:
        InputError: If an option cannot be used, or the cases have no such number.
        CalibrationError: If the rules were set with another calibration.
        TwinTrackError: If a case cannot be used and `on_bad` is None, or no case is left.

    Warns:
        TwinTrackWarning: If a case is unlike those of the calibration.
    """
    require_ranking(ranking)
    if most_regions < 1:
        raise InputError(f"at least one region of a case is told apart; got {most_regions}")
    if rules is not None:
        rules.require_fitting(calibration)
    k = experts_of(calibration) if n_raters is None else n_raters
    between = uncertain_range(k) if uncertain is None else require_range(*uncertain)
    look = _Look(calibration, n_raters=k, uncertain=between, most=most_regions, vessels=vessels or default_vessels())
    walk = map_cases(
        look, cases, label="Ranking", raters=False, vessels=True, on_bad=on_bad, progress=progress, executor=executor
    )
    found = list(walk)
    if not found:
        raise CohortError("there is nothing to rank: every case was skipped")
    for name in {ranking, *([rules.ranking] if rules else [])}:
        if not all(math.isfinite(one.priorities[name]) for one in found):
            raise InputError(f"the cases cannot be ranked by {name}: a case has one member")
    pace = reading or Reading()
    # Cases of equal urgency stand in the order in which they came.
    ordered = sorted(found, key=lambda one: -one.priorities[ranking] / _cost(one, budget, pace))
    decisions = [
        rules.decide(one.priorities[rules.ranking], flagged=bool(one.flags)) if rules else "review" for one in ordered
    ]
    spent = _spend(ordered, decisions, budget, pace)
    return Worklist(
        ranking=ranking,
        n_raters=k,
        uncertain=(float(between[0]), float(between[1])),
        budget=budget,
        reading=pace,
        rules=rules,
        cases=tuple(ordered),
        decisions=tuple(decisions),
        chosen=tuple(spent.regions),
        spent=spent.amount if budget else None,
    )


@dataclass(frozen=True)
class _Look:
    """Looks at a case."""

    calibration: Calibration
    _: KW_ONLY
    n_raters: int
    uncertain: tuple[np.float32, np.float32]
    most: int
    vessels: Vessels

    def __call__(self, case: Case, data: CaseData) -> RankedCase:
        self.calibration.check(case)
        response, flags = self.calibration.apply_and_flag(data)
        size = data.grid.voxel_volume
        levels = agreement_levels(response, n_raters=self.n_raters)
        return RankedCase(
            case=case.id,
            patient=case.patient,
            measured=data.grid.known,
            n_voxels=response.size,
            priorities=case_priorities(data, probability=data.probability(), response=response, n_raters=self.n_raters),
            expected_volume=float(response.sum(dtype=np.float64)) * size,
            at_least=volumes_at_least(levels, n_raters=self.n_raters, voxel_volume=size),
            regions=find_regions(response, data.grid, uncertain=self.uncertain, most=self.most),
            flags=flags,
            vessels=vessel_record(self.vessels, data, response, n_raters=self.n_raters),
        )


def _cost(one: RankedCase, budget: Budget | None, reading: Reading) -> float:
    """Say what it costs to look at all regions of a case, in the unit of the budget."""
    if budget is None or budget.unit == "cases":
        return 1.0
    if budget.unit == "minutes":
        return reading.minutes(one.regions.n_slices)
    return float(max(one.regions.voxels, 1))


def _spend(
    ordered: Sequence[RankedCase], decisions: Sequence[Decision], budget: Budget | None, reading: Reading
) -> Spent:
    every = [list(range(len(one.regions.found))) for one in ordered]
    reviewed = [k for k, decision in enumerate(decisions) if decision == "review"]
    chosen: list[list[int] | None] = [None] * len(ordered)
    if budget is None:
        for k in reviewed:
            chosen[k] = every[k]
        return Spent(chosen, 0.0)
    n_voxels = sum(one.n_voxels for one in ordered)
    found = spend(budget, [ordered[k].regions.found for k in reviewed], reading=reading, n_voxels=n_voxels)
    for k, regions in zip(reviewed, found.regions, strict=True):
        chosen[k] = regions
    return Spent(chosen, found.amount)
