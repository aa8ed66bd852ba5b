"""Isotonic regression without quantisation, in two passes over the cases and without sorting all voxels.

The cumulative sum diagram of the data (cumulative response against cumulative weight, by increasing probability)
has the isotonic fit as the slopes of its greatest convex minorant. A response table gives the diagram exactly at
the borders of the levels. Inside a level of weight w and response sum s the diagram cannot run lower than flat for
w − s and then up with slope 1. Where even that lowest path stays above the minorant of the borders, the level
holds no corner of the true minorant; nor does one within a block of response 0 or 1, where all voxels are alike.
Only the other levels, and the ends of each block, are looked at voxel by voxel.
Unlike the table, this takes memory that grows with the number of voxels looked at: 16 bytes for each of one case, and
24 bytes for each distinct probability among them in the cohort.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import KW_ONLY, dataclass

import numpy as np
from numpy.typing import NDArray

from twintrack.calibration.curve import Curve
from twintrack.calibration.methods.isotonic import pool_adjacent_violators
from twintrack.calibration.table import ResponseTable, Weighting, voxel_weight
from twintrack.calibration.target import MAJORITY, Target
from twintrack.cohort import Case, CaseData, Progress, map_cases
from twintrack.compute.blocks import blocks, flat, mean_of, sum_of
from twintrack.compute.executors import Executor
from twintrack.compute.kernels import pack_levels
from twintrack.compute.levels import N_LEVELS, level_values
from twintrack.compute.sorting import sorted_keys

ROUNDING = 1e-9
"""Share of the total weight by which the minorant is raised against rounding; a level too many does no harm."""


def exact_curve(
    table: ResponseTable,
    cases: Iterable[Case],
    *,
    target: str,
    pin_zero: bool = True,
    progress: Progress | None = None,
    executor: Executor | None = None,
) -> Curve:
    """Give a curve whose isotonic fit equals that of all voxels sorted by their probability.

    Args:
        table: The response table of the cases.
        cases: The same cases, to be read once more.
        target: What to fit to.
        pin_zero: Leave out the voxels whose probability is exactly 0.
        progress: Wraps the cases to show progress.
        executor: Who does the work (`twintrack.compute.executors`); None: this process.

    Returns:
        The curve: single probabilities where a block of the fit may begin or end, whole levels elsewhere.

    Raises:
        TwinTrackError: If a case cannot be read.
    """
    curve = table.curve(target=target, pin_zero=pin_zero)
    index = np.searchsorted(level_values(), curve.probability)
    chosen = np.zeros(N_LEVELS, bool)
    chosen[index] = _may_hold_a_corner(curve)

    gather = _Gather(chosen, target=target, weighting=table.weighting)
    walk = map_cases(gather, cases, label="Looking closer", progress=progress, executor=executor)
    found = _merge(list(walk))
    rest = ~chosen[index]
    probability = np.concatenate([curve.probability[rest], found[0]])
    weight = np.concatenate([curve.weight[rest], found[1]])
    total = np.concatenate([(curve.weight * curve.response)[rest], found[2]])
    order = np.argsort(probability, kind="stable")  # two runs in order already, which it merges
    return Curve(probability[order], weight[order], (total / weight)[order])


def _may_hold_a_corner(curve: Curve) -> NDArray[np.bool_]:
    fit = pool_adjacent_violators(curve)
    total = curve.weight * curve.response
    weight_before = np.cumsum(curve.weight) - curve.weight
    total_before = np.cumsum(total) - total
    block = np.repeat(np.arange(fit.first.size), fit.last - fit.first + 1)
    corner = weight_before + curve.weight - total
    start = fit.first[block]
    minorant = total_before[start] + fit.response[block] * (corner - weight_before[start])
    may = total_before <= minorant + ROUNDING * curve.weight.sum()
    may &= (fit.response[block] > 0) & (fit.response[block] < 1)
    may[fit.first] = may[fit.last] = True
    return np.asarray(may)


@dataclass(frozen=True, eq=False)
class _Gather:
    """Gives the single probabilities of a case that lie in chosen levels, with their weights and totals."""

    chosen: NDArray[np.bool_]
    _: KW_ONLY
    target: str
    weighting: Weighting

    def __call__(self, case: Case, data: CaseData) -> NDArray[np.float64]:
        return _gather(case, data, self.chosen, target=self.target, weighting=self.weighting)


def _gather(
    case: Case, data: CaseData, chosen: NDArray[np.bool_], *, target: str, weighting: Weighting
) -> NDArray[np.float64]:
    masks = [flat(mask) for mask in Target(target).masks(data.raters, case_id=case.id)]
    members = [flat(member) for member in data.members]
    inside = None if data.roi is None else flat(data.roi)
    everywhere = np.empty(0, np.uint8)
    found, positive = [], 0
    for part in blocks(members[0].size):
        keys = np.empty(part.stop - part.start, np.uint64)
        within = everywhere if inside is None else inside[part]
        taken, above = pack_levels(mean_of(members, part), sum_of(masks, part), within, chosen, keys)
        found.append(keys[:taken].copy())
        positive += above
    p, votes, count = _unpack(np.concatenate(found))
    value = votes / len(masks)
    if target == MAJORITY:
        value = (value > 0.5).astype(float)
    merged = _pooled(np.stack([p, count, count * value]))
    merged[1:] *= voxel_weight(positive, weighting)
    return merged


def _unpack(keys: NDArray[np.uint64]) -> tuple[NDArray[np.float64], NDArray[np.uint64], NDArray[np.float64]]:
    """Give the distinct pairs of probability and votes, and how often each occurs; uses up the keys."""
    keys = sorted_keys(keys)
    first = np.flatnonzero(np.concatenate((np.ones(min(keys.size, 1), bool), keys[1:] != keys[:-1])))
    count = np.diff(first, append=keys.size).astype(np.float64)
    distinct = keys[first]
    p = (distinct >> np.uint64(8)).astype(np.uint32).view(np.float32)
    return p.astype(np.float64), distinct & np.uint64(255), count


def _merge(found: list[NDArray[np.float64]]) -> NDArray[np.float64]:
    """Add weight and total (rows 1 and 2) of equal probabilities (row 0) of several cases, each sorted by them."""
    if len(found) == 1:
        return found[0]
    rows = np.concatenate(found, axis=1)
    return _pooled(rows[:, np.argsort(rows[0], kind="stable")])


def _pooled(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    """Add weight and total of neighbours of equal probability."""
    first = np.flatnonzero(np.diff(rows[0], prepend=-1.0))
    return np.stack([rows[0][first], *np.add.reduceat(rows[1:], first, axis=1)]) if first.size else rows
