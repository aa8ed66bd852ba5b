"""The constants of the CURVAS-PDACVI protocol and the form of its result."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import TypedDict

HARD_THRESHOLD = 0.5
"""The binary prediction, where none is given, is probability > 0.5."""

VESSEL_NAMES: Mapping[int, str] = MappingProxyType({1: "PORTA", 2: "SMV", 3: "AORTA", 4: "CELIAC TRUNK", 5: "SMA"})
"""The benchmark's vessel labels."""

PLANES: tuple[str, ...] = ("cor", "sag", "ax")
"""The benchmark's names of array axes 0, 1 and 2, along which it slices."""

ECE_MARGIN = 20
"""Voxels by which the raters' bounding box is grown before the calibration error is taken in it."""


class PlaneDegrees(TypedDict):
    """Degrees of involvement of one vessel in one plane.

    Attributes:
        raters: K values, one per rater.
        prediction: Six values, one per entry of `THRESHOLDS`.
    """

    raters: list[float]
    prediction: list[float]


class Scores(TypedDict):
    """The scores of one case.

    Attributes:
        thresh_dsc: Dice between prediction and raters' mean, averaged over `THRESHOLDS`; in [0, 1].
        dsc_staple: Dice between the binary prediction and the raters' STAPLE consensus; in [0, 1].
        ece: Top-label expected calibration error against each rater; the key is the rater's index.
        ece_mean: Mean of `ece`.
        crps: Continuous ranked probability score of the volume, in the unit of `voxel_volume`.
        vi: Wasserstein distance between raters' and prediction's degrees per vessel, in degrees.
        vi_degrees: The degrees themselves, by vessel and plane.
    """

    thresh_dsc: float
    dsc_staple: float
    ece: dict[str, float]
    ece_mean: float
    crps: float
    vi: dict[str, float]
    vi_degrees: dict[str, dict[str, PlaneDegrees]]
