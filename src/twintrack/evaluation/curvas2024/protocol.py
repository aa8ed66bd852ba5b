"""The constants of the CURVAS 2024 protocol and the form of its result."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import TypedDict

STRUCTURES: Mapping[int, str] = MappingProxyType({1: "pancreas", 2: "kidney", 3: "liver"})
"""The challenge's labels; 0 is background."""

SUM_TOLERANCE = 1e-3
"""How far the probabilities of a voxel may be from summing to 1: the rounding of half-precision numbers."""


class Confidence(TypedDict):
    """Confidence in one structure where the raters agree.

    Attributes:
        foreground: Mean probability of the structure where every rater labels it; in [0, 1].
        background: 1 - mean probability of the structure where no rater labels it; in [0, 1].
        mean: Mean of the two, the challenge's figure.
    """

    foreground: float
    background: float
    mean: float


class Scores(TypedDict):
    """The scores of one case.

    Attributes:
        consensus_dice: Dice where the raters agree, by structure; in [0, 1].
        consensus_dice_mean: Mean of `consensus_dice`; NaN where one of them is.
        confidence: Confidence where the raters agree, by structure.
        confidence_mean: Mean of the structures' `mean`; NaN where one of them is.
        crps: Continuous ranked probability score of each structure's volume, in the unit of `voxel_volume`.
        ece: Multi-class top-label calibration error against each rater; the key is the rater's index.
        ece_mean: Mean of `ece`.
    """

    consensus_dice: dict[str, float]
    consensus_dice_mean: float
    confidence: dict[str, Confidence]
    confidence_mean: float
    crps: dict[str, float]
    ece: dict[str, float]
    ece_mean: float
