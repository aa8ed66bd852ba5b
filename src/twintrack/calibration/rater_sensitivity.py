"""How much a calibration owes to each of its raters: it is fitted again without one, and both are applied."""

from __future__ import annotations

import copy
import warnings
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from twintrack.calibration.calibration import Calibration
from twintrack.calibration.fit import fit
from twintrack.calibration.target import RESPONSE, Target
from twintrack.cohort import Case, CaseData, Cohort, OnBad, Progress, map_cases
from twintrack.compute.blocks import blocks, flat
from twintrack.compute.executors import Executor
from twintrack.errors import CalibrationError, CohortError, TwinTrackError, TwinTrackWarning


@dataclass(frozen=True, kw_only=True)
class DroppedRater:
    """What changes when one rater is left out of a fit.

    Changes are responses of the calibration without the rater minus those of the calibration with all, on the voxels
    of all cases that count in a fit: inside the ROI and, with `pin_zero`, with a probability above 0.

    Attributes:
        rater: The rater's name.
        n_cases: Number of cases that the rater drew.
        n_lost: Of these, the cases without any other rater: they are missing from the fit without this one.
        largest_change: Largest absolute change of the response at a voxel.
        rms_change: Root of the mean squared change; every voxel counts alike or, with weighting "cases", every case.
            Where networks leave the whole ROI above 0 most voxels are background, and this is small.
        volume_change: Relative change of the expected volume of all cases together; None where that is 0.
    """

    rater: str
    n_cases: int
    n_lost: int
    largest_change: float
    rms_change: float
    volume_change: float | None


@dataclass(frozen=True)
class _Compared:
    """One case under the calibration with all raters and under those without one, in the order of the raters.

    Attributes:
        n_voxels: Number of voxels that count.
        volume: Expected volume in mm³ with all raters.
        largest: Largest absolute change.
        squares: Sum of the squared changes.
        volumes: Expected volume in mm³.
    """

    n_voxels: int
    volume: float
    largest: NDArray[np.float64]
    squares: NDArray[np.float64]
    volumes: NDArray[np.float64]


def rater_sensitivity(
    cases: Iterable[Case],
    *,
    on_bad: OnBad | None = None,
    progress: Progress | None = None,
    executor: Executor | None = None,
    **fit_options: Any,
) -> list[DroppedRater]:
    """Leave each rater out in turn, and say how the responses change.

    The calibration is fitted to all raters, and once for each rater to the cases without that rater's masks. All of
    them are then applied to all cases, so that it does not matter what else than the probability a response depends on.
    Each case is read once for each fit (twice with `exact`) and once for the comparison, one at a time.

    Names must mean the same person in all cases, else what is left out is a position in a list.

    Args:
        cases: Cases with members (or a probability) and raters.
        on_bad: Called with a case that cannot be used and the reason; it is then left out throughout. None: raise.
        progress: Wraps the cases to show progress.
        executor: Who reads the cases (`twintrack.compute.executors`); None: this process.
        **fit_options: Whatever else `twintrack.fit` takes: method, target, weighting, …

    Returns:
        One entry for each rater, in the order in which the names first occur.

    Raises:
        CalibrationError: If the target is that of one rater, or options of the fit contradict each other.
        CohortError: If there are fewer than two raters.
        TwinTrackError: If a case cannot be used and `on_bad` is None, or none can.

    Warns:
        TwinTrackWarning: As `twintrack.fit` does, if no rater that is left drew anything.
    """
    target = Target(fit_options.get("target", RESPONSE))
    if target.rater is not None:
        raise CalibrationError(f"a calibration fitted to {target.name} depends on that rater alone: nothing to compare")
    bad = set[str]()

    def note(case: Case, error: TwinTrackError) -> None:
        if on_bad is None:
            raise error
        bad.add(case.id)
        on_bad(case, error)

    cohort = Cohort(cases)
    # Maps of resampled patients are not looked at here.
    fit_options = {"replicates": 0, "executor": executor, **fit_options}
    with_all = fit(cohort, on_bad=note, progress=progress, **fit_options)
    good = [case for case in cohort if case.id not in bad]
    raters = Counter(name for case in good for name in case.raters)
    if len(raters) < 2:
        raise CohortError(f"to leave a rater out, at least two are needed; the cases have {', '.join(raters)}")
    without = [fit(_without(good, rater), progress=progress, **fit_options) for rater in raters]

    compare = _Compare(with_all, tuple(without))
    compared = list(map_cases(compare, good, label="Comparing", raters=False, progress=progress, executor=executor))
    return _summarise(good, raters, compared, by_case=with_all.provenance.weighting == "cases")


