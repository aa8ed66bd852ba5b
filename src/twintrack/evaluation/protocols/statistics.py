"""What one pass over a case's voxels collects of each prediction; every score of the case is computed from it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from twintrack.compute.blocks import blocks, flat, sum_of
from twintrack.compute.dot import dot
from twintrack.compute.kernels import count_thresholds, sum_bins, sum_levels
from twintrack.compute.levels import N_LEVELS
from twintrack.evaluation.scores.overlap import THRESHOLDS, dice_of_counts
from twintrack.evaluation.scores.reliability import BINS, Reliability
from twintrack.evaluation.scores.top_label import TopLabelSums
from twintrack.evaluation.scores.volume import crps_empirical, crps_gaussian

_LIMITS = np.asarray(THRESHOLDS, np.float32)


@dataclass(frozen=True, eq=False)
class CaseStatistics:
    """Sums over the voxels of one case and one prediction.

    Attributes:
        n_voxels: Voxels of the grid; all are scored, also those outside the ROI, where the prediction is 0.
        squared_error: Sum of (prediction − response)².
        width: Sums in equal-width bins.
        strips: Sums in strips of levels, from which equal-mass bins are made.
        top_label: Sums by confidence.
        thresholds: Voxels by (thresholds exceeded, votes).
        predicted_volume: Sum of the prediction, in voxels.
        rater_volumes: Voxels each rater drew.
        voxel_volume: Volume of a voxel in mm³ (area in mm² for 2-D grids).
    """

    n_voxels: int
    squared_error: float
    width: Reliability
    strips: Reliability
    top_label: TopLabelSums
    thresholds: NDArray[np.int64]
    predicted_volume: float
    rater_volumes: tuple[int, ...]
    voxel_volume: float

    def scores(self) -> dict[str, float]:
        """Compute every score of the case; `twintrack.evaluation.protocols.response.SCORES` says what they are."""
        raters = [n * self.voxel_volume for n in self.rater_volumes]
        predicted = self.predicted_volume * self.voxel_volume
        mass = self.strips.grouped(self.strips.equal_mass_index(bins=BINS), bins=BINS)
        return {
            "mse": self.squared_error / self.n_voxels,
            "mhr_ece": self.width.calibration_error(),
            "mhr_ece_mass": mass.calibration_error(),
            "rater_ece": float(np.mean(self.top_label.errors())),
            "thresh_dsc": dice_of_counts(self.thresholds),
            "crps_gaussian": crps_gaussian(predicted, raters),
            "crps_empirical": crps_empirical(predicted, raters),
            "volume_error": predicted - float(np.mean(raters)),
        }


class _Sums:
    """What is summed over the blocks for one prediction."""

    def __init__(self, n_raters: int) -> None:
        self.squared_error = 0.0
        self.width, self.level = Reliability.empty(BINS), Reliability.empty(N_LEVELS)
        self.top_label = TopLabelSums.empty(n_raters)
        self.thresholds = np.zeros((len(THRESHOLDS) + 1, n_raters + 1), np.int64)

    def add(
        self,
        p: NDArray[np.float32],
        votes: NDArray[np.uint8],
        response: NDArray[np.float64],
        rounded: NDArray[np.float32],
        masks: NDArray[np.uint8],
    ) -> None:
        """Add a block of the prediction: votes, response (also rounded to float32) and the raters' masks (K, n)."""
        error = p.astype(np.float64) - response
        self.squared_error += dot(error, error)
        sum_bins(p, rounded, self.width.count, self.width.predicted, self.width.observed)
        sum_levels(p, rounded, self.level.count, self.level.predicted, self.level.observed)
        count_thresholds(p, votes, _LIMITS, self.thresholds)
        self.top_label.add(p, masks)


def collect(
    predictions: Sequence[NDArray[np.float32]], masks: Sequence[NDArray[np.uint8]], *, voxel_volume: float
) -> list[CaseStatistics]:
    """Collect the statistics of several predictions of a case in one pass, block by block.

    Args:
        predictions: Probabilities or responses, float32 in [0, 1], on the case's grid.
        masks: The K raters' masks, uint8 0 and 1, same shape.
        voxel_volume: Volume of a voxel in mm³.

    Returns:
        The statistics of each.
    """
    maps, rows = [flat(prediction) for prediction in predictions], [flat(mask) for mask in masks]
    sums = [_Sums(len(rows)) for _ in maps]
    for part in blocks(rows[0].size):
        votes = sum_of(rows, part)
        response = votes / len(rows)
        rounded, drawn = response.astype(np.float32), np.stack([row[part] for row in rows])
        for p, into in zip(maps, sums, strict=True):
            into.add(p[part], votes, response, rounded, drawn)
    volumes = tuple(int(np.count_nonzero(row)) for row in rows)
    return [
        CaseStatistics(
            n_voxels=rows[0].size,
            squared_error=one.squared_error,
            width=one.width,
            strips=one.level.strips(),
            top_label=one.top_label,
            thresholds=one.thresholds,
            predicted_volume=float(one.level.predicted.sum()),
            rater_volumes=volumes,
            voxel_volume=voxel_volume,
        )
        for one in sums
    ]
