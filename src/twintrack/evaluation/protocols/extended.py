"""The protocol "extended": the wider family of scores that a single map and the raters' masks allow."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from twintrack.cohort import CaseData
from twintrack.evaluation.protocols.base import CaseScores, ScoringProtocol
from twintrack.evaluation.protocols.score import Score
from twintrack.evaluation.scores.adaptive import average_calibration_error
from twintrack.evaluation.scores.boundary import BoundaryRegion
from twintrack.evaluation.scores.corp import corp
from twintrack.evaluation.scores.lesions import lesion_scores
from twintrack.evaluation.scores.response_scores import log_score
from twintrack.evaluation.scores.selective import voxel_risk_coverage
from twintrack.evaluation.scores.surface import agreement_surface_scores
from twintrack.evaluation.scores.variance import bernoulli_variance, variance_ncc
from twintrack.raters.response import response

BOUNDARY_MM = 10.0
"""Voxels within this distance of a rater's boundary count for the calibration error at the boundary."""

TOLERANCE_MM = 2.0
"""Surfaces within this distance count as equal."""

SCORES: tuple[Score, ...] = (
    Score("log_score", "log score", "mean cross-entropy to the response", "lower", has_ceiling=False),
    Score(
        "miscalibration",
        "CORP miscalibration",
        "what isotonic recalibration of the case would gain in MSE",
        "lower",
        has_ceiling=False,
    ),
    Score(
        "discrimination",
        "CORP discrimination",
        "what the ranking of the voxels gains in MSE over a constant",
        "higher",
        has_ceiling=False,
    ),
    Score(
        "ace",
        "average calibration error",
        "mean over 20 equal-width bins, empty ones left out",
        "lower",
        has_ceiling=False,
    ),
    Score("boundary_ece", "MHR-ECE at the boundary", f"within {BOUNDARY_MM:g} mm of a rater's boundary", "lower"),
    Score(
        "variance_ncc", "variance NCC", "correlation of p(1 − p) with the raters' variance", "higher", has_ceiling=False
    ),
    Score("aurc", "AURC", "area under risk against coverage, risk (p − r)²", "lower", has_ceiling=False),
    Score("excess_aurc", "excess AURC", "AURC above that of the best order of the voxels", "lower", has_ceiling=False),
    Score("lesion_f1", "lesion F1", "lesions of response and prediction at 1/2, matched by any overlap", "higher"),
    Score("surface_dice", "surface Dice", f"at {TOLERANCE_MM:g} mm, mean over the agreement levels", "higher"),
)


class ExtendedProtocol(ScoringProtocol):
    """One number of each family in `twintrack.evaluation.scores` that needs no choice by the user but those above."""

    name = "extended"

    def describe(self, name: str) -> Score:
        """Say what a score is."""
        return next(score for score in SCORES if score.name == name)

    def score(self, data: CaseData, prediction: NDArray[np.float32]) -> CaseScores:
        """Score one prediction of a case."""
        return self.score_each(data, {"": prediction})[""]

    def score_each(self, data: CaseData, predictions: Mapping[str, NDArray[np.float32]]) -> dict[str, CaseScores]:
        """Score several predictions of a case; response and distances to the raters' boundary are computed once."""
        masks = list(data.raters.values())
        observed = response(masks)
        boundary = BoundaryRegion.of(masks, spacing=data.grid.spacing, distance=BOUNDARY_MM)
        return {name: _score(data, one, observed, boundary) for name, one in predictions.items()}


def _score(
    data: CaseData, prediction: NDArray[np.float32], observed: NDArray[np.float32], boundary: BoundaryRegion
) -> CaseScores:
    masks, spacing = list(data.raters.values()), data.grid.spacing
    parts = corp(prediction, observed)
    risk = voxel_risk_coverage(prediction, masks)
    surfaces = agreement_surface_scores(prediction, masks, spacing=spacing, tolerance=TOLERANCE_MM)
    return CaseScores(
        {
            "log_score": log_score(prediction, observed),
            "miscalibration": parts.miscalibration,
            "discrimination": parts.discrimination,
            "ace": average_calibration_error(prediction, observed),
            "boundary_ece": boundary.calibration_error(prediction),
            "variance_ncc": variance_ncc(bernoulli_variance(prediction), masks),
            "aurc": risk.area,
            "excess_aurc": risk.area - risk.optimal_area,
            "lesion_f1": lesion_scores(prediction, masks, spacing=spacing).f1,
            "surface_dice": float(np.mean([one.surface_dice for one in surfaces])),
        }
    )
