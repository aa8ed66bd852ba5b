"""A minimum count: of a site's table only sums remain that enough patients stand behind.

The count is of patients, not of voxels: fifty voxels can be of one person. Every case is of one patient, so nothing is
kept of a single case. Of the counts two sums are kept for each run of neighbouring levels, its voxels and their
responses, which is all that a fit to the response needs. Runs are made as short as they can be, from small
probabilities to large ones. The same for every number of votes of every number of raters would tell more, of far fewer
and longer runs, and a fit needs only the sums.

Pitfall: the difference of two tables of a site is a table too, and may be of one patient.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from twintrack.calibration.counted_case import CountedCase, in_order
from twintrack.calibration.table import ResponseTable, Weighting, voxel_weight
from twintrack.calibration.tally import FIRST_LEVELS, N_GROUPS
from twintrack.calibration.withheld import LARGEST, WithheldCases
from twintrack.compute.levels import N_LEVELS, levels
from twintrack.errors import CalibrationError


@dataclass(frozen=True, eq=False)
class _Sums:
    """What is added up of the cases, by group of levels.

    Attributes:
        unit: What a response of 1 counts in `votes`.
        weight: Weight of the voxels, int64 (`N_GROUPS`,).
        votes: Weight of their responses in `unit`, int64 (`N_GROUPS`,).
        probability: Weight times probability, float64 (`N_GROUPS`,).
        present: Which patients have a voxel that a rater labels, and that a rater does not label, bool
            (2, `N_GROUPS`, patients).
    """

    unit: int
    weight: NDArray[np.int64]
    votes: NDArray[np.int64]
    probability: NDArray[np.float64]
    present: NDArray[np.bool_]


def suppress(table: ResponseTable, min_count: int) -> ResponseTable:
    """Keep of a table only what at least so many patients stand behind.

    Args:
        table: A table whose cases are known.
        min_count: The number of patients. Below 2 nothing is withheld.

    Returns:
        The table with one entry of withheld cases (`WithheldCases` says what is in it) and nothing else; or the table
        itself, where nothing is withheld.

    Raises:
        CalibrationError: If the count is negative, cases are withheld already, or the patients are too few.
    """
    if min_count < 0:
        raise CalibrationError(f"min_count: expected 0 or more; got {min_count}")
    if min_count < 2:
        return table
    if table.withheld:
        raise CalibrationError("a minimum count was applied to this table before; apply it to a site's own cases only")
    numbered = [(table.cases[index], patient) for index, patient in in_order(table.cases)]
    _require_patients(len({patient for _, patient in numbered}), min_count)
    sums = _add_up(numbered, table.weighting)
    return ResponseTable({}, table.target, table.weighting, withheld=(_withheld(numbered, sums, min_count),))


def _require_patients(n_patients: int, min_count: int) -> None:
    if n_patients < min_count:
        raise CalibrationError(
            f"a minimum count of {min_count} patients withholds everything: the cases are of {n_patients}. Give a "
            "smaller one, or more cases"
        )


def _add_up(numbered: Sequence[tuple[CountedCase, int]], weighting: Weighting) -> _Sums:
    unit = math.lcm(*(case.tally.votes.shape[1] - 1 for case, _ in numbered))
    _require_room(unit, [case for case, _ in numbered], weighting)
    weight, votes = np.zeros((2, N_GROUPS), np.int64)
    probability = np.zeros(N_GROUPS)
    present = np.zeros((2, N_GROUPS, max(patient for _, patient in numbered) + 1), bool)
    for case, patient in numbered:
        tally = case.tally
        n_masks = tally.votes.shape[1] - 1
        each = voxel_weight(tally.n_above_zero, weighting)
        weight[tally.group] += each * tally.voxels
        votes[tally.group] += each * (unit // n_masks) * (tally.votes @ np.arange(n_masks + 1))
        probability[tally.group] += each * tally.voxels * tally.probability
        present[0, tally.group, patient] |= tally.votes[:, 1:].any(axis=1)
        present[1, tally.group, patient] |= tally.votes[:, :-1].any(axis=1)
    return _Sums(unit, weight, votes, probability, present)


def _require_room(unit: int, cases: Sequence[CountedCase], weighting: Weighting) -> None:
    """Refuse sums that 64 bits do not hold; Python's own integers, in which this is counted, hold any."""
    weight = sum(voxel_weight(case.tally.n_above_zero, weighting) * case.record.voxels for case in cases)
    if unit * weight > LARGEST:
        raise CalibrationError(
            f"a minimum count needs numbers of raters with a small common multiple; that of these cases is {unit}"
        )


def _withheld(numbered: Sequence[tuple[CountedCase, int]], sums: _Sums, min_count: int) -> WithheldCases:
    rows = [_row(sums, run) for run in _runs(sums, min_count)]
    records = [case.record for case, _ in numbered]
    foregrounds = {record.foreground for record in records}
    sharing = defaultdict(set)
    for case, patient in numbered:
        sharing[case.record.raters].add(patient)
    # All or none: the number of cases without those that are told would be that of the others.
    told = all(len(patients) >= min_count for patients in sharing.values())
    return WithheldCases(
        min_count=min_count,
        n_cases=len(records),
        raters=dict(sorted(Counter(record.raters for record in records).items())) if told else {},
        voxels=sum(record.voxels for record in records),
        members=tuple(sorted({record.members for record in records})),
        roi=all(record.roi for record in records),
        foreground=foregrounds.pop() if len(foregrounds) == 1 else None,
        unit=sums.unit,
        level=tuple(level for level, _, _ in rows),
        weight=tuple(weight for _, weight, _ in rows),
        votes=tuple(votes for _, _, votes in rows),
    )


def _runs(sums: _Sums, min_count: int) -> list[slice]:
    """Cut the groups above 0 into the shortest runs that enough patients share, from small probabilities to large."""
    runs: list[tuple[int, int, NDArray[np.bool_]]] = []
    begin, seen = 1, sums.present[:, 0] & False
    for group in range(1, N_GROUPS):
        seen = seen | sums.present[:, group]
        if _enough(seen, min_count):
            runs.append((begin, group + 1, seen))
            begin, seen = group + 1, seen & False
    # What is left at the end joins the run before it, and so on until enough patients share it.
    while seen.any() and not _enough(seen, min_count):
        if not runs:
            raise CalibrationError(
                f"a minimum count of {min_count} patients withholds everything: inside the ROI and at probabilities "
                f"above 0, {seen[0].sum()} have a voxel that a rater labels, {seen[1].sum()} one that a rater does "
                "not. Give a smaller one, or more cases"
            )
        begin, _, before = runs.pop()
        seen = seen | before
    if seen.any():
        runs.append((begin, N_GROUPS, seen))
    if not runs:
        raise CalibrationError("there is nothing to count: every voxel inside the ROI has probability exactly 0")
    return [slice(start, stop) for start, stop, _ in runs]


def _enough(seen: NDArray[np.bool_], min_count: int) -> bool:
    n_patients = seen.sum(axis=1)
    return bool(seen.any()) and all(n == 0 or n >= min_count for n in n_patients.tolist())


def _row(sums: _Sums, run: slice) -> tuple[int, int, int]:
    """Give the level of a run's mean probability, the weight of its voxels and that of their responses."""
    weight = int(sums.weight[run].sum())
    mean = sums.probability[run].sum() / weight
    last = N_LEVELS if run.stop == N_GROUPS else FIRST_LEVELS[run.stop]
    level = int(np.clip(levels(np.array([mean], np.float32))[0], FIRST_LEVELS[run.start], last - 1))
    return level, weight, int(sums.votes[run].sum())
