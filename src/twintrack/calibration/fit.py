"""Fitting a calibration to a cohort or to a response table."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Sequence
from typing import Literal, TypeAlias

from twintrack.calibration.calibration import Calibration
from twintrack.calibration.count import Counted, count_cases, noting_bad
from twintrack.calibration.counted_case import CountedCase, in_order
from twintrack.calibration.curve import Curve
from twintrack.calibration.exact import exact_curve
from twintrack.calibration.fit_masks import check_masks, check_masks_of, with_rater_field
from twintrack.calibration.guard.guard import ShiftGuard
from twintrack.calibration.methods import METHODS, AnyMap, ConditionalMap, fit_map
from twintrack.calibration.provenance import Provenance
from twintrack.calibration.rater_weights import rater_weight, vote_correlation, weighted_curve
from twintrack.calibration.record import CaseRecord
from twintrack.calibration.sample import CaseSample
from twintrack.calibration.selection.candidates import volume_summary
from twintrack.calibration.selection.choose import Selection
from twintrack.calibration.selection.selected import AUTO, CASE_AWARE, fit_selected
from twintrack.calibration.table import ResponseTable, voxel_weight
from twintrack.calibration.tally import CoarseCounts
from twintrack.calibration.target import MAJORITY, RESPONSE, Target
from twintrack.calibration.uncertainty import REPLICATES, Uncertainty, resampled, resampled_curves
from twintrack.calibration.volumes.distribution import VolumeModel
from twintrack.cohort import Case, Cohort, OnBad, Progress
from twintrack.compute.executors import Executor
from twintrack.errors import CalibrationError, TwinTrackWarning

EXACT_METHODS = ("isotonic", "centered-isotonic")
"""Methods for which single probabilities can make a difference."""

ALL_METHODS = (*METHODS, *CASE_AWARE)
"""Every method's name."""

FitWeighting: TypeAlias = Literal["voxels", "cases", "raters"]
"""What counts alike: every voxel, every case, or every voxel by how much its raters tell."""


