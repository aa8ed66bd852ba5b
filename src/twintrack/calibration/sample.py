"""A calibration case in a few thousand voxels: enough to fit and judge any method without reading the case again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from twintrack.calibration.conditional.describe import FLOOR, VOXEL_FEATURES, Traits, describe
from twintrack.calibration.curve import Curve
from twintrack.cohort import Case, CaseData
from twintrack.compute.blocks import blocks, flat, sum_of
from twintrack.compute.levels import N_LEVELS, levels

LIMIT = 20_000
"""At most about so many described voxels of a case are kept."""

_TOGETHER = 8  # levels of 2⁻¹⁰ octaves that share a row
_EVERYWHERE = 0.02  # how much a voxel that is sure counts in the choice, beside one at p = 1/2 (which counts 1/2)


@dataclass(frozen=True, eq=False)
class Rows:
    """Voxels of a case, each row standing for `weight` of them.

    Attributes:
        probability: Mean of the members, float64 (n,).
        response: Mean response of the row's voxels, float64 (n,).
        squared: Mean of their squared responses, float64 (n,); of a single voxel the square of its response.
        weight: How many voxels a row stands for, float64 (n,).
    """

    probability: NDArray[np.float64]
    response: NDArray[np.float64]
    squared: NDArray[np.float64]
    weight: NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class CaseSample:
    """A case as fits and selection see it.

    Attributes:
        patient: Whose case it is.
        n_voxels: Voxels of the grid.
        drawn: Voxels each rater drew.
        low: Voxels inside the ROI with 0 < p < `FLOOR`, a row for neighbouring probabilities.
        high: The described voxels, or a weighted choice of them.
        voxel: Features of the rows of `high`, float32 (n, V).
        traits: What is known of the case as a whole; None where nothing reaches `FLOOR`.
        missed: Sum of responses of the voxels in neither: outside the ROI, or of probability exactly 0.
        rest: Sum of their squared responses.
    """

    patient: str
    n_voxels: int
    drawn: tuple[int, ...]
    low: Rows
    high: Rows
    voxel: NDArray[np.float32]
    traits: Traits | None
    missed: float
    rest: float

    @classmethod
    def of(cls, case: Case, data: CaseData, *, limit: int = LIMIT) -> CaseSample:
        """Take a sample of a case. The choice is systematic, not random: the same case gives the same sample.

        Args:
            case: The case.
            data: Its voxels. Without raters, for a case to be predicted, responses count as 0.
            limit: How many described voxels to keep, about.

        Returns:
            The sample.
        """
        p = np.clip(data.probability(), 0, 1)  # a softmax may lie outside by rounding
        found = describe(data, p)
        low, missed, rest = _low_rows(flat(p), [flat(mask) for mask in data.raters.values()])
        high, voxel = _NO_ROWS, np.empty((0, len(VOXEL_FEATURES)), np.float32)
        if found is not None:
            take, weight = choose(found.probability, limit)
            r = np.zeros(take.size)
            for mask in data.raters.values():
                r += mask[found.box][found.where][take] / len(data.raters)
            high, voxel = Rows(found.probability[take], r, r**2, weight), found.voxel[take]
        return cls(
            patient=case.patient,
            n_voxels=p.size,
            drawn=tuple(sorted(int(np.count_nonzero(mask)) for mask in data.raters.values())),
            low=low,
            high=high,
            voxel=voxel,
            traits=None if found is None else found.traits,
            missed=missed,
            rest=rest,
        )


def choose(probability: NDArray[np.float64], limit: int) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """Choose voxels with known chances, more of those that are unsure.

    Systematic sampling of the voxels sorted by probability: voxel v is taken with chance min(1, c √(p(1 − p)) + …), so
    that weights 1 / chance make sums over the sample unbiased for sums over all.

    Args:
        probability: float64 (n,).
        limit: How many to take, about.

    Returns:
        Indices, increasing in probability, and weights.
    """
    n = probability.size
    if n <= limit:
        return np.arange(n), np.ones(n)
    order = np.argsort(probability, kind="stable")
    size = np.sqrt(probability[order] * (1 - probability[order])) + _EVERYWHERE
    chance = np.minimum(1.0, size * limit / size.sum())
    reached = np.floor(np.cumsum(chance) + 0.5)
    taken = np.flatnonzero(np.diff(reached, prepend=0.0) > 0)
    return order[taken], 1 / chance[taken]


def curve_of(samples: Sequence[CaseSample], weights: Sequence[float] | None = None) -> Curve:
    """Join cases to the curve that a map of the probability alone is fitted to.

    Args:
        samples: The cases.
        weights: How often each case counts; by default once.

    Returns:
        The curve, by increasing probability.
    """
    given = [1.0] * len(samples) if weights is None else weights
    parts = [
        (rows, weight)
        for sample, weight in zip(samples, given, strict=True)
        for rows in (sample.low, sample.high)
        if weight > 0
    ]
    weight = np.concatenate([rows.weight * times for rows, times in parts])
    response = np.concatenate([rows.response for rows, _ in parts])
    probability, where = np.unique(np.concatenate([rows.probability for rows, _ in parts]), return_inverse=True)
    total = np.bincount(where, weight).astype(np.float64)
    return Curve(probability, total, np.bincount(where, weight * response) / total)


def _low_rows(p: NDArray[np.float32], masks: list[NDArray[np.uint8]]) -> tuple[Rows, float, float]:
    """Make one row of the voxels of a few neighbouring levels with 0 < p < `FLOOR`, block by block.

    Returns:
        The rows, and the sums of the responses and of their squares where p is 0.
    """
    sums = np.zeros((4, N_LEVELS // _TOGETHER + 1))  # voxels, p, response, its square
    missed, rest = 0.0, 0.0
    for part in blocks(p.size):
        q = p[part]
        r = sum_of(masks, part) / len(masks) if masks else np.zeros(q.size)
        low, zero = (q > 0) & (q < FLOOR), q == 0
        group = levels(q[low]) // _TOGETHER
        values = (np.ones(group.size), q[low].astype(np.float64), r[low], r[low] ** 2)
        sums += np.stack([np.bincount(group, value, sums.shape[1]) for value in values])
        missed += float(r[zero].sum())
        rest += float((r[zero] ** 2).sum())
    count, *totals = sums[:, sums[0] > 0]
    probability, response, squared = (total / count for total in totals)
    return Rows(probability, response, squared, count), missed, rest


_NO_ROWS = Rows(*(np.empty(0) for _ in range(4)))
