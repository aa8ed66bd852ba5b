"""The voxels of a case, sorted into bins by what they are ranked by: all that pooled capture curves need."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from twintrack.cohort import CaseData
from twintrack.compute.blocks import blocks, flat, sum_of
from twintrack.compute.levels import N_LEVELS, levels
from twintrack.evaluation.triage.priority import HALF, voxel_priorities
from twintrack.evaluation.triage.targets import VOXEL_TARGETS, Overlap, case_targets, require_raters, voxel_targets

_JOINED = 128
N_BINS = -(-N_LEVELS // _JOINED)
"""Bins of a ranking, 128 levels (`twintrack.compute.levels`) each: p or 1 − p varies by at most 13 % within one."""


@dataclass(frozen=True, eq=False)
class VoxelBins:
    """Voxels by bin of one ranking, the lowest first.

    Attributes:
        count: Number of voxels, shape (`N_BINS`,).
        held: How much of each target they hold, by name, each of that shape.
    """

    count: NDArray[np.float64]
    held: dict[str, NDArray[np.float64]]

    @classmethod
    def empty(cls, targets: tuple[str, ...]) -> VoxelBins:
        """Start at zero."""
        return cls(np.zeros(N_BINS), {name: np.zeros(N_BINS) for name in targets})

    def add(self, priority: NDArray[np.float32], targets: Mapping[str, NDArray[np.float32]]) -> None:
        """Add some voxels, flat arrays of one size."""
        place = levels(priority) // _JOINED
        self.count[:] += np.bincount(place, minlength=N_BINS)
        for name, held in self.held.items():
            held[:] += np.bincount(place, weights=targets[name], minlength=N_BINS)

    def add_background(self, n: int) -> None:
        """Add voxels of which nothing is predicted and that no rater labels."""
        self.count[0] += n


@dataclass(frozen=True, eq=False)
class RankedVoxels:
    """The voxels of one case under each ranking.

    Attributes:
        rankings: Bins by ranking of voxels.
        oracles: Bins by target, where voxels are ranked by what they hold of it: the best order there is.
        targets: What the case holds of each of `twintrack.evaluation.triage.targets.CASE_TARGETS`; sums in mm³.
    """

    rankings: dict[str, VoxelBins]
    oracles: dict[str, VoxelBins]
    targets: dict[str, float]

    @property
    def n_voxels(self) -> float:
        """Number of voxels of the case."""
        return float(self.rankings["disagreement"].count.sum())


def rank_voxels(data: CaseData, *, probability: NDArray[np.float32], response: NDArray[np.float32]) -> RankedVoxels:
    """Sort the voxels of a case with raters into bins.

    Every voxel of the grid counts, also outside the ROI, where nothing is predicted and errors are found last.

    Args:
        data: Its voxels, with members and raters.
        probability: The mean of the members, float32 on the case's grid.
        response: The calibrated response.

    Returns:
        The bins, and what the case holds of each target.

    Raises:
        CohortError: If it has fewer than two raters.
    """
    k = require_raters(data)
    every = tuple(VOXEL_TARGETS)
    names = ("disagreement", "entropy", *(["members"] if len(data.members) > 1 else []))
    rankings = {name: VoxelBins.empty(every) for name in names}
    oracles = {name: VoxelBins.empty((name,)) for name in every}
    overlaps = {"calibrated": Overlap(), "raw": Overlap()}
    p_all, r_all = flat(probability), flat(response)
    masks, members = [flat(mask) for mask in data.raters.values()], [flat(one) for one in data.members]
    for part in blocks(p_all.size):
        votes = sum_of(masks, part)
        open_ = (p_all[part] > 0) | (r_all[part] > 0) | (votes > 0)
        p, r, votes = p_all[part][open_], r_all[part][open_], votes[open_]
        targets = voxel_targets(votes, k, probability=p, response=r)
        priorities = voxel_priorities([row[part][open_] for row in members], p, r)
        ranked = [(rankings[name], priorities[name]) for name in names]
        ranked += [(oracles[name], targets[name]) for name in every]
        for bins, priority in ranked:
            bins.add(priority, targets)
            bins.add_background(open_.size - p.size)
        overlaps["calibrated"].add(r > HALF, votes > k // 2)
        overlaps["raw"].add(p > HALF, votes > k // 2)
    sums = {name: float(oracles[name].held[name].sum()) for name in every}
    return RankedVoxels(rankings, oracles, case_targets(sums, voxel_volume=data.grid.voxel_volume, **overlaps))