def fit(
    cases: Iterable[Case] | ResponseTable,
    *,
    method: str | None = None,
    target: str = RESPONSE,
    weighting: FitWeighting | None = None,
    exact: bool = False,
    pin_zero: bool = True,
    replicates: int = REPLICATES,
    masks: bool = False,
    seed: int = 0,
    on_bad: OnBad | None = None,
    progress: Progress | None = None,
    executor: Executor | None = None,
) -> Calibration:
    """Fit a calibration.

    Args:
        cases: Cases with members (or a probability) and raters, read one at a time; or a response table.
        method: "identity", "temperature", "platt", "beta", "histogram", "isotonic", "centered-isotonic"; "conditional",
            which also looks at the voxel's surroundings and the case; or "auto", which leaves patients out to find the
            method that helps. None: "auto" where it goes, and "isotonic" for a table, a single patient, another target,
            an exact fit, a weighting or no pinning of 0.
        target: "response" (the mean human response), "majority", "staple" or "rater:NAME".
        weighting: "voxels": every voxel counts alike; "cases": every case does; "raters": a voxel that few raters saw
            counts less (`twintrack.calibration.rater_weights`; the case-aware methods do so by themselves). None: that
            of the table; "voxels" for cases.
        exact: Fit the two isotonic methods to single probabilities instead of levels of less than 0.1 % width, in
            two passes; needs cases.
        pin_zero: Keep the response 0 where the probability is exactly 0, and leave such voxels out of the
            fit. Without it an isotonic map gives them the small response of what the members missed, everywhere
            inside the ROI.
        replicates: How often the map is fitted again to resampled patients, to say how sure it is; 0: never.
        masks: Also fit how raters' thresholds hang together, by which whole masks are drawn
            (`twintrack.calibration.outlines`). Needs cases of known voxel size, some with two or more raters, and the
            response as target. Takes about a second per case, and 20 s per million voxels of what is predicted or
            drawn.
        seed: Of the resampling and of the masks.
        on_bad: Called with a case that cannot be used and the reason; the fit goes on without it. None: raise.
        progress: Wraps the cases to show progress.
        executor: Who reads and counts the cases (`twintrack.compute.executors`); None: this process.

    Returns:
        The calibration.

    Raises:
        CalibrationError: If method, target or weighting is unknown, the options contradict each other or the table, or
            there is nothing to fit.
        TwinTrackError: If a case cannot be used and `on_bad` is None, or none can.

    Warns:
        TwinTrackWarning: If no rater drew anything.
    """
    wanted = Target(target).name
    cases = cases if isinstance(cases, ResponseTable) else Cohort(cases)
    plain = wanted == RESPONSE and weighting in {None, "voxels"} and pin_zero and not exact
    method = method or (AUTO if plain and _has_patients(cases) else "isotonic")
    _check_options(method, exact=exact)
    if isinstance(cases, ResponseTable):
        _check_table(cases, method=method, weighting=weighting, exact=exact)
        weighting = weighting or cases.weighting
    else:
        weighting = weighting or "voxels"
    if masks:
        check_masks(target=wanted, from_table=isinstance(cases, ResponseTable))
    if weighting == "raters" and (wanted != RESPONSE or exact):
        raise CalibrationError("weighting by raters goes with the response as target, and not with an exact fit")
    if method in CASE_AWARE:
        _check_case_aware(method, target=wanted, weighting=weighting, pin_zero=pin_zero)
    bad = set[str]()
    if isinstance(cases, ResponseTable):
        counted, good = Counted(cases), []
    else:
        counted = count_cases(
            cases,
            target=wanted,
            weighting="voxels" if weighting == "raters" else weighting,
            sampled=method in CASE_AWARE,
            on_bad=noting_bad(on_bad, bad.add),
            progress=progress,
            executor=executor,
        )
        good = [case for case in cases if case.id not in bad]
    table = counted.table
    if masks:
        check_masks_of(table.records)
    curve = _curve(
        table,
        good,
        target=wanted,
        weighting=weighting,
        exact=exact,
        pin_zero=pin_zero,
        progress=progress,
        executor=executor,
    )
    _warn_if_nothing_drawn(curve)
    fitted, selection, uncertainty = _fit(
        method, curve, counted, target=wanted, pin_zero=pin_zero, replicates=replicates, seed=seed
    )
    # What is learnt of single cases is learnt of all, or not at all: a part of the sites speaks for itself only.
    single = () if table.withheld else tuple(table.cases)
    calibration = Calibration(
        pin_zero=pin_zero,
        map=fitted,
        volume=_volumes(fitted, single, counted.samples, pin_zero=pin_zero),
        selection=selection,
        uncertainty=uncertainty,
        guard=ShiftGuard.of(case.summary for case in single) if single else None,
        provenance=Provenance.of(table, target=wanted, weighting=weighting, exact=exact),
    )
    if not masks:
        return calibration
    return with_rater_field(calibration, good, seed=seed, progress=progress, executor=executor)


def _has_patients(cases: Cohort | ResponseTable) -> bool:
    """Say whether patients can be left out."""
    return isinstance(cases, Cohort) and len({case.patient for case in cases}) > 1


def _curve(
    table: ResponseTable,
    cases: Sequence[Case],
    *,
    target: str,
    weighting: FitWeighting,
    exact: bool,
    pin_zero: bool,
    progress: Progress | None,
    executor: Executor | None,
) -> Curve:
    if weighting == "raters":
        return weighted_curve(table, pin_zero=pin_zero)
    if exact:
        return exact_curve(table, cases, target=target, pin_zero=pin_zero, progress=progress, executor=executor)
    return table.curve(target=target, pin_zero=pin_zero)


def _fit(
    method: str, curve: Curve, counted: Counted, *, target: str, pin_zero: bool, replicates: int, seed: int
) -> tuple[AnyMap, Selection | None, Uncertainty | None]:
    selection = None
    if method in CASE_AWARE:
        _require_alike(method, counted.table.records)
        weights = _rater_weights(counted)
        fitted, selection = fit_selected(method, counted.samples, weights=weights)
        if isinstance(fitted, ConditionalMap):
            found = None
            if replicates:
                found = resampled(fitted, counted.samples, weights=weights, replicates=replicates, seed=seed)
            return fitted, selection, found
        method = fitted.method
    # Also where it was chosen by samples: they have neighbouring levels in a row; the table has every level.
    found = None
    if replicates and counted.table.cases and not counted.table.withheld:
        coarse = _coarse(counted.table, majority=target == MAJORITY, pin_zero=pin_zero)
        found = resampled_curves(method, coarse, replicates=replicates, seed=seed)
    return fit_map(method, curve), selection, found


