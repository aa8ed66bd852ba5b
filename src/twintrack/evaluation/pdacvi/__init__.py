"""The CURVAS-PDACVI benchmark's scores for one case: as its evaluator gives them, or quirks repaired."""

from __future__ import annotations

from twintrack.evaluation.overlap import THRESHOLDS
from twintrack.evaluation.pdacvi.protocol import (
    PLANES,
    VARIANTS,
    VESSEL_NAMES,
    PlaneDegrees,
    Scores,
    Variant,
)
from twintrack.evaluation.pdacvi.scoring import score

__all__ = ["PLANES", "THRESHOLDS", "VARIANTS", "VESSEL_NAMES", "PlaneDegrees", "Scores", "Variant", "score"]
