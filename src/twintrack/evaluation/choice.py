"""Choosing cases to show by a rule instead of by their looks."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from twintrack.errors import InputError

PREFERRED = ("thresh_dsc", "surface_dice")
"""Scores by which cases are called best and worst, where there is one of them: a reader knows what a Dice means."""


@dataclass(frozen=True)
class Chosen:
    """A case that was chosen to be shown.

    Attributes:
        case: The case.
        roles: What it is among the cases: "best", "median", "worst"; of few cases one is several of them.
        score: The score it was chosen by.
        prediction: Whose score.
        value: Its score.
    """

    case: str
    roles: tuple[str, ...]
    score: str
    prediction: str
    value: float


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
    scored = _sorted(rows, score, prediction)
    if not scored:
        raise InputError(f"no case has a {score} of the {prediction} prediction, so none can be chosen by it")
    value, case = scored[(len(scored) - 1) // 2]
    return case, value


def example_cases(
    rows: Sequence[Mapping[str, Any]], scores: Mapping[str, Mapping[str, Any]], *, prediction: str
) -> list[Chosen]:
    """Choose the best, the median and the worst case.

    Args:
        rows: One row per case and prediction (`Evaluation.per_case`).
        scores: What the scores are, in their order (`Evaluation.summary`, "scores"); the first of `PREFERRED` decides,
            else the first that cases have.
        prediction: Whose score.

    Returns:
        One to three cases, from the best to the worst; none where no case has a score.
    """
    names = [name for name in (*PREFERRED, *scores) if name in scores]
    found = next(((name, scored) for name in names if (scored := _sorted(rows, name, prediction))), None)
    if found is None:
        return []
    score, scored = found
    better = scores[score]["better"]
    if better == "zero":
        scored = sorted((abs(value), case) for value, case in scored)
    best, worst = (-1, 0) if better == "higher" else (0, -1)
    places = {"best": scored[best], "median": scored[(len(scored) - 1) // 2], "worst": scored[worst]}
    return [
        Chosen(case, tuple(role for role, (_, other) in places.items() if other == case), score, prediction, value)
        for value, case in dict.fromkeys(places.values())
    ]


def _sorted(rows: Sequence[Mapping[str, Any]], score: str, prediction: str) -> list[tuple[float, str]]:
    return sorted(
        (float(row[score]), str(row["case"]))
        for row in rows
        if row["prediction"] == prediction and math.isfinite(row.get(score, math.nan))
    )
