"""Choosing the `RaterField` whose masks vary as the raters of the calibration cases do."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Callable, Iterable, Sequence
from dataclasses import KW_ONLY, dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from twintrack.calibration.outlines.field import RaterField
from twintrack.calibration.outlines.sample import Limits, box_of
from twintrack.cohort import Case, CaseData, OnBad, Progress, map_cases
from twintrack.compute.executors import Executor
from twintrack.errors import CalibrationError, CohortError, InputError
from twintrack.raters.energy_distance import energy_distance

CORRELATIONS = (0.0, 0.25, 0.5, 0.75, 1.0)
"""Values of ρ that are tried."""

LENGTHS_MM = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0)
"""Values of ℓ in mm that are tried: from below a voxel to beyond most lesions."""

Responses: TypeAlias = Callable[[CaseData], NDArray[np.float32]]
"""Gives the response map of a case, such as `Calibration.apply`."""

Distance: TypeAlias = Callable[[Sequence[NDArray[np.uint8]], Sequence[NDArray[np.uint8]]], float]
"""How far sampled masks lie from raters' masks of the same case, uint8 0 and 1 of one shape; lower is better."""


@dataclass(frozen=True)
class FieldScore:
    """How one field did.

    Attributes:
        field: The field.
        distance: Mean distance over cases.
        excess: Mean difference to the field with the smallest distance.
        error: Standard error of that difference over patients.
    """

    field: RaterField
    distance: float
    excess: float
    error: float


@dataclass(frozen=True)
class FieldFit:
    """A chosen field, and what it was chosen from.

    Attributes:
        field: The smoothest field whose excess is within its standard error.
        scores: All fields that were tried, the best first.
        n_cases: Number of cases.
        n: Number of masks sampled for each case and field.
        seed: The seed.
    """

    field: RaterField
    scores: tuple[FieldScore, ...]
    n_cases: int
    n: int
    seed: int


def fit_rater_field(
    cases: Iterable[Case],
    responses: Responses,
    *,
    distance: Distance | None = None,
    correlations: Sequence[float] = CORRELATIONS,
    lengths_mm: Sequence[float] = LENGTHS_MM,
    n: int = 32,
    seed: int = 0,
    on_bad: OnBad | None = None,
    progress: Progress | None = None,
    executor: Executor | None = None,
) -> FieldFit:
    """Choose how raters' thresholds hang together, from cases with several raters.

    For every case and every field of a grid, n masks are sampled and compared with the raters' own, by default by the
    generalised energy distance, which is smallest on average where the samples have the raters' own distribution, but
    only without the pairs of a mask with itself: with them, too small a spread is rewarded.

    The same random numbers serve all fields of a case, other cases have others. The distance is a shallow function of
    the field, so that chance would choose among many that are nearly equal: among all whose mean excess over the
    best is at most its standard error, the smoothest (smallest `RaterField.slope`) is taken (the one-standard-error
    rule of Breiman, Friedman, Olshen, Stone 1984, Classification and Regression Trees, section 3.4.3).

    One case is in memory at a time, cut to what is predicted or drawn; one with a large box holds n float32 arrays of
    its size while it is worked on. The order of the cases does not matter.

    Args:
        cases: Cases with members and two or more raters each, with known voxel sizes.
        responses: Gives the response map of a case. Where a calibration was fitted to the same cases, it fits
            them a little better than others.
        distance: How far sampled masks lie from the raters' masks; None: `unbiased_energy_distance`.
        correlations: Values of ρ to try.
        lengths_mm: Values of ℓ to try, in mm. For ρ = 1 the length does not matter, and only the longest is tried.
        n: Number of masks for each case and field.
        seed: A whole number from 0.
        on_bad: Called with a case that cannot be used and the reason. None: raise.
        progress: Wraps the cases to show progress.
        executor: Who does the work (`twintrack.compute.executors`); None: this process.

    Returns:
        The field, and the table it was chosen from.

    Raises:
        InputError: If there is nothing to try, or n or seed are out of range.
        CalibrationError: If every case was skipped.
        TwinTrackError: If a case cannot be used and `on_bad` is None.
    """
    if n < 2 or seed < 0:
        raise InputError(f"expected two masks or more and a seed from 0; got n={n}, seed={seed}")
    fields = _grid(correlations, lengths_mm)
    score = _Score(responses, fields=fields, distance=distance or unbiased_energy_distance, n=n, seed=seed)
    walk = map_cases(score, cases, label="Fitting the field", on_bad=on_bad, progress=progress, executor=executor)
    found = list(walk)
    if not found:
        raise CalibrationError("there is nothing to fit: every case was skipped")
    scores = _table(fields, np.array([row for _, row in found]), patients=[patient for patient, _ in found])
    tied = [one for one in scores if one.excess <= one.error]
    return FieldFit(
        field=min(tied, key=lambda one: one.field.slope).field,
        scores=tuple(sorted(scores, key=lambda one: (one.distance, one.field.slope))),
        n_cases=len(found),
        n=n,
        seed=seed,
    )


