"""Choosing the case to show by a rule instead of by its looks."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from twintrack.errors import InputError


def median_case(rows: Sequence[Mapping[str, Any]], *, score: str, prediction: str) -> tuple[str, float]:
    """Give the case in the middle when the cases are sorted by a score.

    Of an even number of cases it is the lower of the two in the middle; cases with equal scores are sorted by their
    names; cases without a score do not count.

    Args:
        rows: One row per case and prediction (`Evaluation.per_case`).
        score: The score.
        prediction: Whose score.

    Returns:
        The case and its score.

    Raises:
        InputError: If no case has this score.
    """
    scored = sorted(
        (float(row[score]), str(row["case"]))
        for row in rows
        if row["prediction"] == prediction and math.isfinite(row.get(score, math.nan))
    )
    if not scored:
        raise InputError(f"no case has a {score} of the {prediction} prediction, so none can be chosen by it")
    value, case = scored[(len(scored) - 1) // 2]
    return case, value
