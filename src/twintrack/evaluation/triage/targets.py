"""What triage is to find, known only from raters: errors of the prediction, and disagreement of the raters."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from twintrack.cohort import CaseData
from twintrack.errors import CohortError
from twintrack.evaluation.triage.priority import HALF

VOXEL_TARGETS: dict[str, str] = {
    "error": "voxels where response > 1/2 is not what the majority of the raters says",
    "raw_error": "voxels where probability > 1/2 is not what the majority of the raters says",
    "disagreement": "variance of the raters' votes",
}
"""What voxels hold of what is to be found; cases hold their sums."""

CASE_TARGETS: dict[str, str] = {
    **VOXEL_TARGETS,
    "dice_loss": "1 − Dice of response > 1/2 and the majority",
    "raw_dice_loss": "1 − Dice of probability > 1/2 and the majority",
}
"""What cases hold."""

FEWEST_RATERS = 2
"""One rater alone neither agrees nor disagrees."""


def require_raters(data: CaseData) -> int:
    """Give the number of raters of a case.

    Raises:
        CohortError: If there are fewer than two.
    """
    if len(data.raters) < FEWEST_RATERS:
        raise CohortError(
            f"case {data.id}: {len(data.raters)} rater; disagreement of raters needs at least {FEWEST_RATERS} "
            "(--skip-bad leaves such cases out)"
        )
    return len(data.raters)


def voxel_targets(
    votes: NDArray[np.uint8], n_raters: int, *, probability: NDArray[np.float32], response: NDArray[np.float32]
) -> dict[str, NDArray[np.float32]]:
    """Say how much of each of `VOXEL_TARGETS` some voxels hold.

    Args:
        votes: Number of raters who label each voxel.
        n_raters: K, at least 2.
        probability: The raw probability.
        response: The calibrated response.

    Returns:
        float32 arrays. Errors are 0 or 1. The variance of the votes is that of a sample, v (K − v) / (K (K − 1)), so
        that it can be compared between cases with more and with fewer raters; it is at most 1/2.
    """
    majority = votes > n_raters // 2
    v = votes.astype(np.float64)
    variance = v * (n_raters - v) / (n_raters * (n_raters - 1))
    return {
        "error": ((response > HALF) != majority).astype(np.float32),
        "raw_error": ((probability > HALF) != majority).astype(np.float32),
        "disagreement": variance.astype(np.float32),
    }


@dataclass
class Overlap:
    """Counts from which Dice follows, added up block by block.

    Attributes:
        both: Voxels in the prediction and in the majority.
        total: Voxels in the one plus voxels in the other.
    """

    both: int = 0
    total: int = 0

    def add(self, predicted: NDArray[np.bool_], majority: NDArray[np.bool_]) -> None:
        """Add some voxels."""
        self.both += int(np.count_nonzero(predicted & majority))
        self.total += int(np.count_nonzero(predicted)) + int(np.count_nonzero(majority))

    @property
    def loss(self) -> float:
        """1 − Dice; 0 where both are empty."""
        return 1 - 2 * self.both / self.total if self.total else 0.0


def case_targets(
    voxels: Mapping[str, float], *, voxel_volume: float, calibrated: Overlap, raw: Overlap
) -> dict[str, float]:
    """Give a case's part of each of `CASE_TARGETS`: sums over its voxels in mm³, and the Dice losses."""
    sums = {name: total * voxel_volume for name, total in voxels.items()}
    return {**sums, "dice_loss": calibrated.loss, "raw_dice_loss": raw.loss}