def _coarse(table: ResponseTable, *, majority: bool, pin_zero: bool) -> list[tuple[int, CoarseCounts]]:
    """Give the number of the patient and the coarse counts of each case, whatever their names and order."""
    found = []
    for index, patient in in_order(table.cases):
        tally = table.cases[index].tally
        weight = voxel_weight(tally.n_above_zero, table.weighting)
        found.append((patient, tally.coarse_counts(weight=weight, majority=majority, pin_zero=pin_zero)))
    return found


def _require_alike(method: str, records: Sequence[CaseRecord]) -> None:
    """Refuse cases of two kinds whose features do not mean the same; no later case could be like both.

    Raises:
        CalibrationError: If some have a known voxel size and others not.
    """
    unknown = sum(not record.spacing for record in records)
    if 0 < unknown < len(records):
        raise CalibrationError(
            f"{method} measures in mm, but of {len(records)} cases the voxel size of {unknown} is not known. Give "
            f"files that hold it, or choose a method that looks at the probability alone: {', '.join(METHODS)}"
        )


def _rater_weights(counted: Counted) -> list[float]:
    """Let a case that few raters drew count less, by how much their votes repeat each other; 1 on average."""
    if len({len(sample.drawn) for sample in counted.samples}) == 1:
        return [1.0] * len(counted.samples)
    try:
        correlation = vote_correlation(counted.table)
    except CalibrationError:  # nobody ever disagreed: a second vote tells nothing
        correlation = 1.0
    weights = [rater_weight(len(sample.drawn), correlation) for sample in counted.samples]
    mean = sum(weights) / len(weights)
    return [weight / mean for weight in weights]


def _volumes(
    fitted: AnyMap, cases: Sequence[CountedCase], samples: Sequence[CaseSample], *, pin_zero: bool
) -> VolumeModel | None:
    """Learn how raters' volumes are distributed, from the very cases that the map was fitted to.

    Leaving each case out would cost as many fits; docs/evidence/volume_distribution.md compares the two.
    """
    if isinstance(fitted, ConditionalMap):
        return VolumeModel.fit([volume_summary(fitted, one) for one in samples], [one.drawn for one in samples])
    if not cases:
        return None
    tallies = [cases[index].tally for index, _ in in_order(cases)]
    summaries = [tally.summary(fitted, pin_zero=pin_zero) for tally in tallies]
    return VolumeModel.fit(summaries, [tally.drawn for tally in tallies])


def _check_options(method: str, *, exact: bool) -> None:
    if method not in ALL_METHODS:
        raise CalibrationError(f"unknown method {method!r}; known are {', '.join(ALL_METHODS)}")
    if exact and method not in EXACT_METHODS:
        raise CalibrationError(f"exact goes with {' and '.join(EXACT_METHODS)}, not with {method}")


def _check_table(table: ResponseTable, *, method: str, weighting: str | None, exact: bool) -> None:
    """Refuse what a table cannot tell, or this one does not."""
    if exact:
        raise CalibrationError("an exact fit needs the cases; a table holds levels only")
    if method in CASE_AWARE:
        raise CalibrationError(
            f"{method} needs the cases: it looks at the surroundings of voxels and leaves patients out, for which no "
            f"table holds enough. Fit it where the cases are, or name another method: {', '.join(METHODS)}"
        )
    if weighting not in (None, "raters", table.weighting):
        raise CalibrationError(
            f"this table was counted with weighting {table.weighting}; it cannot be fitted with weighting {weighting}. "
            f"Count the cases with that weighting (twintrack tabulate --weighting {weighting})"
        )


def _check_case_aware(method: str, *, target: str, weighting: str, pin_zero: bool) -> None:
    if target != RESPONSE:
        raise CalibrationError(f"{method} is fitted to the response, not to {target}; choose another method (--method)")
    if weighting != "voxels" or not pin_zero:
        raise CalibrationError(
            f"{method} weighs cases in its own way and keeps 0 at a probability of 0; leave --weighting and "
            "--no-pin-zero away, or choose another method (--method)"
        )


def _warn_if_nothing_drawn(curve: Curve) -> None:
    if curve.mean_response() == 0:
        warnings.warn(
            "no rater drew anything where a probability is above 0, so every response is 0; do the raters' labels "
            "(--rater-labels) and the foreground mean the same structure?",
            TwinTrackWarning,
            stacklevel=3,
        )
