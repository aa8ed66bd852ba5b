"""A case's voxels counted by what was predicted and by votes: all that diagrams need, in some tens of kilobytes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from twintrack.compute.blocks import blocks, flat, sum_of
from twintrack.compute.kernels import count_levels
from twintrack.compute.levels import N_LEVELS, level_values, levels
from twintrack.evaluation.scores.reliability import STRIP, Reliability

FIRST_LEVELS = np.concatenate([[0], np.arange(1, N_LEVELS - 1, STRIP), [N_LEVELS - 1]])
"""First level of each strip: `STRIP` neighbouring levels, 3 % of p or of 1 − p; exact 0 and exact 1 are strips of their
own."""

CHANGE_EDGES = np.concatenate([[0.0], 1 / (1 + np.exp(-np.linspace(-9, 9, 73))), [1.0]])
"""Edges of the bins of `change_counts`: a quarter of a unit of log-odds wide; the first reaches down to 0, the last up
to 1."""

N_CHANGE = CHANGE_EDGES.size - 1


@dataclass(frozen=True, eq=False)
class StripCounts:
    """One prediction of a case.

    Attributes:
        strip: Strips that occur, int64 (n,), increasing; 0 holds the voxels where exactly 0 was predicted.
        probability: Mean prediction of each, float64 (n,).
        votes: Number of voxels of each that j of the K raters label, int64 (n, K + 1).
    """

    strip: NDArray[np.int64]
    probability: NDArray[np.float64]
    votes: NDArray[np.int64]

    @classmethod
    def of(cls, prediction: NDArray[np.float32], masks: Sequence[NDArray[np.uint8]]) -> StripCounts:
        """Count every voxel of the grid, in one pass.

        Args:
            prediction: Probability or response, float32 in [0, 1].
            masks: The K raters' masks, uint8 0 and 1, same shape.

        Returns:
            The counts. Mean predictions are those of the middles of levels, within 0.1 % of p or of 1 − p.
        """
        values, rows = flat(prediction), [flat(mask) for mask in masks]
        counts = np.zeros((N_LEVELS, len(rows) + 1), np.int64)
        everywhere = np.empty(0, np.uint8)
        for part in blocks(values.size):
            count_levels(values[part], sum_of(rows, part), everywhere, counts)
        votes = np.add.reduceat(counts, FIRST_LEVELS, axis=0)
        voxels = votes.sum(axis=1)
        total = np.add.reduceat(counts.sum(axis=1) * level_values(), FIRST_LEVELS)
        found = np.flatnonzero(voxels)
        return cls(found, total[found] / voxels[found], votes[found])

    def reliability(self) -> Reliability:
        """Give the sums over the voxels of each strip, as diagrams and calibration errors take them."""
        n_raters = self.votes.shape[1] - 1
        voxels = self.votes.sum(axis=1)
        sums = Reliability.empty(FIRST_LEVELS.size)
        sums.count[self.strip] = voxels
        sums.predicted[self.strip] = voxels * self.probability
        sums.observed[self.strip] = self.votes @ np.arange(n_raters + 1) / n_raters
        return sums


def change_counts(raw: NDArray[np.float32], calibrated: NDArray[np.float32]) -> NDArray[np.int64]:
    """Count the voxels with a raw probability above 0 by what the calibration made of it.

    Args:
        raw: Probabilities, float32 in [0, 1].
        calibrated: Responses, float32 in [0, 1], same shape.

    Returns:
        int64 (`N_CHANGE`, `N_CHANGE`): number of voxels by bin of the probability and bin of the response, in the bins
        between `CHANGE_EDGES`.
    """
    bin_of = np.clip(np.searchsorted(CHANGE_EDGES, level_values(), side="right") - 1, 0, N_CHANGE - 1)
    p, r = flat(raw), flat(calibrated)
    counts = np.zeros(N_CHANGE * N_CHANGE, np.int64)
    for part in blocks(p.size):
        above = p[part] > 0
        if above.any():
            found = bin_of[levels(p[part][above])] * N_CHANGE + bin_of[levels(r[part][above])]
            counts += np.bincount(found, minlength=counts.size)
    return counts.reshape(N_CHANGE, N_CHANGE)
