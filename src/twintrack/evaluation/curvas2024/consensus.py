"""The consensus areas: where every rater gives a voxel a structure, and where none does.

With P the voxels predicted to be a structure, F those where every rater labels it and B those where none does, the
raters disagree outside F ∪ B, and nothing is asked there:

    Dice = 2 |P ∩ F| / (|P ∩ (F ∪ B)| + |F|)
    confidence = (mean p over F + 1 − mean p over B) / 2

(The CURVAS challenge, Riera-Marín et al., arXiv 2505.08685; the formulas are those of its published evaluator, see
docs/curvas2024.md.)
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from twintrack.compute.jit import njit
from twintrack.evaluation.curvas.variant import Variant
from twintrack.evaluation.curvas2024 import without_numba
from twintrack.evaluation.curvas2024.inputs import Inputs
from twintrack.evaluation.curvas2024.protocol import Confidence


@dataclass(frozen=True, kw_only=True, eq=False)
class Tally:
    """Counts and sums over the voxels of a case, of K raters and C - 1 structures.

    Attributes:
        rater_voxels: int64 (K, C), voxels by rater and label.
        agreed: int64 (C - 1, 2), voxels where no rater, and where every rater, labels the structure.
        predicted: int64 (C - 1, 2), those of them that are predicted to be the structure.
        confidence: float64 (C - 1, 2), the structure's probability summed over `agreed`.
        probability_sum: float64 (C - 1,), the structure's probability summed over all voxels.
        row_dice: float64 (C - 1,), the Dice of `official`; NaN where it has no row to take it over.
    """

    rater_voxels: NDArray[np.int64]
    agreed: NDArray[np.int64]
    predicted: NDArray[np.int64]
    confidence: NDArray[np.float64]
    probability_sum: NDArray[np.float64]
    row_dice: NDArray[np.float64]


def tally(inputs: Inputs) -> Tally:
    """Read the case once and count.

    Args:
        inputs: The checked arrays.

    Returns:
        The counts.
    """
    n = inputs.foreground.shape[0]
    found = Tally(
        rater_voxels=np.zeros((inputs.raters.shape[0], n + 1), dtype=np.int64),
        agreed=np.zeros((n, 2), dtype=np.int64),
        predicted=np.zeros((n, 2), dtype=np.int64),
        confidence=np.zeros((n, 2)),
        probability_sum=np.zeros(n),
        row_dice=np.zeros(n),
    )
    _count(
        inputs.raters,
        inputs.foreground,
        inputs.labels,
        found.rater_voxels,
        found.agreed,
        found.predicted,
        found.confidence,
        found.probability_sum,
        found.row_dice,
    )
    return found


def consensus_dice(found: Tally, structure: int, *, variant: Variant) -> float:
    """Give the Dice of one structure where the raters agree.

    `official` takes the Dice of every row of voxels along the last axis, without the first row of each slice, leaves
    out rows where no voxel has every rater's label, and averages over the rows of a slice and then over slices: what
    the evaluator's library does to a volume that it takes for a batch of channels. `corrected` counts voxels over the
    whole volume.

    Args:
        found: The tally.
        structure: 0 for label 1, and so on.
        variant: `official` or `corrected`.

    Returns:
        Dice in [0, 1]. Without a voxel of every rater's: 0 in `official`; in `corrected` 0 where the prediction
        contradicts all raters, else 1 where no rater drew the structure, and NaN where they did, but nowhere together.
    """
    if variant == "official":
        dice = float(found.row_dice[structure])
        return 0.0 if math.isnan(dice) else dice
    wrong, right = found.predicted[structure].tolist()
    total = wrong + right + int(found.agreed[structure, 1])
    if total:
        return float(2 * right / total)
    return math.nan if found.rater_voxels[:, structure + 1].any() else 1.0


def confidence(found: Tally, structure: int) -> Confidence:
    """Give the confidence in one structure where the raters agree.

    Args:
        found: The tally.
        structure: 0 for label 1, and so on.

    Returns:
        The confidence in the structure, out of it, and their mean; NaN where there is no such voxel.
    """
    outside, inside = (
        total / count if count else math.nan
        for total, count in zip(found.confidence[structure].tolist(), found.agreed[structure].tolist(), strict=True)
    )
    return {"foreground": inside, "background": 1.0 - outside, "mean": (inside + 1.0 - outside) / 2.0}


@njit(nogil=True, twin=without_numba.count)
def _count(
    raters: Any,
    foreground: Any,
    labels: Any,
    rater_voxels: Any,
    agreed: Any,
    predicted: Any,
    confidence: Any,
    probability_sum: Any,
    row_dice: Any,
) -> None:
    depth, height, width = labels.shape
    n = foreground.shape[0]
    votes = np.zeros(n + 1, dtype=np.int64)
    row = np.zeros((n, 3), dtype=np.int64)  # predicted where none, and where all agree; where all agree
    rows, slices = np.zeros((n, 2)), np.zeros((n, 2))  # how many, and the sum of their Dice
    for z in range(depth):
        rows[:] = 0
        for y in range(height):
            row[:] = 0
            for x in range(width):
                _count_votes(raters, z, y, x, votes, rater_voxels)
                for s in range(n):
                    p = foreground[s, z, y, x]
                    probability_sum[s] += p
                    if votes[s + 1] == 0 or votes[s + 1] == raters.shape[0]:
                        every = 1 if votes[s + 1] else 0
                        agreed[s, every] += 1
                        confidence[s, every] += p
                        row[s, every] += labels[z, y, x] == s + 1
                        row[s, 2] += every
            predicted += row[:, :2]
            # Pitfall: the first channel, here the first row, is dropped as background, unless it is the only one.
            if y > 0 or height == 1:
                _add_row_dice(row, rows)
        _add_means(rows, slices)
    row_dice[:] = slices[:, 1] / slices[:, 0]


@njit(nogil=True)
def _count_votes(raters: Any, z: Any, y: Any, x: Any, votes: Any, rater_voxels: Any) -> None:
    votes[:] = 0
    for k in range(raters.shape[0]):
        label = raters[k, z, y, x]
        votes[label] += 1
        rater_voxels[k, label] += 1


@njit(nogil=True)
def _add_row_dice(row: Any, rows: Any) -> None:
    for s in range(row.shape[0]):
        if row[s, 2]:
            rows[s, 0] += 1
            rows[s, 1] += 2.0 * row[s, 1] / (row[s, 0] + row[s, 1] + row[s, 2])


@njit(nogil=True)
def _add_means(parts: Any, wholes: Any) -> None:
    for s in range(parts.shape[0]):
        if parts[s, 0]:
            wholes[s, 0] += 1
            wholes[s, 1] += parts[s, 1] / parts[s, 0]
