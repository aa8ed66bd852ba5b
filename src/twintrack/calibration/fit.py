"""Fitting a calibration to a cohort or to a response table."""

from __future__ import annotations

import warnings
from collections.abc import Iterable

from twintrack.calibration.calibration import Calibration
from twintrack.calibration.curve import Curve
from twintrack.calibration.exact import exact_curve
from twintrack.calibration.methods import METHODS
from twintrack.calibration.provenance import Provenance
from twintrack.calibration.table import ResponseTable, Weighting
from twintrack.calibration.target import RESPONSE, Target
from twintrack.calibration.volume import VolumeRatios
from twintrack.cohort import Case, CaseData, Cohort, OnBad, Progress, map_cases
from twintrack.errors import CalibrationError, TwinTrackError, TwinTrackWarning

EXACT_METHODS = ("isotonic", "centered-isotonic")
"""Methods for which single probabilities can make a difference."""


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
        method: "identity", "temperature", "platt", "beta", "histogram", "isotonic" or "centered-isotonic".
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
    if isinstance(cases, ResponseTable):
        table, curve, n_skipped = cases, cases.curve(target=wanted, pin_zero=pin_zero), 0
    else:
        cohort, bad = Cohort(cases), set[str]()
        note = _noting(on_bad, bad)
        table = tabulate(cohort, target=wanted, weighting=weighting, on_bad=note, progress=progress)
        good = [case for case in cohort if case.id not in bad]
        curve = (
            exact_curve(table, good, target=wanted, pin_zero=pin_zero, progress=progress)
            if exact
            else table.curve(target=wanted, pin_zero=pin_zero)
        )
        n_skipped = len(bad)
    _warn_if_nothing_drawn(curve)
    response = METHODS[method].fit(curve)
    return Calibration(
        pin_zero=pin_zero,
        map=response,
        volume=VolumeRatios.of(table.tallies, response, pin_zero=pin_zero) if table.tallies else None,
        provenance=Provenance.of(table, target=wanted, exact=exact, n_skipped=n_skipped),
    )


def _check_options(method: str, *, exact: bool, from_table: bool) -> None:
    if method not in METHODS:
        raise CalibrationError(f"unknown method {method!r}; known are {', '.join(METHODS)}")
    if exact and method not in EXACT_METHODS:
        raise CalibrationError(f"exact goes with {' and '.join(EXACT_METHODS)}, not with {method}")
    if exact and from_table:
        raise CalibrationError("an exact fit needs the cases; a table holds levels only")


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

    def count(case: Case, data: CaseData) -> ResponseTable:
        return ResponseTable.from_data(case, data, target=target, weighting=weighting)

    total: ResponseTable | None = None
    for table in map_cases(count, cases, label="Fitting", on_bad=on_bad, progress=progress):
        total = table if total is None else total + table
    if total is None:
        raise CalibrationError("there is nothing to fit: every case was skipped")
    return total
