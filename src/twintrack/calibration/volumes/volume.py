"""The volume that a response map expects, and how far a further rater's may lie from it.

The sum of the responses times the voxel volume is the expected volume. How the volumes that experts draw are
distributed is learnt from the calibration cases (`twintrack.calibration.volumes.distribution`); what a case contributes
is counted while the response table is filled, so that nothing has to be read again after the fit.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from twintrack.calibration.volumes.distribution import VolumeDistribution, VolumeModel
from twintrack.calibration.volumes.summary import VolumeSummary

LEVEL = 0.9
"""How often an interval is to hold the volume that a further rater draws."""

FEWEST_CASES = 5
"""Fewer cases say too little of how far raters may lie from the expected volume."""


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
    return estimate_summarised(VolumeSummary.of(response), voxel_volume=voxel_volume, model=model, level=level)


def estimate_summarised(
    summary: VolumeSummary, *, voxel_volume: float, model: VolumeModel | None, level: float = LEVEL
) -> VolumeEstimate:
    """Estimate the volume of a case whose response map is summarised; else as `estimate_volume`."""
    expected = summary.expected * voxel_volume
    reason = _why_not(expected, model)
    if model is None or reason is not None:
        return VolumeEstimate(expected, None, None, reason)
    found = model.distribution(summary, voxel_volume)
    low, high, promised = found.interval(level)
    return VolumeEstimate(expected, found, VolumeInterval(low, high, level, promised, model.n_cases), None)


def _why_not(expected: float, model: VolumeModel | None) -> str | None:
    if model is None:
        return (
            "the calibration holds no volumes of its raters (withheld by a minimum count, or fitted by an older "
            "TwinTrack; fit it again)"
        )
    if model.n_cases < FEWEST_CASES:
        n = model.n_cases
        return f"the calibration has {n} cases with an expected volume above 0; an interval needs {FEWEST_CASES}"
    return "the expected volume is 0" if expected == 0 else None
