"""The volume that a response map expects, and how far a further rater's may lie from it.

The sum of the responses times the voxel volume is the expected volume. How the volumes that experts draw are
distributed is learnt from the calibration cases (`twintrack.calibration.volume_distribution`); what a case contributes
is counted while the response table is filled, so that nothing has to be read again after the fit.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from twintrack.calibration.volume_distribution import VolumeDistribution, VolumeModel, VolumeSummary
from twintrack.compute.levels import N_LEVELS, level_values

LEVEL = 0.9
"""How often an interval is to hold the volume that a further rater draws."""

FEWEST_CASES = 5
"""Fewer cases say too little of how far raters may lie from the expected volume."""

_LEVELS_TOGETHER = 8  # 128 steps per octave: 0.8 % of p or of 1 - p

Map = Callable[[NDArray[Any]], NDArray[np.float64]]
"""From probabilities to responses."""


@dataclass(frozen=True, eq=False)
class CaseTally:
    """What a case's volumes are counted from once there is a map.

    Attributes:
        probability: Distinct probabilities above 0, float64: means of a few neighbouring levels.
        voxels: Number of voxels inside the ROI at each.
        zero: Number of voxels inside the ROI whose probability is exactly 0.
        drawn: Number of voxels that each rater drew, anywhere, in increasing order.
    """

    probability: NDArray[np.float64]
    voxels: NDArray[np.int64]
    zero: int
    drawn: tuple[int, ...]

    @classmethod
    def of(cls, histogram: NDArray[np.int64], raters: Mapping[str, NDArray[np.uint8]]) -> CaseTally:
        """Count a case.

        Args:
            histogram: Number of voxels inside the ROI at each level.
            raters: The raters' masks, uint8 0 and 1, by name.

        Returns:
            The tally: some tens of kilobytes, whatever the number of voxels.
        """
        first = np.append(np.arange(1, N_LEVELS - 1, _LEVELS_TOGETHER), N_LEVELS - 1)  # exact 0 and 1 stay apart
        voxels = np.add.reduceat(histogram, first)
        total = np.add.reduceat(histogram * level_values(), first)
        occupied = voxels > 0
        drawn = sorted(int(np.count_nonzero(mask.view(np.bool_))) for mask in raters.values())
        return cls(total[occupied] / voxels[occupied], voxels[occupied], int(histogram[0]), tuple(drawn))

    def summary(self, response: Map, *, pin_zero: bool) -> VolumeSummary:
        """Summarise the responses that a map gives.

        Args:
            response: The map.
            pin_zero: Whether a probability of exactly 0 keeps response 0.

        Returns:
            The summary of the case's response map.
        """
        at_zero = 0.0 if pin_zero or not self.zero else float(response(np.zeros(1))[0])
        responses = np.append(response(self.probability), at_zero)
        return VolumeSummary.of(responses, voxels=np.append(self.voxels, self.zero))


@dataclass(frozen=True)
class VolumeInterval:
    """Where the volume that a further rater draws is to be expected.

    Attributes:
        low: Lower end, mm³.
        high: Upper end, mm³.
        level: The coverage asked for.
        promised: The coverage that so many cases can promise; less than `level` where they are few, and the interval
            then reaches at least from the smallest to the largest of the volumes that the calibration cases give.
        n_cases: Number of calibration cases it rests on.
    """

    low: float
    high: float
    level: float
    promised: float
    n_cases: int


@dataclass(frozen=True)
class VolumeEstimate:
    """The volume of one case.

    Attributes:
        expected: Expected volume in mm³ (mm² in 2-D): the sum of the responses times the voxel volume.
        distribution: How the volume that a further rater draws is distributed; None where that cannot be said.
        interval: Where a further rater's volume is to be expected; None where there is no distribution.
        reason: Why there is neither; None where there are both.
    """

    expected: float
    distribution: VolumeDistribution | None
    interval: VolumeInterval | None
    reason: str | None


def estimate_volume(
    response: NDArray[Any], *, voxel_volume: float, model: VolumeModel | None, level: float = LEVEL
) -> VolumeEstimate:
    """Estimate the volume of a case from its response map.

    Args:
        response: Responses in [0, 1], any shape; all that are not 0 must be among them.
        voxel_volume: Volume of one voxel in mm³.
        model: What the calibration learnt of the raters' volumes; None where it learnt nothing.
        level: The coverage of the interval.

    Returns:
        The expected volume and, where they can be said, the distribution and the interval.

    Raises:
        InputError: If a response is not in [0, 1].
    """
    summary = VolumeSummary.of(response)
    expected = summary.expected * voxel_volume
    reason = _why_not(expected, model)
    if model is None or reason is not None:
        return VolumeEstimate(expected, None, None, reason)
    found = model.distribution(summary, voxel_volume)
    low, high, promised = found.interval(level)
    return VolumeEstimate(expected, found, VolumeInterval(low, high, level, promised, model.n_cases), None)


def _why_not(expected: float, model: VolumeModel | None) -> str | None:
    if model is None:
        return "the calibration holds no volumes of its raters (fitted by an older TwinTrack; fit it again)"
    if model.n_cases < FEWEST_CASES:
        n = model.n_cases
        return f"the calibration has {n} cases with an expected volume above 0; an interval needs {FEWEST_CASES}"
    return "the expected volume is 0" if expected == 0 else None
