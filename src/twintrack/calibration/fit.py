"""Fitting a calibration to a cohort or to a response table."""

from __future__ import annotations

import warnings
from collections.abc import Iterable

from twintrack.calibration.calibration import Calibration
from twintrack.calibration.curve import Curve
from twintrack.calibration.exact import exact_curve
from twintrack.calibration.methods import METHODS, AnyMap, ConditionalMap, fit_map
from twintrack.calibration.provenance import Provenance
from twintrack.calibration.sample import CaseSample
from twintrack.calibration.selection.candidates import expected_volume
from twintrack.calibration.selection.choose import Selection
from twintrack.calibration.selection.selected import CASE_AWARE, fit_selected
from twintrack.calibration.table import ResponseTable, Weighting
from twintrack.calibration.target import RESPONSE, Target
from twintrack.calibration.volume import VolumeRatios
from twintrack.cohort import Case, CaseData, Cohort, OnBad, Progress, map_cases
from twintrack.errors import CalibrationError, TwinTrackError, TwinTrackWarning

EXACT_METHODS = ("isotonic", "centered-isotonic")
"""Methods for which single probabilities can make a difference."""

ALL_METHODS = (*METHODS, *CASE_AWARE)
"""Every method's name."""


def fit(
    cases: Iterable[Case] | ResponseTable,
    *,
    method: str = "isotonic",
    target: str = RESPONSE,
    weighting: Weighting = "voxels",
    exact: bool = False,
    pin_zero: bool = True,
    on_bad: OnBad | None = None,
    progress: Progress | None = None,
) -> Calibration:
    """Fit a calibration.

    Args:
        cases: Cases with members (or a probability) and raters, read one at a time; or a response table.
        method: "identity", "temperature", "platt", "beta", "histogram", "isotonic", "centered-isotonic"; "conditional",
            which also looks at the voxel's surroundings and the case; or "auto", which leaves patients out to find the
            method that helps.
        target: "response" (the mean human response), "majority", "staple" or "rater:NAME".
        weighting: "voxels": every voxel counts alike; "cases": every case does. A table has its own.
        exact: Fit the two isotonic methods to single probabilities instead of levels of less than 0.1 % width, in
            two passes; needs cases.
        pin_zero: Keep the response 0 where the probability is exactly 0, and leave such voxels out of the
            fit. Without it an isotonic map gives them the small response of what the members missed, everywhere
            inside the ROI.
        on_bad: Called with a case that cannot be used and the reason; the fit goes on without it. None: raise.
        progress: Wraps the cases to show progress.

    Returns:
        The calibration.

    Raises:
        CalibrationError: If method or target is unknown, the options contradict each other, or there is nothing to fit.
        TwinTrackError: If a case cannot be used and `on_bad` is None, or none can.

    Warns:
        TwinTrackWarning: If no rater drew anything.
    """
    wanted = Target(target).name
    _check_options(method, exact=exact, from_table=isinstance(cases, ResponseTable))
    if method in CASE_AWARE:
        _check_case_aware(method, target=wanted, weighting=weighting, pin_zero=pin_zero)
    bad = set[str]()
    samples: list[CaseSample] = []
    if isinstance(cases, ResponseTable):
        table, curve = cases, cases.curve(target=wanted, pin_zero=pin_zero)
    else:
        cohort = Cohort(cases)
        table, samples = _count(
            cohort,
            target=wanted,
            weighting=weighting,
            sampled=method in CASE_AWARE,
            on_bad=_noting(on_bad, bad),
            progress=progress,
        )
        good = [case for case in cohort if case.id not in bad]
        curve = (
            exact_curve(table, good, target=wanted, pin_zero=pin_zero, progress=progress)
            if exact
            else table.curve(target=wanted, pin_zero=pin_zero)
        )
    _warn_if_nothing_drawn(curve)
    fitted, selection = _fit(method, curve, samples)
    return Calibration(
        pin_zero=pin_zero,
        map=fitted,
        volume=_volumes(fitted, table, samples, pin_zero=pin_zero),
        selection=selection,
        provenance=Provenance.of(table, target=wanted, exact=exact, n_skipped=len(bad)),
    )


