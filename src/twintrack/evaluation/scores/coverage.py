"""Intervals of volume: how many raters' volumes they hold, how wide they are, and the score of both."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from twintrack.errors import InputError

LEVEL = 0.9
"""Default level of a volume interval."""


@dataclass(frozen=True)
class IntervalCoverage:
    """How predicted volume intervals of a cohort fare against the raters' volumes.

    Attributes:
        share: Share of all raters' volumes that lie in their case's interval, ends included.
        case_share: Mean over cases of the share of that case's raters: every case counts alike.
        mean_width: Mean width of the intervals, in mm³.
        interval_score: Mean over cases of the mean interval score of the case's raters, in mm³; lower is better.
    """

    share: float
    case_share: float
    mean_width: float
    interval_score: float


def interval_score(low: float, high: float, value: float, *, level: float = LEVEL) -> float:
    """Give the interval score (Winkler score) of a central prediction interval.

    With α = 1 − level: (u − l) + (2/α)(l − x) if x < l, + (2/α)(x − u) if x > u. Gneiting, Raftery (2007), Strictly
    Proper Scoring Rules, Prediction, and Estimation, equation 43; Winkler (1972). Its expectation is smallest where
    l and u are the α/2 and 1 − α/2 quantiles of x.

    Args:
        low: Lower end l of the interval.
        high: Upper end u, not below it, in the same unit.
        value: The volume x that came, in the same unit.
        level: Level of the interval, in (0, 1).

    Returns:
        The score, in the same unit; 0 at best.

    Raises:
        InputError: If the interval is upside down, a number is not finite, or the level is out of range.
    """
    _check_level(level)
    if not (np.isfinite([low, high, value]).all() and low <= high):
        raise InputError(f"expected finite low ≤ high and a finite value; got {low}, {high} and {value}")
    return float(high - low + 2 / (1 - level) * (max(low - value, 0.0) + max(value - high, 0.0)))


def interval_coverage(
    low: Sequence[float], high: Sequence[float], volumes: Sequence[Sequence[float]], *, level: float = LEVEL
) -> IntervalCoverage:
    """Score the volume intervals of a cohort against the raters' volumes.

    Args:
        low: Lower end of each case's interval, in mm³ (mm² in 2-D).
        high: Upper end of each case's interval.
        volumes: The raters' volumes of each case, at least one per case; their number may differ.
        level: Level the intervals were made for, in (0, 1): `share` should come near to it.

    Returns:
        Coverage, width and interval score (`interval_score`).

    Raises:
        InputError: If there is no case, the three do not have the same cases, an interval is upside down, or a case
            has no rater; the message counts cases from 1.
    """
    _check_level(level)
    if not len(low) == len(high) == len(volumes) or len(low) == 0:
        raise InputError(
            f"expected low, high and volumes of the same cases, at least one; got {len(low)}, {len(high)} and "
            f"{len(volumes)}"
        )
    inside: list[list[bool]] = []
    scores: list[float] = []
    for number, (a, b, raters) in enumerate(zip(low, high, volumes, strict=True), start=1):
        if len(raters) == 0:
            raise InputError(f"case {number}: expected at least one rater's volume; got none")
        try:
            scores.append(float(np.mean([interval_score(a, b, volume, level=level) for volume in raters])))
        except InputError as error:
            raise InputError(f"case {number}: {error}") from error
        inside.append([bool(a <= volume <= b) for volume in raters])
    return IntervalCoverage(
        share=float(np.mean([one for case in inside for one in case])),
        case_share=float(np.mean([np.mean(case) for case in inside])),
        mean_width=float(np.mean(np.subtract(high, low))),
        interval_score=float(np.mean(scores)),
    )


def _check_level(level: float) -> None:
    if not 0 < level < 1:
        raise InputError(f"level: expected a number between 0 and 1; got {level}")
