"""The protocol "response": TwinTrack's own scores, against the mean human response and against the raters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import reduce
from operator import add

import numpy as np
from numpy.typing import NDArray

from twintrack.cohort import CaseData
from twintrack.evaluation.protocols.base import CaseScores, ScoringProtocol
from twintrack.evaluation.protocols.score import Score
from twintrack.evaluation.protocols.statistics import collect
from twintrack.evaluation.scores.reliability import BINS, Reliability

SCORES: tuple[Score, ...] = (
    Score("mse", "MSE to response", "mean over voxels of (prediction − response)²", "lower"),
    Score("mhr_ece", "MHR-ECE per case", "calibration error to the response in 20 equal-width bins", "lower"),
    Score("mhr_ece_mass", "MHR-ECE per case, equal mass", "the same in 20 equal-mass bins", "lower"),
    Score("rater_ece", "rater ECE", "top-label calibration error, 50 bins, mean over the raters", "lower"),
    Score("thresh_dsc", "thresh-DSC", "Dice of thresholded prediction and response, mean of 6 thresholds", "higher"),
    Score(
        "crps_gaussian",
        "volume CRPS (Gaussian)",
        "expected volume against a Gaussian through the raters'",
        "lower",
        "mm³",
    ),
    Score("crps_empirical", "volume CRPS (empirical)", "expected volume against the raters' volumes", "lower", "mm³"),
    Score(
        "volume_error",
        "volume error",
        "expected volume minus the raters' mean volume",
        "zero",
        "mm³",
        has_ceiling=False,
    ),
)
"""Scores of a case; the cohort's score is the mean over cases."""

POOLED: tuple[Score, ...] = (
    Score(
        "pooled_mhr_ece", "MHR-ECE pooled", "calibration error over the voxels of all cases, equal-width bins", "lower"
    ),
    Score(
        "pooled_mhr_ece_mass",
        "MHR-ECE pooled, equal mass",
        "the same in bins of equal numbers of voxels over the cohort",
        "lower",
    ),
)
"""Scores of a cohort that are not means over cases."""


class ResponseProtocol(ScoringProtocol):
    """Every voxel of the grid counts, also outside the ROI, where the prediction is 0."""

    name = "response"

    def describe(self, name: str) -> Score:
        """Say what a score is."""
        return next(score for score in (*SCORES, *POOLED) if score.name == name)

    def score(self, data: CaseData, prediction: NDArray[np.float32]) -> CaseScores:
        """Score one prediction of a case in one pass over its voxels."""
        return self.score_each(data, {"": prediction})[""]

    def score_each(self, data: CaseData, predictions: Mapping[str, NDArray[np.float32]]) -> dict[str, CaseScores]:
        """Score several predictions of a case in one pass over its voxels."""
        masks = list(data.raters.values())
        found = collect(list(predictions.values()), masks, voxel_volume=data.grid.voxel_volume)
        return {
            name: CaseScores(one.scores(), {"width": one.width, "strips": one.strips})
            for name, one in zip(predictions, found, strict=True)
        }

    def pool(self, cases: Sequence[CaseScores]) -> dict[str, list[Reliability]]:
        """Give each case's sums in equal-width bins, and in equal-mass bins of the whole cohort."""
        strips = [case.sums["strips"] for case in cases]
        index = reduce(add, strips).equal_mass_index(bins=BINS)
        return {
            "pooled_mhr_ece": [case.sums["width"] for case in cases],
            "pooled_mhr_ece_mass": [one.grouped(index, bins=BINS) for one in strips],
        }
