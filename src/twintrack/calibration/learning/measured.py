"""Fits a method to every set that was drawn, and judges it on the patients left out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from twintrack.calibration.learning.draws import Draw
from twintrack.calibration.methods import AnyMap, fit_map
from twintrack.calibration.methods.identity import IdentityMap
from twintrack.calibration.sample import CaseSample, curve_of
from twintrack.calibration.selection.candidates import judge
from twintrack.calibration.selection.losses import losses
from twintrack.calibration.selection.selected import CASE_AWARE, fit_selected
from twintrack.errors import CalibrationError

FitProgress: TypeAlias = Callable[[Sequence[Draw], str], Iterable[Draw]]
"""Wraps the sets to be fitted, with what is being done to them in words, and gives them on one by one."""


@dataclass(frozen=True, eq=False)
class Measured:
    """What was found at one size.

    Attributes:
        size: Number of cases fitted.
        losses: Of each case by each draw's map, relative to the identity's mean over all cases: float64
            (draws, cases, len(TERMS)); NaN where the case's patient was fitted.
        n_unfitted: Draws to which the method could not be fitted; they are judged as the identity.
    """

    size: int
    losses: NDArray[np.float64]
    n_unfitted: int


def measure(
    samples: Sequence[CaseSample], draws: Sequence[Draw], method: str, *, progress: FitProgress | None = None
) -> tuple[NDArray[np.float64], list[Measured]]:
    """Fit and judge.

    Args:
        samples: The cases.
        draws: The sets.
        method: As in `twintrack.fit`.
        progress: Wraps the draws to show progress.

    Returns:
        The identity's relative losses, float64 (cases, len(TERMS)), of mean 1; and what was found, by increasing size.
        Where no case has any loss, absolute losses stand for relative ones.

    Raises:
        CalibrationError: If the method could be fitted to none of the sets.
    """
    unchanged = np.array([losses(sample, judge(IdentityMap(), sample)) for sample in samples])
    unit = unchanged.mean(axis=0)
    unchanged[:, unit == 0] = 1.0
    unit[unit == 0] = 1.0
    found: dict[tuple[int, int], NDArray[np.float64]] = {}
    errors: dict[tuple[int, int], CalibrationError] = {}
    for draw in progress(draws, "Fitting") if progress else draws:
        at = (draw.size, draw.number)
        fitted: AnyMap = IdentityMap()
        try:
            fitted = _fit(method, [samples[k] for k in draw.fitted])
        except CalibrationError as error:
            errors[at] = error
        found[at] = np.full(unchanged.shape, np.nan)
        for k in draw.judged:
            found[at][k] = losses(samples[k], judge(fitted, samples[k])) / unit
    if len(errors) == len(draws):
        raise next(iter(errors.values()))
    return unchanged / unchanged.mean(axis=0), [
        Measured(
            size=size,
            losses=np.stack([one for at, one in sorted(found.items()) if at[0] == size]),
            n_unfitted=sum(at[0] == size for at in errors),
        )
        for size in sorted({draw.size for draw in draws})
    ]


def _fit(method: str, samples: Sequence[CaseSample]) -> AnyMap:
    if method in CASE_AWARE:
        return fit_selected(method, samples)[0]
    return fit_map(method, curve_of(samples))
