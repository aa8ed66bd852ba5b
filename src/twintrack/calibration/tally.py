"""A case's voxels by probability and votes in some thousand rows: what its volumes and other draws are counted from."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from twintrack.calibration.curve import Curve
from twintrack.calibration.volumes.summary import VolumeSummary
from twintrack.compute.levels import N_LEVELS, level_values

CoarseCounts: TypeAlias = NDArray[np.float64]
"""Weight, weight times probability and weight times target by group, (3, `N_GROUPS`). Those of cases add."""

Map: TypeAlias = Callable[[NDArray[Any]], NDArray[np.float64]]
"""From probabilities to responses."""

_TOGETHER = 8  # levels of 2⁻¹⁰ octaves: 0.8 % of p or of 1 - p

FIRST_LEVELS = np.concatenate([[0], np.arange(1, N_LEVELS - 1, _TOGETHER), [N_LEVELS - 1]])
"""First level of each group: eight neighbouring levels; exact 0 and exact 1 are groups of their own."""

N_GROUPS = FIRST_LEVELS.size
"""Number of groups."""


@dataclass(frozen=True, eq=False)
class CaseTally:
    """A case's voxels inside the ROI: some tens of kilobytes, whatever their number.

    Attributes:
        group: Groups of levels that occur, int64 (n,), increasing; group 0 is a probability of exactly 0.
        probability: Mean probability of each, float64 (n,).
        votes: Number of voxels of each that j of the K masks counted label, int64 (n, K + 1).
        drawn: Number of voxels that each rater drew, anywhere, in increasing order.
    """

    group: NDArray[np.int64]
    probability: NDArray[np.float64]
    votes: NDArray[np.int64]
    drawn: tuple[int, ...]

    @classmethod
    def of(cls, counts: NDArray[np.int64], raters: Mapping[str, NDArray[np.uint8]]) -> CaseTally:
        """Count a case.

        Args:
            counts: Number of voxels inside the ROI by level and votes, (`N_LEVELS`, K + 1); of a case without raters
                K is 0.
            raters: The raters' masks, uint8 0 and 1, by name.

        Returns:
            The tally.
        """
        votes = grouped(counts)
        voxels = votes.sum(axis=1)
        total = np.add.reduceat(counts.sum(axis=1) * level_values(), FIRST_LEVELS)
        found = np.flatnonzero(voxels)
        drawn = sorted(int(np.count_nonzero(mask.view(np.bool_))) for mask in raters.values())
        return cls(found, total[found] / voxels[found], votes[found], tuple(drawn))

    @property
    def voxels(self) -> NDArray[np.int64]:
        """Number of voxels of each group that occurs."""
        return np.asarray(self.votes.sum(axis=1))

    @property
    def n_above_zero(self) -> int:
        """Number of voxels inside the ROI whose probability is above 0."""
        return int(self.voxels[self.group > 0].sum())

    def summary(self, response: Map, *, pin_zero: bool) -> VolumeSummary:
        """Summarise the responses that a map gives.

        Args:
            response: The map.
            pin_zero: Whether a probability of exactly 0 keeps response 0.

        Returns:
            The summary of the case's response map.
        """
        responses = response(self.probability)
        if pin_zero:
            responses = np.where(self.group == 0, 0.0, responses)
        return VolumeSummary.of(responses, voxels=self.voxels)

    def coarse_counts(self, *, weight: int, majority: bool, pin_zero: bool) -> CoarseCounts:
        """Give what a curve is made of.

        Args:
            weight: Of each voxel.
            majority: Whether the target is the majority of the votes, not their mean.
            pin_zero: Leave out the voxels whose probability is exactly 0.

        Returns:
            The coarse counts.
        """
        n_masks = self.votes.shape[1] - 1
        votes = np.arange(n_masks + 1)
        value = (votes > n_masks / 2).astype(np.float64) if majority else votes / n_masks
        weights = (weight * self.votes).astype(np.float64)
        counted = weights.sum(axis=1)
        rows = np.zeros((3, N_GROUPS))
        rows[:, self.group] = np.stack([counted, counted * self.probability, weights @ value])
        if pin_zero:
            rows[:, 0] = 0
        return rows


def grouped(counts: NDArray[np.int64]) -> NDArray[np.int64]:
    """Add the counts of the levels of each group.

    Args:
        counts: By level, (`N_LEVELS`, …).

    Returns:
        By group, (`N_GROUPS`, …).
    """
    return np.asarray(np.add.reduceat(counts, FIRST_LEVELS, axis=0))


def coarse_curve(total: CoarseCounts) -> Curve:
    """Make a curve of added coarse counts.

    Args:
        total: The sum over cases.

    Returns:
        The curve.

    Raises:
        CalibrationError: If there is no weight.
    """
    weight, probability, target = total[:, total[0] > 0]
    return Curve(probability / weight, weight, target / weight)