@dataclass(frozen=True)
class _Score:
    """Gives a case's patient, and how far masks drawn by each field lie from its raters'."""

    responses: Responses
    _: KW_ONLY
    fields: list[RaterField]
    distance: Distance
    n: int
    seed: int

    def __call__(self, case: Case, data: CaseData) -> tuple[str, NDArray[np.float64]]:
        limits, masks = _cut(data, self.responses)
        if limits is None:
            return case.patient, np.full(len(self.fields), self.distance([masks[0] * 0] * self.n, masks))
        seed = case_seed(self.seed, case.id)
        found = _distances(limits, masks, fields=self.fields, distance=self.distance, n=self.n, seed=seed)
        return case.patient, found


def unbiased_energy_distance(samples: Sequence[NDArray[np.uint8]], raters: Sequence[NDArray[np.uint8]]) -> float:
    """Give the generalised energy distance with 1 − IoU, without the pairs of a mask with itself.

    Args:
        samples: Two or more sampled masks, uint8 0 and 1.
        raters: Two or more raters' masks of the same shape.

    Returns:
        The squared distance; may be negative.
    """
    return energy_distance(samples, raters, unbiased=True).value


def case_seed(seed: int, case_id: str) -> int:
    """Give a case a seed of its own, so that chance averages out over cases.

    Args:
        seed: The seed of all.
        case_id: The case.

    Returns:
        A whole number below 2⁶⁴; the same on every machine, and whatever the other cases are.
    """
    return int.from_bytes(hashlib.sha256(f"{seed} {case_id}".encode()).digest()[:8], "little")


def _grid(correlations: Sequence[float], lengths_mm: Sequence[float]) -> list[RaterField]:
    if not len(correlations) or not len(lengths_mm):
        raise InputError("there is nothing to try: give at least one correlation and one length")
    longest = max(lengths_mm)
    return [
        RaterField(correlation=correlation, length_mm=length)
        for length, correlation in itertools.product(sorted(set(lengths_mm)), sorted(set(correlations)))
        if correlation < 1 or length == longest
    ]


def _cut(data: CaseData, responses: Responses) -> tuple[Limits | None, list[NDArray[np.uint8]]]:
    """Read what is needed of a case and cut it to the box of what is predicted or drawn."""
    if len(data.raters) < 2:
        raise CohortError(
            f"case {data.id}: {len(data.raters)} rater; how raters differ takes two or more. Leave the case out."
        )
    if not data.grid.known:
        raise CohortError(f"case {data.id}: the voxel size is not known, and lengths are in mm. Give the spacing.")
    response = responses(data)
    occupied = response > 0
    for mask in data.raters.values():
        occupied |= mask.view(np.bool_)
    box = box_of(occupied) or (slice(0, 1),) * occupied.ndim
    masks = [np.ascontiguousarray(mask[box]) for mask in data.raters.values()]
    return Limits.of(response[box], spacing=data.grid.spacing), masks


def _distances(
    limits: Limits,
    masks: list[NDArray[np.uint8]],
    *,
    fields: list[RaterField],
    distance: Distance,
    n: int,
    seed: int,
) -> NDArray[np.float64]:
    """Score every field; those of one length share what is costly, the smooth part of the thresholds."""
    found = []
    for length, group in itertools.groupby(fields, key=lambda field: field.length_mm):
        draws = list(limits.draws(length, n=n, seed=seed))
        for field in group:
            samples = np.zeros((n, *masks[0].shape), np.uint8)
            for sample, (g, h) in zip(samples, draws, strict=True):
                sample[limits.box] = limits.outlined(field.correlation, g, h)
            found.append(float(distance(list(samples), masks)))
    return np.array(found)


def _table(fields: list[RaterField], found: NDArray[np.float64], *, patients: list[str]) -> list[FieldScore]:
    """Average over cases; errors count a patient's cases as one, since they are not independent.

    Args:
        fields: The fields.
        found: Distances, (cases, fields).
        patients: The patient of each case.

    Returns:
        One row for each field.
    """
    means = found.mean(axis=0)
    gaps = found - found[:, [int(means.argmin())]]
    excess = gaps.mean(axis=0)
    names, owner = np.unique(patients, return_inverse=True)
    per_patient = np.zeros((names.size, len(fields)))
    np.add.at(per_patient, owner, gaps - excess)
    # The sandwich estimate for a mean of clusters; of one patient nothing can be said.
    few = names.size / (names.size - 1) if names.size > 1 else 0.0
    errors = np.sqrt(few * (per_patient**2).sum(axis=0)) / len(found)
    return [FieldScore(*row) for row in zip(fields, means.tolist(), excess.tolist(), errors.tolist(), strict=True)]
