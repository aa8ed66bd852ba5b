"""The protocols "pdacvi-official" and "pdacvi-corrected": the benchmark CURVAS-PDACVI on the cases of a cohort."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from twintrack.cohort import CaseData
from twintrack.evaluation import pdacvi
from twintrack.evaluation.protocols.base import CaseScores, ScoringProtocol, naming_the_case
from twintrack.evaluation.protocols.score import Score

SCORES: tuple[Score, ...] = (
    Score(
        "thresh_dsc", "thresh-DSC", "Dice of thresholded prediction and raters' mean, mean of 6 thresholds", "higher"
    ),
    Score("dsc_staple", "DSC", "Dice of prediction > 0.5 and the raters' STAPLE consensus", "higher"),
    Score("ece_mean", "ECE", "top-label calibration error around the raters' union, mean over raters", "lower"),
    Score("crps", "volume CRPS", "expected volume against a Gaussian through the raters'", "lower", "mm³"),
)
VESSEL_PREFIX = "vi_"


class PdacviProtocol(ScoringProtocol):
    """Every score of `twintrack.evaluation.pdacvi.score`; vessels where the cases have them.

    Args:
        variant: "official" or "corrected".
        vessel_names: Names of the vessels by their label.
    """

    needs_vessels = True

    def __init__(self, variant: pdacvi.Variant, *, vessel_names: Mapping[int, str] = pdacvi.VESSEL_NAMES) -> None:
        self.name = f"pdacvi-{variant}"
        self.variant = variant
        self.vessel_names = dict(vessel_names)  # a view on one could not be sent to a worker

    def describe(self, name: str) -> Score:
        """Say what a score is."""
        if name.startswith(VESSEL_PREFIX):
            vessel = name.removeprefix(VESSEL_PREFIX)
            return Score(name, f"involvement of {vessel}", "distance of raters' and predicted degrees", "lower", "°")
        return next(score for score in SCORES if score.name == name)

    def score(self, data: CaseData, prediction: NDArray[np.float32]) -> CaseScores:
        """Score one prediction of a case; warnings say which case they are about."""
        return self.score_each(data, {"": prediction})[""]

    def score_each(self, data: CaseData, predictions: Mapping[str, NDArray[np.float32]]) -> dict[str, CaseScores]:
        """Score several predictions of a case; raters and vessels are read once."""
        with naming_the_case(data.id):
            found = pdacvi.score_each(
                list(data.raters.values()),
                list(predictions.values()),
                vessels=data.vessels,
                voxel_volume=data.grid.voxel_volume,
                vessel_names=self.vessel_names,
                variant=self.variant,
            )
        return {name: _case_scores(scores) for name, scores in zip(predictions, found, strict=True)}


def _case_scores(found: pdacvi.Scores) -> CaseScores:
    scores = {
        "thresh_dsc": found["thresh_dsc"],
        "dsc_staple": found["dsc_staple"],
        "ece_mean": found["ece_mean"],
        "crps": found["crps"],
    }
    return CaseScores({**scores, **{VESSEL_PREFIX + vessel: value for vessel, value in found["vi"].items()}})
