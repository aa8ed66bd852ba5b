"""What the scored predictions are called, in rows, files and tables alike, and which are compared."""

from __future__ import annotations

RAW = "raw"
"""The ensemble's probability."""
CALIBRATED = "calibrated"
"""The response made of it."""
HUMAN = "human"
"""The human ceiling: one rater's mask against the other raters."""


def vs_others(prediction: str) -> str:
    """Call a prediction that is scored against all raters but one, for each one left out, as `HUMAN` is."""
    return f"{prediction}_vs_others"


PREDICTIONS = (RAW, CALIBRATED)
"""What is scored against all raters."""

CEILING = (HUMAN, vs_others(RAW), vs_others(CALIBRATED))
"""What is scored against all raters but one."""

PAIRS = ((CALIBRATED, RAW), (vs_others(RAW), HUMAN), (vs_others(CALIBRATED), HUMAN))
"""Which are compared: the first with the second."""
