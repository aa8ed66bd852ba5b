"""How a calibration gets better with the number of its cases, and what more of them would bring."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from pydantic import BaseModel, ConfigDict

from twintrack.calibration.fit import ALL_METHODS
from twintrack.calibration.learning.answer import LEVEL, Answer, Estimate, answer
from twintrack.calibration.learning.draws import LEAST_SIZE, draw_sets, ladder, largest_size
from twintrack.calibration.learning.measured import FitProgress, Measured, measure
from twintrack.calibration.learning.resample import resampled_curves
from twintrack.calibration.sample import CaseSample
from twintrack.calibration.selection.losses import TERMS
from twintrack.calibration.selection.selected import AUTO, CASE_AWARE
from twintrack.cohort import Case, CaseData, OnBad, Progress, map_cases
from twintrack.compute.executors import Executor
from twintrack.errors import CalibrationError

TOLERANCE = 0.02
"""Less than this fraction of the criterion is not worth having more cases for."""

_REPEATS, _CASE_AWARE_REPEATS = 10, 2  # the second cost a hundred times as much


class SizePoint(BaseModel):
    """What sets of one size came to, on patients that were not fitted.

    Attributes:
        n: Number of cases fitted.
        draws: How many sets were drawn.
        unfitted: To how many of them the method could not be fitted; these count as the identity.
        criterion: Mean of the terms: losses relative to the identity's on the same cases. 1: no better than leaving
            probabilities alone.
        terms: The relative losses, by name of `TERMS`.
        spread: Standard deviation of the criterion between sets: how much depends on which n cases one has. Sets share
            cases, so for large ones it is too small. None where each case was judged once only.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    n: int
    draws: int
    unfitted: int
    criterion: Estimate
    terms: dict[str, Estimate]
    spread: float | None


