"""The human ceiling: how the raters themselves fare under a score, each against the others."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

from twintrack.errors import InputError
from twintrack.raters.masks import as_votes
from twintrack.raters.response import response

Scored = TypeVar("Scored")

CaseScore: TypeAlias = Callable[[NDArray[np.float32], Sequence[NDArray[np.uint8]]], Scored]
"""A score, or a set of scores, of a prediction (float32 in [0, 1]) against raters' masks."""


def leave_one_out(masks: Sequence[NDArray[Any]], score: CaseScore[Scored]) -> list[Scored]:
    """Score each rater's own mask, taken as a prediction of 0 and 1, against the other raters.

    What one more human would score in the model's place. Right for scores of decisions: overlap, surface distances,
    lesions, volume, squared error. A log score is not one, since a sure prediction that any rater contradicts
    costs whatever its bound says; nor are scores that rank or bin probabilities (AURC, adaptive bins, CORP),
    which see two values only.

    The raters left are K − 1 and of another mean than all K, so compare with the model scored against the same K − 1:
    `against_others`.

    Args:
        masks: K ≥ 2 raters' binary masks, (z, y, x) or (y, x).
        score: Any score of a prediction against K − 1 masks.

    Returns:
        K scores, one for each rater left out.

    Raises:
        InputError: If there are fewer than two raters, or the masks are not binary or differ in shape.
    """
    votes = _votes(masks)
    return [score(mask.astype(np.float32), _without(votes, out)) for out, mask in enumerate(votes)]


def against_others(
    prediction: NDArray[np.float32], masks: Sequence[NDArray[Any]], score: CaseScore[Scored]
) -> list[Scored]:
    """Score a prediction against the raters but one, for each one left out: what to hold against `leave_one_out`.

    Args:
        prediction: Probability or response, float32 in [0, 1], (z, y, x) or (y, x).
        masks: K ≥ 2 raters' binary masks, same shape.
        score: Any score of a prediction against K − 1 masks.

    Returns:
        K scores, one for each rater left out.

    Raises:
        InputError: If there are fewer than two raters, or the masks are not binary or differ in shape.
    """
    votes = _votes(masks)
    return [score(prediction, _without(votes, out)) for out in range(len(votes))]


def leave_one_out_response(masks: Sequence[NDArray[Any]], score: CaseScore[Scored]) -> list[Scored]:
    """Score the mean response of the other raters as a prediction of the one left out.

    How well a panel of K − 1 predicts a further rater: what a model could reach that knew exactly what this panel
    would say. Right for every score that admits a single rater: squared error (`brier` to that rater's labels), log
    score (bounded; a panel that is unanimous and wrong costs the bound), calibration errors, Dice over thresholds,
    CRPS of the volume. Scores of the raters' spread (energy distance, variance correlation, coverage) need more.

    Args:
        masks: K ≥ 2 raters' binary masks, (z, y, x) or (y, x).
        score: Any score of a prediction against one mask, handed over as a sequence of one.

    Returns:
        K scores, one for each rater left out.

    Raises:
        InputError: If there are fewer than two raters, or the masks are not binary or differ in shape.
    """
    votes = _votes(masks)
    return [score(response(_without(votes, out)), [mask]) for out, mask in enumerate(votes)]


def _votes(masks: Sequence[NDArray[Any]]) -> list[NDArray[np.uint8]]:
    votes = as_votes(masks)
    if len(votes) < 2:
        raise InputError("leaving one rater out needs at least two raters; got one")
    return votes


def _without(votes: list[NDArray[np.uint8]], out: int) -> list[NDArray[np.uint8]]:
    return votes[:out] + votes[out + 1 :]
