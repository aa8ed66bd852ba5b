"""Measuring triage on held-out cases with raters: what is found within a budget, and what the rules bring."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import KW_ONLY, asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from twintrack.calibration import Calibration
from twintrack.calibration.record import histogram_sha256
from twintrack.cohort import Case, CaseData, OnBad, Progress, map_cases
from twintrack.compute.blocks import blocks, flat, sum_of
from twintrack.compute.executors import Executor
from twintrack.compute.levels import level_histogram
from twintrack.errors import CohortError, InputError
from twintrack.evaluation.bootstrap import LEVEL, REPEATS, patient_weights
from twintrack.evaluation.pdacvi.exceedance import shares_above
from twintrack.evaluation.scores.selective import RiskCoverage, risk_coverage
from twintrack.evaluation.summary import finite
from twintrack.evaluation.triage.budget import Reading
from twintrack.evaluation.triage.capture import Order
from twintrack.evaluation.triage.learn import consequences
from twintrack.evaluation.triage.priority import case_priorities, experts_of, uncertain_range
from twintrack.evaluation.triage.regions import find_regions
from twintrack.evaluation.triage.rules import TriageRules
from twintrack.evaluation.triage.summary import capture_summary, vessel_summary
from twintrack.evaluation.triage.targets import CASE_TARGETS, VOXEL_TARGETS, require_raters, voxel_targets
from twintrack.evaluation.triage.vessels import Vessels, default_vessels
from twintrack.evaluation.triage.voxels import RankedVoxels, rank_voxels

MEASURED_VERSION = 1
"""Version of the summary; raised when a key changes its meaning."""

VOXEL_BUDGETS = (0.005, 0.01, 0.02, 0.05)
CASE_BUDGETS = (0.1, 0.2, 0.3, 0.5)
"""Shares of voxels, and of cases or minutes, at which the share found is written down."""

EARLY = 0.05
"""Share of the voxels up to which an area of their own is given: nobody looks at half of a CT's voxels."""


@dataclass(frozen=True, eq=False)
class Measured:
    """What triage would have found.

    Attributes:
        per_case: One row per case: case, patient, raters, flags, minutes, decision (with rules), what it is ranked by
            (``by_…``) and what it holds (``held_…``).
        summary: Plain numbers and None, ready for JSON: ``voxels``, ``cases`` and ``minutes``
            (`twintrack.evaluation.triage.summary.capture_summary` of each target), ``regions``, ``rules``, ``vessels``.
    """

    per_case: list[dict[str, Any]]
    summary: dict[str, Any]


@dataclass(frozen=True, eq=False)
class MeasuredCase:
    """What is kept of a case.

    Attributes:
        about: case, patient, raters, flags, minutes.
        histogram_sha256: Hash of its raw probabilities, by which a case of the fit is recognised.
        priorities: What it is ranked by.
        voxels: Its voxels, ranked, and its targets.
        uncertain: Share of its voxels in the listed regions, and of each voxel target in them.
        vessels: By vessel the probabilities of raw and calibrated map and the share of the raters who exceed each
            cut-off, (3, cut-offs); empty where there are none.
    """

    about: dict[str, Any]
    histogram_sha256: str
    priorities: Mapping[str, float]
    voxels: RankedVoxels
    uncertain: Mapping[str, float]
    vessels: Mapping[str, NDArray[np.float64]]


