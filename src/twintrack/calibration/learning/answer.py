"""What a learning curve says of more cases: how much they would help, and when it is enough."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from twintrack.calibration.learning.saturation import Saturations, fit_saturations

LEVEL = 0.95
"""Of all intervals."""

REACH = 4
"""A curve is extrapolated to at most so many times the largest size measured."""

LEAST_SIZES = 4
"""Fewer points tell nothing of a curve with three numbers."""

Verdict: TypeAlias = Literal["little", "helps", "rises", "cannot tell"]

_MORE = 10  # cases
_LINE = 41  # points of the curve that is drawn
_MISFIT = 2.5  # standard deviations (root mean square) by which points may miss the curve
_SLACK = 1e-3  # of the criterion: by so much points may miss the curve anyway


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Estimate(_Record):
    """A value with its interval.

    Attributes:
        value: The value.
        low: Lower end.
        high: Upper end.
    """

    value: float
    low: float
    high: float

    @classmethod
    def of(cls, values: NDArray[np.float64]) -> Estimate:
        """Take an estimate, the first of the values, and its resampled values, the others."""
        low, high = np.quantile(values[1:], [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
        value = float(values[0])
        return cls(value=value, low=min(float(low), value), high=max(float(high), value))


class Forecast(_Record):
    """What is expected of a number of cases.

    Attributes:
        n: The number.
        criterion: The criterion.
        gain: By how much it is lower than with the cases at hand.
    """

    n: int
    criterion: Estimate
    gain: Estimate


class Enough(_Record):
    """From how many cases on the criterion is within the tolerance of its plateau.

    None is beyond `Answer.limit`; nothing is said of fewer cases than the smallest number measured.

    Attributes:
        n: The number expected.
        low: Lower end of its interval.
        high: Upper end.
    """

    n: int | None
    low: int | None
    high: int | None


class Answer(_Record):
    """How many more cases would help, by how much.

    Attributes:
        verdict: What twice as many cases would do, by the interval of their gain. "little": lower the criterion by less
            than the tolerance; "helps": by more; "rises": the criterion gets worse with more cases; "cannot tell".
        reason: Why it cannot be told; None otherwise.
        sentences: The answer in two sentences.
        tolerance: Fraction of the criterion that is worth having.
        limit: The largest number of cases that is spoken of.
        plateau: The criterion with any number of cases; None, as all below, where no curve could be fitted.
        exponent: c of the fitted curve a + b n^(−c).
        enough: When the plateau is reached.
        forecasts: For the cases at hand, ten more, and twice as many.
        line: The fitted curve from the smallest size to `limit`.
    """

    verdict: Verdict
    reason: str | None = None
    sentences: tuple[str, str]
    tolerance: float
    limit: int
    plateau: Estimate | None = None
    exponent: float | None = None
    enough: Enough | None = None
    forecasts: tuple[Forecast, ...] = ()
    line: tuple[Forecast, ...] = ()


def answer(
    sizes: Sequence[int], curves: NDArray[np.float64], n_cases: int, *, tolerance: float, seed: int = 0
) -> Answer:
    """Fit a saturating curve, and extrapolate it.

    Args:
        sizes: Numbers of cases measured, (S,), increasing.
        curves: The criterion at each, first the estimate, then resampled ones, (1 + B, S).
        n_cases: How many cases are at hand.
        tolerance: Fraction of the criterion that is worth having, and within which the plateau counts as reached.
        seed: Of the random numbers.

    Returns:
        The answer.
    """
    limit = REACH * max(sizes)
    if len(sizes) < LEAST_SIZES:
        reason = f"a curve needs at least {LEAST_SIZES} different numbers of cases, here there are {len(sizes)}"
        return _unknown(sizes, curves, reason, tolerance, limit)
    if 2 * n_cases > limit:
        reason = f"only {sizes[-1]} of the {n_cases} cases could be fitted while others were left out"
        return _unknown(sizes, curves, reason, tolerance, limit)
    variance = _variance(curves)
    shift = np.random.default_rng(seed).normal(size=len(curves))
    shift[0] = 0
    fitted = fit_saturations(sizes, curves, variance, shift=shift)
    rise = Estimate.of(curves[:, -1] - curves[:, 0])
    if rise.low > _SLACK:
        return _rising(sizes, rise, tolerance, limit)
    missed = curves[0] - fitted.at(sizes)[0]
    if np.sqrt(np.mean(missed**2 / variance)) > _MISFIT:
        return _unknown(sizes, curves, "the losses do not follow a curve that levels off", tolerance, limit)
    return _told(sizes, fitted, n_cases, tolerance, limit)


def _variance(curves: NDArray[np.float64]) -> NDArray[np.float64]:
    """Give how far each point varies about the curve; what moves the whole curve does not count."""
    shape = curves[1:] - curves[1:].mean(axis=1, keepdims=True)
    return np.asarray(shape.var(axis=0) + (_SLACK * curves[0].mean()) ** 2)


def _told(sizes: Sequence[int], fitted: Saturations, n_cases: int, tolerance: float, limit: int) -> Answer:
    asked = {n_cases, n_cases + _MORE, 2 * n_cases}
    forecasts = _forecasts(fitted, sorted(n for n in asked if n <= limit), n_cases)
    twice = next(one for one in forecasts if one.n == 2 * n_cases).gain
    worth = tolerance * forecasts[0].criterion.value
    verdict: Verdict = "little" if twice.high < worth else "helps" if twice.low > worth else "cannot tell"
    plateau, enough = Estimate.of(fitted.plateau), _enough(fitted, tolerance, sizes[0], limit)
    second = _SECOND[verdict].format(percent=f"{100 * tolerance:g} %")
    return Answer(
        verdict=verdict,
        reason="the interval of the gain is too wide" if verdict == "cannot tell" else None,
        sentences=(_expected(forecasts, n_cases), f"{second} {_when(enough, tolerance, plateau, limit)}"),
        tolerance=tolerance,
        limit=limit,
        plateau=plateau,
        exponent=float(fitted.exponent[0]),
        enough=enough,
        forecasts=forecasts,
        line=_forecasts(fitted, _steps(sizes, limit), n_cases),
    )


def _steps(sizes: Sequence[int], limit: int) -> NDArray[np.intp]:
    between = np.geomspace(sizes[0], limit, _LINE).round().astype(np.intp)
    return np.unique(np.concatenate([np.asarray(sizes, np.intp), between]))


def _forecasts(fitted: Saturations, sizes: Sequence[int] | NDArray[np.intp], n_cases: int) -> tuple[Forecast, ...]:
    now, then = fitted.at([n_cases]), fitted.at(np.asarray(sizes, float))
    return tuple(
        Forecast(n=int(n), criterion=Estimate.of(then[:, k]), gain=Estimate.of(now[:, 0] - then[:, k]))
        for k, n in enumerate(sizes)
    )


def _enough(fitted: Saturations, tolerance: float, least: int, limit: int) -> Enough:
    # Pitfall: quantiles between a number and infinity are no numbers; one beyond the limit stands for all.
    found = Estimate.of(np.clip(fitted.reaching(tolerance), least, 2 * limit))
    n, low, high = (int(np.ceil(one)) for one in (found.value, found.low, found.high))
    return Enough(n=_within(n, limit), low=_within(low, limit), high=_within(high, limit))


def _within(n: int, limit: int) -> int | None:
    return n if n <= limit else None


_SECOND: dict[str, str] = {
    "little": "More cases would not help measurably, twice as many by less than {percent}:",
    "helps": "More cases would help, twice as many by more than {percent}:",
    "cannot tell": "Whether twice as many would help by more than {percent} cannot be told from these cases:",
}


def _when(enough: Enough, tolerance: float, plateau: Estimate, limit: int) -> str:
    def said(n: int | None) -> str:
        return f"more than {limit}" if n is None else str(n)

    return (
        f"the loss comes within {100 * tolerance:g} % of its plateau of {plateau.value:.3f} with about "
        f"{said(enough.n)} cases (95 %: {said(enough.low)} to {said(enough.high)})."
    )


def _expected(forecasts: Sequence[Forecast], n_cases: int) -> str:
    now, *more = forecasts
    names = {n_cases + _MORE: f"{_MORE} more", 2 * n_cases: "twice as many"}
    gains = [
        f"{names[one.n]} {'would lower it by ' if k == 0 else 'by '}{one.gain.value:.3f} "
        f"({one.gain.low:.3f} to {one.gain.high:.3f})"
        for k, one in enumerate(more)
    ]
    return (
        f"With the {n_cases} cases at hand the loss on new patients is expected to be {_times(now.criterion)}; "
        f"{', '.join(gains)}."
    )


def _times(found: Estimate) -> str:
    return f"{found.value:.3f} times that of probabilities left alone (95 %: {found.low:.3f} to {found.high:.3f})"


def _unknown(sizes: Sequence[int], curves: NDArray[np.float64], reason: str, tolerance: float, limit: int) -> Answer:
    last = Estimate.of(curves[:, -1])
    return Answer(
        verdict="cannot tell",
        reason=reason,
        sentences=(
            f"With {sizes[-1]} cases the loss on new patients is {_times(last)}.",
            f"What more cases would bring cannot be told: {reason}.",
        ),
        tolerance=tolerance,
        limit=limit,
    )


def _rising(sizes: Sequence[int], rise: Estimate, tolerance: float, limit: int) -> Answer:
    return Answer(
        verdict="rises",
        sentences=(
            f"From {sizes[0]} to {sizes[-1]} cases the loss on new patients rises by {rise.value:.3f} "
            f"(95 %: {rise.low:.3f} to {rise.high:.3f}) of that of probabilities left alone.",
            "More cases would not help this method, which is fitted to something else than what it is judged by here.",
        ),
        tolerance=tolerance,
        limit=limit,
    )
