"""The CURVAS 2024 challenge's scores for one case: as its evaluator gives them, or quirks repaired."""

from __future__ import annotations

from twintrack.evaluation.curvas.variant import VARIANTS, Variant
from twintrack.evaluation.curvas2024.crop import in_plane_box
from twintrack.evaluation.curvas2024.protocol import STRUCTURES, Confidence, Scores
from twintrack.evaluation.curvas2024.scoring import score

__all__ = ["STRUCTURES", "VARIANTS", "Confidence", "Scores", "Variant", "in_plane_box", "score"]
