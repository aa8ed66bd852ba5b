"""The scores of an evaluation: their names, what they mean, and which direction is better."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Score:
    """One score.

    Attributes:
        name: Column name in files.
        label: What to call it in tables.
        meaning: What it is, in one sentence.
        better: Which values are better; "zero" for signed errors.
        unit: Its unit; empty for pure numbers.
    """

    name: str
    label: str
    meaning: str
    better: Literal["lower", "higher", "zero"]
    unit: str = ""

    def improvement(self, before: float, after: float) -> float:
        """Say by how much `after` is better than `before` (negative: worse)."""
        if self.better == "higher":
            return after - before
        return abs(before) - abs(after)


SCORES: tuple[Score, ...] = (
    Score("mse", "MSE to response", "mean over voxels of (prediction − response)²", "lower"),
    Score("mhr_ece", "MHR-ECE per case", "calibration error to the response in 20 equal-width bins", "lower"),
    Score("mhr_ece_mass", "MHR-ECE per case, equal mass", "the same in 20 equal-mass bins", "lower"),
    Score("rater_ece", "rater ECE", "top-label calibration error, 50 bins, mean over the raters", "lower"),
    Score(
        "thresh_dsc",
        "thresh-DSC",
        "Dice of thresholded prediction and response, mean of 6 thresholds",
        "higher",
    ),
    Score(
        "crps_gaussian",
        "volume CRPS (Gaussian)",
        "expected volume against a Gaussian through the raters'",
        "lower",
        "mm³",
    ),
    Score(
        "crps_empirical",
        "volume CRPS (empirical)",
        "expected volume against the raters' volumes",
        "lower",
        "mm³",
    ),
    Score("volume_error", "volume error", "expected volume minus the raters' mean volume", "zero", "mm³"),
)
"""Scores of a case; the cohort's score is the mean over cases."""

POOLED: tuple[Score, ...] = (
    Score(
        "pooled_mhr_ece",
        "MHR-ECE pooled",
        "calibration error over the voxels of all cases, equal-width bins",
        "lower",
    ),
    Score(
        "pooled_mhr_ece_mass",
        "MHR-ECE pooled, equal mass",
        "the same in bins of equal numbers of voxels over the cohort",
        "lower",
    ),
)
"""Scores of a cohort that are not means over cases."""