def measure(
    calibration: Calibration,
    cases: Iterable[Case],
    *,
    rules: TriageRules | None = None,
    reading: Reading | None = None,
    n_raters: int | None = None,
    vessels: Vessels | None = None,
    repeats: int = REPEATS,
    seed: int = 0,
    on_bad: OnBad | None = None,
    progress: Progress | None = None,
    executor: Executor | None = None,
) -> Measured:
    """Measure what triage finds on cases with raters that the calibration was not fitted to.

    Intervals are by bootstrap over patients.

    Args:
        calibration: What makes the responses.
        cases: Cases with members and at least two raters, read one at a time.
        rules: Rules set on other cases; None: none are measured.
        reading: What minutes are counted by; None: the defaults.
        n_raters: K of the margin and of the uncertain voxels; None: the most raters that a calibration case had. Never
            that of the case itself, which nobody knows of a new case.
        vessels: How vessels are looked at, where cases have them; None: by the benchmark's names, nested.
        repeats: Resamples of the bootstrap.
        seed: Its seed.
        on_bad: Called with a case that cannot be used and the reason. None: raise.
        progress: Wraps the cases to show progress.
        executor: Who reads the cases (`twintrack.compute.executors`); None: this process.

    Returns:
        Rows and summary.

    Raises:
        CalibrationError: If the rules were set with another calibration.
        TwinTrackError: If a case cannot be used and `on_bad` is None, or no case is left.

    Warns:
        TwinTrackWarning: If a case is unlike those of the calibration.
    """
    if rules is not None:
        rules.require_fitting(calibration)
    pace = reading or Reading()
    k = experts_of(calibration) if n_raters is None else n_raters
    look = _Look(calibration, n_raters=k, reading=pace, vessels=vessels or default_vessels())
    walk = map_cases(look, cases, label="Measuring", vessels=True, on_bad=on_bad, progress=progress, executor=executor)
    found = list(walk)
    if not found:
        raise CohortError("there is nothing to measure: every case was skipped")
    patients = [one.about["patient"] for one in found]
    weights = patient_weights(patients, repeats=repeats, seed=seed)
    rows = [_row(one, rules) for one in found]
    fitted = {record.histogram_sha256 for record in calibration.provenance.cases} - {""}
    summary = {
        "schema_version": MEASURED_VERSION,
        "n_cases": len(found),
        "n_patients": len(set(patients)),
        "n_cases_seen_by_the_fit": sum(one.histogram_sha256 in fitted for one in found),
        "bootstrap": {"repeats": repeats, "seed": seed, "level": LEVEL, "unit": "patient"},
        "reading": asdict(pace),
        "voxels": _of_voxels(found, weights),
        "cases": _of_cases(found, weights, costs=None),
        "minutes": _of_cases(found, weights, costs=np.array([one.about["minutes"] for one in found])),
        "regions": {name: float(np.mean([one.uncertain[name] for one in found])) for name in found[0].uncertain},
        "rules": None if rules is None else _of_rules(found, rows, rules, weights),
        "vessels": vessel_summary([one.vessels for one in found], weights),
    }
    return Measured(rows, finite(summary))


def risk_coverages(
    measured: Measured, *, rankings: Sequence[str] = ("dice_loss", "raw_dice_loss"), target: str = "dice_loss"
) -> dict[str, RiskCoverage]:
    """Give what is left of a target in the cases that are kept when the most urgent are left to experts.

    Args:
        measured: What was measured.
        rankings: What cases are ranked by.
        target: What the risk is, one of `twintrack.evaluation.triage.targets.CASE_TARGETS`.

    Returns:
        A curve for each ranking that the cases have, and "oracle".

    Raises:
        InputError: If a ranking or target is not known.
    """
    rows = measured.per_case
    unknown = [name for name in (*(f"by_{one}" for one in rankings), f"held_{target}") if name not in rows[0]]
    if unknown:
        raise InputError(f"not measured: {', '.join(unknown)}")
    risk = np.array([row[f"held_{target}"] for row in rows])
    by = {name: np.array([row[f"by_{name}"] for row in rows]) for name in rankings}
    orders = {name: values for name, values in by.items() if np.isfinite(values).all()}
    return {name: risk_coverage(-values, risk) for name, values in {**orders, "oracle": risk}.items()}


@dataclass(frozen=True)
class _Look:
    """Looks at a case."""

    calibration: Calibration
    _: KW_ONLY
    n_raters: int
    reading: Reading
    vessels: Vessels

    def __call__(self, case: Case, data: CaseData) -> MeasuredCase:
        self.calibration.check(case)
        response, flags = self.calibration.apply_and_flag(data)
        probability = data.probability()
        uncertain = uncertain_range(self.n_raters)
        regions = find_regions(response, data.grid, uncertain=uncertain, most=1)
        return MeasuredCase(
            about={
                "case": case.id,
                "patient": case.patient,
                "raters": require_raters(data),
                "flags": len(flags),
                "minutes": self.reading.minutes(regions.n_slices),
            },
            histogram_sha256=histogram_sha256(level_histogram(probability)),
            priorities=case_priorities(data, probability=probability, response=response, n_raters=self.n_raters),
            voxels=rank_voxels(data, probability=probability, response=response),
            uncertain=_inside(data, probability, response, uncertain),
            vessels=_contact(self.vessels, data, probability, response),
        )