class LearningCurve(BaseModel):
    """A learning curve over the number of calibration cases.

    Attributes:
        method: What was fitted.
        n_cases: Cases at hand.
        n_patients: Their patients.
        repeats: How often every case was left out of the largest sets.
        seed: Of the random numbers.
        level: Of all intervals.
        sizes: What was measured, by increasing size.
        answer: What more cases would bring.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    method: str
    n_cases: int
    n_patients: int
    repeats: int
    seed: int
    level: float
    sizes: tuple[SizePoint, ...]
    answer: Answer


def learning_curve(
    cases: Iterable[Case],
    *,
    method: str = AUTO,
    sizes: Sequence[int] | None = None,
    repeats: int | None = None,
    tolerance: float = TOLERANCE,
    seed: int = 0,
    on_bad: OnBad | None = None,
    progress: Progress | None = None,
    fit_progress: FitProgress | None = None,
    executor: Executor | None = None,
) -> LearningCurve:
    """Measure how a calibration's losses on new patients fall with the number of cases, and extrapolate.

    Every case is read once, into a sample of its voxels; the rest is done on the samples (see `curve_of_samples`).

    Args:
        cases: Cases with members (or a probability) and raters.
        method: As in `twintrack.fit`; fitted to the response.
        sizes: Numbers of cases to measure. None: about equal ratios from 4 to some 80 % of the cases.
        repeats: How often every case is left out of the largest sets. None: 2 for "conditional" and "auto", else 10.
        tolerance: Fraction of the criterion that is worth having, and within which its plateau counts as reached.
        seed: Of the random numbers.
        on_bad: Called with a case that cannot be used and the reason; it is then left out. None: raise.
        progress: Wraps the cases to show progress.
        fit_progress: Wraps the fits to show progress.
        executor: Who reads the cases (`twintrack.compute.executors`); None: this process, which fits in any case.

    Returns:
        The curve. It does not depend on the order of the cases.

    Raises:
        CalibrationError: If the method or a size is impossible, or there are fewer than four patients.
        TwinTrackError: If a case cannot be used and `on_bad` is None, or none can.
    """
    _check(method, repeats, tolerance)

    walk = map_cases(_sample, cases, label="Reading", on_bad=on_bad, progress=progress, executor=executor)
    found = sorted(walk, key=lambda row: row[:2])
    samples = [sample for _, _, sample in found]
    return curve_of_samples(
        samples,
        method=method,
        sizes=sizes,
        repeats=repeats,
        tolerance=tolerance,
        seed=seed,
        fit_progress=fit_progress,
    )


def _sample(case: Case, data: CaseData) -> tuple[str, str, CaseSample]:
    return case.patient, case.id, CaseSample.of(case, data)


def curve_of_samples(
    samples: Sequence[CaseSample],
    *,
    method: str = AUTO,
    sizes: Sequence[int] | None = None,
    repeats: int | None = None,
    tolerance: float = TOLERANCE,
    seed: int = 0,
    fit_progress: FitProgress | None = None,
) -> LearningCurve:
    """Measure the learning curve of cases that were read.

    For each size sets of cases are drawn, a patient's together (`learning.draws`), the method is fitted to each and
    judged on all patients not in it by the losses of `selection.losses`, relative to the identity's. A case's losses
    are averaged over the draws that left it out, then cases are averaged, so that every size is judged on the same
    cases alike. `learning.resample` says what the intervals cover, `learning.answer` how far is extrapolated.

    Args:
        samples: The cases, in an order that the result may depend on.
        method: As in `twintrack.fit`.
        sizes: Numbers of cases to measure.
        repeats: How often every case is left out of the largest sets.
        tolerance: Fraction of the criterion that is worth having, and within which its plateau counts as reached.
        seed: Of the random numbers.
        fit_progress: Wraps the fits to show progress.

    Returns:
        The curve.

    Raises:
        CalibrationError: If the method or a size is impossible, there are fewer than four patients, or nothing to fit.
    """
    _check(method, repeats, tolerance)
    patients = [sample.patient for sample in samples]
    wanted = _sizes(sizes, largest_size(patients), len(samples))
    times = repeats or (_CASE_AWARE_REPEATS if method in CASE_AWARE else _REPEATS)
    draws = draw_sets(patients, wanted, repeats=times, seed=seed)
    identity, found = measure(samples, draws, method, progress=fit_progress)
    curves, spreads = resampled_curves(found, identity, patients, seed=seed)
    return LearningCurve(
        method=method,
        n_cases=len(samples),
        n_patients=len(set(patients)),
        repeats=times,
        seed=seed,
        level=LEVEL,
        sizes=tuple(_point(one, curves[:, k], float(spreads[k])) for k, one in enumerate(found)),
        answer=answer(wanted, curves[..., 0], len(samples), tolerance=tolerance, seed=seed),
    )


def _point(one: Measured, curves: np.ndarray, spread: float) -> SizePoint:
    return SizePoint(
        n=one.size,
        draws=len(one.losses),
        unfitted=one.n_unfitted,
        criterion=Estimate.of(curves[:, 0]),
        terms={name: Estimate.of(curves[:, 1 + k]) for k, name in enumerate(TERMS)},
        spread=None if np.isnan(spread) else spread,
    )


def _check(method: str, repeats: int | None, tolerance: float) -> None:
    if method not in ALL_METHODS:
        raise CalibrationError(f"unknown method {method!r}; known are {', '.join(ALL_METHODS)}")
    if repeats is not None and repeats < 1:
        raise CalibrationError(f"repeats must be at least 1; got {repeats}")
    if not 0 < tolerance < 1:
        raise CalibrationError(f"the tolerance is a fraction between 0 and 1; got {tolerance:g}")


def _sizes(given: Sequence[int] | None, largest: int, n_cases: int) -> tuple[int, ...]:
    if given is None:
        return ladder(largest)
    wanted = tuple(sorted(set(given)))
    said = ", ".join(map(str, wanted)) or "none"
    if not wanted or wanted[0] < LEAST_SIZE or wanted[-1] > largest:
        raise CalibrationError(
            f"the numbers of cases to measure must lie between {LEAST_SIZE} and {largest}, so that a fifth of the "
            f"patients can be left out; got {said}"
        )
    if 2 * wanted[-1] < n_cases:
        raise CalibrationError(
            f"the largest number of cases to measure must be at least half of the {n_cases} cases, else there is no "
            f"saying what more of them would bring; got {said}"
        )
    return wanted