def _without(cases: Sequence[Case], rater: str) -> list[Case]:
    """Give the cases without a rater's masks; those with no other rater are left out."""
    kept = []
    for case in cases:
        others = {name: source for name, source in case.raters.items() if name != rater}
        if others:
            reduced = copy.copy(case)
            reduced.raters = others
            kept.append(reduced)
    return kept


@dataclass(frozen=True, eq=False)
class _Compare:
    """Applies all calibrations to a case."""

    with_all: Calibration
    without: tuple[Calibration, ...]

    def __call__(self, _: Case, data: CaseData) -> _Compared:
        inside = flat(_counts(data, pin_zero=self.with_all.pin_zero))
        with warnings.catch_warnings():
            # Fitted without some of the cases, a calibration may find one of those unlike its own.
            warnings.simplefilter("ignore", TwinTrackWarning)
            response = flat(self.with_all.apply(data))
            # One changed map at a time: it is let go before the next is made.
            found = [_differ(response, flat(calibration.apply(data)), inside) for calibration in self.without]
        largest, squares, totals = np.array(found).T
        size = data.grid.voxel_volume
        volume = float(response.sum(dtype=np.float64)) * size
        return _Compared(int(np.count_nonzero(inside)), volume, largest, squares, totals * size)


def _counts(data: CaseData, *, pin_zero: bool) -> NDArray[np.bool_]:
    """Say which voxels count in a fit."""
    if pin_zero:
        return data.probability() > 0
    return np.ones(data.grid.shape, np.bool_) if data.roi is None else data.roi != 0


def _differ(
    before: NDArray[np.float32], after: NDArray[np.float32], inside: NDArray[np.bool_]
) -> tuple[float, float, float]:
    """Give largest absolute change and sum of squared changes inside, and the sum of the responses after."""
    largest = squares = total = 0.0
    for part in blocks(before.size):
        later = after[part].astype(np.float64)
        change = (later - before[part])[inside[part]]
        largest = max(largest, float(np.abs(change).max(initial=0.0)))
        squares += float(change @ change)
        total += float(later.sum())
    return largest, squares, total


def _summarise(
    cases: Sequence[Case], raters: Mapping[str, int], compared: Sequence[_Compared], *, by_case: bool
) -> list[DroppedRater]:
    # A case without a voxel that counts has no mean; it weighs nothing either way.
    counting = [one for one in compared if one.n_voxels]
    weights = np.array([1 / one.n_voxels if by_case else 1.0 for one in counting])
    mass = float(sum(weight * one.n_voxels for weight, one in zip(weights, counting, strict=True)))
    volume = sum(one.volume for one in compared)
    rms = np.sqrt(weights @ np.stack([one.squares for one in counting]) / mass)
    largest = np.max([one.largest for one in compared], axis=0)
    volumes = np.sum([one.volumes for one in compared], axis=0)
    return [
        DroppedRater(
            rater=rater,
            n_cases=n_cases,
            n_lost=sum(list(case.raters) == [rater] for case in cases),
            largest_change=float(largest[number]),
            rms_change=float(rms[number]),
            volume_change=float(volumes[number] / volume - 1) if volume else None,
        )
        for number, (rater, n_cases) in enumerate(raters.items())
    ]
