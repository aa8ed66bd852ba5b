"""The volume that a response map expects, and how far a further rater's may lie from it.

The sum of the responses times the voxel volume is the mean of the volumes that experts would draw. How widely they
spread about it is learnt from the calibration cases: each of a case's raters gives a ratio of drawn to expected volume.
Volumes are counted in voxels, since a ratio needs no more, and nothing has to be read again after the fit.

Source of the quantiles: hierarchical conformal prediction (Lee, Barber and Willett, "Distribution-free inference with
hierarchical data", arXiv 2306.06342), with the ratio as score.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field
from typing_extensions import Self

from twintrack.compute.levels import N_LEVELS, level_values

LEVEL = 0.9
"""How often an interval is to hold the volume that a further rater draws."""

FEWEST_CASES = 5
"""Fewer cases say too little of how far raters may lie from the expected volume."""

_NOTHING = 1e-9  # voxels: what a ratio could not be formed with
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

    def expected(self, response: Map, *, pin_zero: bool) -> float:
        """Give the number of voxels that a map expects.

        Args:
            response: The map.
            pin_zero: Whether a probability of exactly 0 keeps response 0.

        Returns:
            The sum of the responses over the case.
        """
        at_zero = 0.0 if pin_zero or not self.zero else self.zero * float(response(np.zeros(1))[0])
        return float(self.voxels @ response(self.probability)) + at_zero


@dataclass(frozen=True)
class VolumeInterval:
    """Where the volume that a further rater draws is to be expected.

    Attributes:
        low: Lower end, mm³.
        high: Upper end, mm³.
        level: The coverage asked for.
        promised: The coverage that so many cases can promise; less than `level` where they are few, and the interval
            then reaches from the smallest to the largest ratio met.
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
        expected: Expected volume in mm³ (mm² in 2-D): the mean of what experts would draw.
        interval: Where a further rater's volume is to be expected; None where that cannot be said.
        reason: Why there is no interval; None where there is one.
    """

    expected: float
    interval: VolumeInterval | None
    reason: str | None


class VolumeRatios(BaseModel):
    """Drawn volume divided by expected volume, of the calibration cases: what a calibration keeps to give intervals.

    Attributes:
        ratios: For each case whose expected volume is above 0 one ratio for each rater; sorted, so that the order of
            the cases leaves no trace.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    ratios: tuple[Annotated[tuple[Annotated[float, Field(ge=0)], ...], Field(min_length=1)], ...]

    @classmethod
    def of(cls, tallies: Iterable[CaseTally], response: Map, *, pin_zero: bool) -> Self:
        """Learn from the calibration cases.

        Pitfall: the map was fitted to these very cases, so the ratios lie a little closer to 1 than those of new cases;
        with few cases and a flexible map the interval is too narrow by as much.

        Args:
            tallies: The cases.
            response: The fitted map.
            pin_zero: Whether a probability of exactly 0 keeps response 0.

        Returns:
            The ratios. Cases with an expected volume of 0 are left out: for such a case no interval is given either.
        """
        return cls.of_volumes((tally.expected(response, pin_zero=pin_zero), tally.drawn) for tally in tallies)

    @classmethod
    def of_volumes(cls, volumes: Iterable[tuple[float, tuple[int, ...]]]) -> Self:
        """Learn from volumes.

        Args:
            volumes: For each case the expected number of voxels, and those that each rater drew.

        Returns:
            The ratios. Cases with an expected volume of 0 are left out: for such a case no interval is given either.
        """
        found = [tuple(one / expected for one in drawn) for expected, drawn in volumes if expected > _NOTHING]
        return cls(ratios=tuple(sorted(found)))

    def bounds(self, level: float = LEVEL) -> tuple[float, float, float]:
        """Give the ratios between which a further rater's ratio on a further case is to be expected.

        Every case has weight 1, shared equally by its raters, and the further case weight 1 at a ratio that is not
        known: beyond the largest for the upper end, below the smallest for the lower. The ends are the quantiles of
        that distribution, so that the interval holds at least `level` of such ratios if the cases are exchangeable.
        Where the cases are too few for that, the ends are the smallest and the largest ratio, and less is promised.

        Args:
            level: The coverage asked for, between 0 and 1.

        Returns:
            Lower ratio, upper ratio, and the promised coverage.
        """
        n = len(self.ratios)
        value = np.array([ratio for case in self.ratios for ratio in case])
        weight = np.array([1 / len(case) for case in self.ratios for _ in case])
        # The further case may take weight 1 out of n + 1 at either end, and no more than that can be promised.
        tail = max((1 - level) / 2, 1 / (n + 1))
        inside = (1 - tail) * (n + 1)
        return -_quantile(-value, weight, inside), _quantile(value, weight, inside), 1 - 2 * tail


def _quantile(value: NDArray[np.float64], weight: NDArray[np.float64], mass: float) -> float:
    """Give the smallest value up to which the weights sum to at least `mass`, which is at most their sum."""
    order = np.argsort(value, kind="stable")
    reached = np.cumsum(weight[order])
    # Pitfall: thirds do not sum to whole numbers; a rounding error must not move the quantile by one ratio.
    where = int(np.searchsorted(reached, mass - 1e-9))
    return float(value[order[min(where, value.size - 1)]])


def estimate_volume(
    response: NDArray[Any], *, voxel_volume: float, ratios: VolumeRatios | None, level: float = LEVEL
) -> VolumeEstimate:
    """Estimate the volume of a case from its response map.

    Args:
        response: Responses in [0, 1], any shape; all that are not 0 must be among them.
        voxel_volume: Volume of one voxel in mm³.
        ratios: What the calibration learnt of the raters' volumes; None where it learnt nothing.
        level: The coverage of the interval.

    Returns:
        The expected volume and, where it can be said, the interval.
    """
    expected = float(response.sum(dtype=np.float64)) * voxel_volume
    reason = _why_not(expected, ratios)
    if ratios is None or reason is not None:
        return VolumeEstimate(expected, None, reason)
    low, high, promised = ratios.bounds(level)
    return VolumeEstimate(
        expected, VolumeInterval(low * expected, high * expected, level, promised, len(ratios.ratios)), None
    )


def _why_not(expected: float, ratios: VolumeRatios | None) -> str | None:
    if ratios is None:
        return "the calibration holds no volumes of its raters (fitted by an older TwinTrack); fit it again"
    if len(ratios.ratios) < FEWEST_CASES:
        n = len(ratios.ratios)
        return f"the calibration has {n} cases with an expected volume above 0; an interval needs {FEWEST_CASES}"
    return "the expected volume is 0" if expected == 0 else None
