"""The CURVAS-PDACVI benchmark's scores for one case: as its evaluator gives them, or quirks repaired."""

from __future__ import annotations

from twintrack.evaluation.curvas.variant import VARIANTS, Variant
from twintrack.evaluation.pdacvi.protocol import PLANES, VESSEL_NAMES, PlaneDegrees, Scores
from twintrack.evaluation.pdacvi.scoring import score, score_each
from twintrack.evaluation.scores.overlap import THRESHOLDS

__all__ = [
    "PLANES",
    "THRESHOLDS",
    "VARIANTS",
    "VESSEL_NAMES",
    "PlaneDegrees",
    "Scores",
    "Variant",
    "score",
    "score_each",
]
