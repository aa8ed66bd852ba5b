"""What cases and voxels are ranked by: numbers known without raters, large where experts should look."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import entr
from typing_extensions import Self

from twintrack.calibration import Calibration
from twintrack.calibration.agreement import level_thresholds
from twintrack.calibration.guard.case_summary import CaseSummary
from twintrack.cohort import CaseData
from twintrack.compute.blocks import blocks, flat
from twintrack.errors import CalibrationError, InputError

RANKINGS: dict[str, str] = {
    "disagreement": "expected disagreement of the experts: Σ r(1 − r) of the response",
    "margin": "expected volume between what any expert and what all experts label",
    "dice_loss": "1 − expected Dice of response > 1/2 and an expert's mask",
    "entropy": "entropy of the raw ensemble's probability",
    "raw_disagreement": "Σ p(1 − p) of the raw ensemble's probability",
    "raw_dice_loss": "1 − expected Dice of probability > 1/2 and a mask drawn by that probability",
    "members": "Σ of the members' standard deviation",
}
"""What cases can be ranked by, and what it is. Volumes and sums are in mm³ (mm² in 2-D)."""

DEFAULT = "disagreement"

HALF = np.float32(0.5)


@dataclass(frozen=True)
class MapSums:
    """Sums over the voxels of one map with values x in [0, 1], in voxels.

    Attributes:
        expected: Σ x.
        disagreement: Σ x (1 − x).
        entropy: Σ of the binary entropy of x, in bits.
        segmented: Number of voxels with x > 1/2.
        kept: Σ x over these.
    """

    expected: float
    disagreement: float
    entropy: float
    segmented: float
    kept: float

    @classmethod
    def of(cls, values: NDArray[np.float32]) -> Self:
        """Sum up a map, float32 in [0, 1], any shape."""
        row, sums = flat(values), np.zeros(5)
        for part in blocks(row.size):
            x = row[part].astype(np.float64)
            inside = row[part] > HALF
            bits = (entr(x) + entr(1 - x)) / math.log(2)
            sums += [x.sum(), (x * (1 - x)).sum(), bits.sum(), inside.sum(), x[inside].sum()]
        return cls(*map(float, sums))

    @property
    def dice_loss(self) -> float:
        """1 − Dice to be expected of S = {x > 1/2} and a mask that holds each voxel with probability x, in [0, 1].

        The expected Dice is taken as 2 Σ_S x / (Σ x + |S|), the ratio of expectations. Where S is empty the Dice is 1
        if the mask is empty too, and the chance that it is not is at most Σ x (Markov's inequality).
        """
        if self.segmented == 0:
            return min(1.0, self.expected)
        return 1 - 2 * self.kept / (self.expected + self.segmented)


def case_priorities(
    data: CaseData, *, probability: NDArray[np.float32], response: NDArray[np.float32], n_raters: int
) -> dict[str, float]:
    """Give what a case is ranked by.

    Args:
        data: Its voxels, with members; raters are not looked at.
        probability: The mean of the members, float32 on the case's grid.
        response: The calibrated response.
        n_raters: K, the number of experts whose margin is meant.

    Returns:
        A number for each of `RANKINGS`; NaN for "members" where there is one.
    """
    raw, calibrated = MapSums.of(probability), MapSums.of(response)
    size = data.grid.voxel_volume
    spread = CaseSummary.of(data).disagreement
    return {
        "disagreement": calibrated.disagreement * size,
        "margin": margin_voxels(response, n_raters=n_raters) * size,
        "dice_loss": calibrated.dice_loss,
        "entropy": raw.entropy * size,
        "raw_disagreement": raw.disagreement * size,
        "raw_dice_loss": raw.dice_loss,
        "members": math.nan if spread is None else spread * raw.expected * size,
    }


def margin_voxels(response: NDArray[np.float32], *, n_raters: int) -> int:
    """Count the voxels between the outermost and the innermost level of agreement: neither 0 nor all of K experts."""
    low, high = uncertain_range(n_raters)
    row = flat(response)
    return sum(int(np.count_nonzero((row[part] >= low) & (row[part] < high))) for part in blocks(row.size))


def uncertain_range(n_raters: int) -> tuple[np.float32, np.float32]:
    """Give the responses between which at least one of K experts, but not all, is to be expected to label a voxel.

    With one expert it is [1/4, 3/4): the one rounds to neither.
    """
    thresholds = level_thresholds(n_raters)
    if n_raters == 1:
        return np.float32(0.25), np.float32(0.75)
    return thresholds[0], thresholds[-1]


def experts_of(calibration: Calibration) -> int:
    """Give the most raters that a case of a calibration had: the K experts whose agreement is meant.

    Raises:
        CalibrationError: If it does not say how many there were.
    """
    if not calibration.provenance.raters:
        raise CalibrationError(
            "this calibration does not say how many raters its cases had (withheld by a minimum count); give the "
            "number of experts (--experts)"
        )
    return max(calibration.provenance.raters)


def require_ranking(name: str) -> str:
    """Give a name that is one of `RANKINGS`.

    Raises:
        InputError: If it is not.
    """
    if name not in RANKINGS:
        raise InputError(f"ranking: expected one of {', '.join(RANKINGS)}; got {name!r}")
    return name


def voxel_priorities(
    members: list[NDArray[np.float32]], probability: NDArray[np.float32], response: NDArray[np.float32]
) -> dict[str, NDArray[np.float32]]:
    """Give what voxels are ranked by.

    Args:
        members: What each member says of some voxels, M flat float32 arrays in [0, 1].
        probability: Their mean, 0 outside the ROI.
        response: The calibrated response.

    Returns:
        float32 in [0, 1] for "disagreement", 4 r (1 − r); for "entropy", that of the probability in bits (4 p (1 − p)
        gives the same order); and, of several members, for "members", twice their standard deviation.
    """
    p = probability.astype(np.float64)
    r = response.astype(np.float64)
    found = {"disagreement": 4 * r * (1 - r), "entropy": (entr(p) + entr(1 - p)) / math.log(2)}
    if len(members) > 1:
        # Twice the population's: it is at most 1. Outside the ROI the members are not asked.
        found["members"] = 2 * np.std(np.stack(members), axis=0, dtype=np.float64) * (probability > 0)
    return {name: np.clip(values, 0, 1).astype(np.float32) for name, values in found.items()}
