"""How sure a calibration is of one case: what its maps of other draws of the patients say of it.

A map of the probability alone is read off a table of levels, which are narrower than 0.1 % of p or of 1 − p, so that
no voxel is mapped fifty times. The case-aware maps are applied to the described voxels, some thousand at a time; the
shift that gives a case its volume, and the volumes themselves, are taken from a weighted choice of the voxels (all of
them where there are at most `twintrack.calibration.sample.LIMIT`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from twintrack.calibration.conditional.describe import Description
from twintrack.calibration.conditional.model import ConditionalMap
from twintrack.calibration.methods import ResponseMap
from twintrack.calibration.sample import LIMIT, choose
from twintrack.calibration.tally import CaseTally
from twintrack.calibration.uncertainty import LEVEL, Uncertainty, ends
from twintrack.compute.blocks import blocks
from twintrack.compute.levels import level_values, levels

BlockMap: TypeAlias = Callable[[NDArray[np.float32]], NDArray[np.float64]]
"""From a block of probabilities in [0, 1] to responses."""


@dataclass(frozen=True)
class ExpectedInterval:
    """Where the expected volume of a case lies with other draws of the calibration patients.

    It says how sure the sum of the responses is. A further rater's volume varies more (`VolumeInterval`).

    Attributes:
        low: Lower end, mm³ (mm² in 2-D; voxels where the voxel size is not known), at most the expected volume.
        high: Upper end, at least the expected volume.
        level: Share of the draws within.
        n_replicates: Number of draws.
    """

    low: float
    high: float
    level: float
    n_replicates: int

    @classmethod
    def of(cls, volumes: NDArray[np.float64], *, expected: float, level: float = LEVEL) -> ExpectedInterval:
        """Take the middle share of the volumes, widened where needed to hold the expected volume.

        Args:
            volumes: The expected volume of each draw, (R,).
            expected: The expected volume of the calibration itself.
            level: Share of the draws within.

        Returns:
            The interval.
        """
        low, high = (float(end) for end in ends(volumes, level))
        return cls(max(min(low, expected), 0.0), max(high, expected), level, volumes.size)


@dataclass(frozen=True, eq=False)
class ResponseBand:
    """Lower and upper response maps of a case: at each voxel by itself, the middle share of the draws.

    Widened where needed to hold the response: lower ≤ response ≤ upper everywhere. The sum of the lower map is not the
    lower end of the expected volume: not every voxel is low in the same draw.

    Attributes:
        lower: float32 on the case's grid; exactly 0 where the response must be 0 (outside the ROI, and at a probability
            of exactly 0 where the calibration pins it).
        upper: Likewise.
        level: Share of the draws within.
    """

    lower: NDArray[np.float32]
    upper: NDArray[np.float32]
    level: float

    @classmethod
    def around(
        cls,
        response: NDArray[np.float32],
        *,
        lower: NDArray[np.float32],
        upper: NDArray[np.float32],
        level: float = LEVEL,
    ) -> ResponseBand:
        """Widen two maps so that they hold the response, in place."""
        np.minimum(lower, response, out=lower)
        np.maximum(upper, response, out=upper)
        return cls(lower, upper, level)


def curve_volumes(uncertainty: Uncertainty, tally: CaseTally, *, pin_zero: bool) -> NDArray[np.float64]:
    """Give a case's expected volume by each map of the probability alone.

    Args:
        uncertainty: The maps.
        tally: The case's voxels by probability.
        pin_zero: Whether a probability of exactly 0 keeps response 0.

    Returns:
        float64 (R,), in voxels.
    """
    curves = [one for one in uncertainty.replicates if isinstance(one, ResponseMap)]
    return np.array([tally.summary(one, pin_zero=pin_zero).expected for one in curves])


def curve_band(uncertainty: Uncertainty) -> tuple[BlockMap, BlockMap]:
    """Give lower and upper response of maps of the probability alone, as maps themselves.

    Args:
        uncertainty: The maps.

    Returns:
        Lower and upper map.
    """
    band = uncertainty.band(level_values())
    assert band is not None, "a case-aware map is no curve"
    low, high = band
    return (lambda p: low[levels(p)]), (lambda p: high[levels(p)])


class DescribedCase:
    """A described case, seen through the case-aware map and its maps of other draws.

    Args:
        found: The description.
        fitted: The map itself.
        uncertainty: The maps of other draws.
    """

    def __init__(self, found: Description, fitted: ConditionalMap, uncertainty: Uncertainty) -> None:
        self.found = found
        take, self._weight = choose(found.probability, LIMIT)
        self._voxel, self._probability = found.voxel[take], found.probability[take]
        maps = [one for one in uncertainty.replicates if isinstance(one, ConditionalMap)]
        self._fitted = fitted
        self._shifted = [(one, self._shift(one)) for one in maps]

    def _shift(self, one: ConditionalMap) -> float:
        return one.shift_of(self._voxel, self.found.traits, self._probability, self._weight)

    def response(self) -> NDArray[np.float64]:
        """Give the responses of the described voxels by the map itself, float64 (n,)."""
        return self._fitted.response_of(self.found.voxel, self.found.traits, self.found.probability)

    def more_volume(self) -> NDArray[np.float64]:
        """Give by how much each draw's expected volume exceeds the map's own, float64 (R,), in voxels.

        The difference is taken between sums over the same voxels, so that the choice of voxels hardly matters.
        """
        own = self._volume(self._fitted, self._shift(self._fitted))
        return np.array([self._volume(one, shift) - own for one, shift in self._shifted])

    def _volume(self, one: ConditionalMap, shift: float) -> float:
        return float(self._weight @ one.shifted_response_of(self._voxel, self.found.traits, shift))

    def band(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Give lower and upper response of the described voxels, float64 (n,) each."""
        voxel = self.found.voxel
        low, high = np.empty(len(voxel)), np.empty(len(voxel))
        for part in blocks(len(voxel)):
            rows = [one.shifted_response_of(voxel[part], self.found.traits, shift) for one, shift in self._shifted]
            low[part], high[part] = ends(np.stack(rows), LEVEL)
        return low, high