def _inside(
    data: CaseData,
    probability: NDArray[np.float32],
    response: NDArray[np.float32],
    uncertain: tuple[np.float32, np.float32],
) -> dict[str, float]:
    """Give the share of the voxels, and of each target, that lies in uncertain voxels; of nothing all is found."""
    rows, masks = (flat(probability), flat(response)), [flat(mask) for mask in data.raters.values()]
    inside, every = np.zeros((2, 1 + len(VOXEL_TARGETS)))
    for part in blocks(response.size):
        p, r = (row[part] for row in rows)
        held = voxel_targets(sum_of(masks, part), len(masks), probability=p, response=r)
        counts = np.stack([np.ones(p.size, np.float32), *(held[name] for name in VOXEL_TARGETS)])
        every += counts.sum(axis=1, dtype=np.float64)
        inside += counts[:, (r >= uncertain[0]) & (r < uncertain[1])].sum(axis=1, dtype=np.float64)
    shares = np.divide(inside, every, out=np.ones(every.size), where=every > 0)
    return dict(zip(("voxels", *VOXEL_TARGETS), shares.tolist(), strict=True))


def _contact(
    vessels: Vessels, data: CaseData, probability: NDArray[np.float32], response: NDArray[np.float32]
) -> dict[str, NDArray[np.float64]]:
    contact = vessels.contact(data)
    if contact is None:
        return {}
    maps = [vessels.probabilities(contact, values, data) for values in (probability, response)]
    found = np.stack([*maps, shares_above(contact.of_raters(list(data.raters.values())))], axis=1)
    return {name: found[v] for v, name in enumerate(contact.names) if contact.present[v]}


def _row(one: MeasuredCase, rules: TriageRules | None) -> dict[str, Any]:
    decision = (
        {}
        if rules is None
        else {"decision": rules.decide(one.priorities[rules.ranking], flagged=one.about["flags"] > 0)}
    )
    by = {f"by_{name}": value for name, value in one.priorities.items()}
    return {**one.about, **decision, **by, **{f"held_{name}": value for name, value in one.voxels.targets.items()}}


def _of_voxels(found: Sequence[MeasuredCase], weights: NDArray[np.float64]) -> dict[str, Any]:
    names = [name for name in found[0].voxels.rankings if all(name in one.voxels.rankings for one in found)]
    return {
        target: capture_summary(
            {name: Order.of_bins([one.voxels.rankings[name] for one in found], target) for name in names},
            Order.of_bins([one.voxels.oracles[target] for one in found], target),
            weights,
            at=VOXEL_BUDGETS,
            early=EARLY,
        )
        for target in VOXEL_TARGETS
    }


def _of_cases(
    found: Sequence[MeasuredCase], weights: NDArray[np.float64], *, costs: NDArray[np.float64] | None
) -> dict[str, Any]:
    by = {name: np.array([one.priorities[name] for one in found]) for name in found[0].priorities}
    summaries = {}
    for target in CASE_TARGETS:
        held = np.array([one.voxels.targets[target] for one in found])
        orders = {
            name: Order.of_cases(values, target=held, cost=costs)
            for name, values in by.items()
            if np.isfinite(values).all()
        }
        oracle = Order.of_cases(held, target=held, cost=costs)
        summaries[target] = capture_summary(orders, oracle, weights, at=CASE_BUDGETS)
    return summaries


def _of_rules(
    found: Sequence[MeasuredCase], rows: Sequence[Mapping[str, Any]], rules: TriageRules, weights: NDArray[np.float64]
) -> dict[str, Any]:
    error = np.array([one.voxels.targets["dice_loss"] for one in found])
    decisions = [row["decision"] for row in rows]
    return {
        "rules": rules.model_dump(),
        "consequences": consequences(decisions, error=error, tolerance=rules.tolerance, weights=weights),
    }
