"""Generalised energy distance as a score of an ensemble: the masks of its members against those of the raters.

The distance itself stands among the statistics of raters (`twintrack.raters.energy_distance`): plausible masks are
fitted by it too.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from twintrack.evaluation.scores.arrays import exceeds, unit_values
from twintrack.raters.energy_distance import EnergyDistance, energy_distance

__all__ = ["EnergyDistance", "binarise", "energy_distance"]


def binarise(members: Sequence[NDArray[Any]], *, threshold: float = 0.5) -> list[NDArray[np.uint8]]:
    """Make a mask of each member's probability.

    Args:
        members: Members' probabilities in [0, 1], any shape.
        threshold: The mask is 1 where the probability is greater (strictly).

    Returns:
        Masks of 0 and 1.

    Raises:
        InputError: If a value is NaN or outside [0, 1].
    """
    maps = [unit_values(member, name=f"member {number}") for number, member in enumerate(members, start=1)]
    return [exceeds(one, threshold).view(np.uint8) for one in maps]