def _fit(method: str, curve: Curve, samples: list[CaseSample]) -> tuple[AnyMap, Selection | None]:
    if method not in CASE_AWARE:
        return fit_map(method, curve), None
    fitted, selection = fit_selected(method, samples)
    if isinstance(fitted, ConditionalMap):
        return fitted, selection
    # The sample has neighbouring levels in a row; the table has every level.
    return fit_map(fitted.method, curve), selection


def _volumes(fitted: AnyMap, table: ResponseTable, samples: list[CaseSample], *, pin_zero: bool) -> VolumeRatios | None:
    if isinstance(fitted, ConditionalMap):
        return VolumeRatios.of_volumes((expected_volume(fitted, sample), sample.drawn) for sample in samples)
    return VolumeRatios.of(table.tallies, fitted, pin_zero=pin_zero) if table.tallies else None


def _check_options(method: str, *, exact: bool, from_table: bool) -> None:
    if method not in ALL_METHODS:
        raise CalibrationError(f"unknown method {method!r}; known are {', '.join(ALL_METHODS)}")
    if exact and method not in EXACT_METHODS:
        raise CalibrationError(f"exact goes with {' and '.join(EXACT_METHODS)}, not with {method}")
    if exact and from_table:
        raise CalibrationError("an exact fit needs the cases; a table holds levels only")
    if method in CASE_AWARE and from_table:
        raise CalibrationError(
            f"{method} needs the cases: it looks at the surroundings of voxels, which a table does not hold"
        )


def _check_case_aware(method: str, *, target: str, weighting: str, pin_zero: bool) -> None:
    if target != RESPONSE:
        raise CalibrationError(f"{method} is fitted to the response, not to {target}; choose another method (--method)")
    if weighting != "voxels" or not pin_zero:
        raise CalibrationError(
            f"{method} weighs cases in its own way and keeps 0 at a probability of 0; leave --weighting and "
            "--no-pin-zero away, or choose another method (--method)"
        )


def _noting(on_bad: OnBad | None, bad: set[str]) -> OnBad | None:
    """Remember which cases are skipped, so that a second pass leaves them out too."""
    if on_bad is None:
        return None

    def note(case: Case, error: TwinTrackError) -> None:
        bad.add(case.id)
        on_bad(case, error)

    return note


def _warn_if_nothing_drawn(curve: Curve) -> None:
    if curve.mean_response() == 0:
        warnings.warn(
            "no rater drew anything where a probability is above 0, so every response is 0; do the raters' labels "
            "(--rater-labels) and the foreground mean the same structure?",
            TwinTrackWarning,
            stacklevel=3,
        )


def _count(
    cases: Cohort,
    *,
    target: str,
    weighting: Weighting,
    sampled: bool,
    on_bad: OnBad | None,
    progress: Progress | None,
) -> tuple[ResponseTable, list[CaseSample]]:
    """Count all cases, and take samples of them where wanted, in an order that does not depend on that of the cases."""

    def one(case: Case, data: CaseData) -> tuple[ResponseTable, CaseSample | None]:
        table = ResponseTable.from_data(case, data, target=target, weighting=weighting)
        return table, CaseSample.of(case, data) if sampled else None

    total: ResponseTable | None = None
    samples: list[tuple[str, CaseSample]] = []
    for table, sample in map_cases(one, cases, label="Fitting", on_bad=on_bad, progress=progress):
        total = table if total is None else total + table
        if sample is not None:
            samples.append((table.records[0].model_dump_json(), sample))
    if total is None:
        raise CalibrationError("there is nothing to fit: every case was skipped")
    return total, [sample for _, sample in sorted(samples, key=lambda pair: pair[0])]


def tabulate(
    cases: Iterable[Case],
    *,
    target: str = RESPONSE,
    weighting: Weighting = "voxels",
    on_bad: OnBad | None = None,
    progress: Progress | None = None,
) -> ResponseTable:
    """Count cases into one response table, reading one case at a time.

    Args:
        cases: Cases with members and raters.
        target: What to count as votes.
        weighting: Whether voxels or cases count alike.
        on_bad: Called with a case that cannot be used and the reason. None: raise.
        progress: Wraps the cases to show progress.

    Returns:
        The table.

    Raises:
        TwinTrackError: If a case cannot be used and `on_bad` is None, or no case is left.
    """
    table, _ = _count(
        Cohort(cases), target=target, weighting=weighting, sampled=False, on_bad=on_bad, progress=progress
    )
    return table
