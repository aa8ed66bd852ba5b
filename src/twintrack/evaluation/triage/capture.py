"""Capture curves: how much of what is to be found is found when the most urgent items are looked at first.

Items (voxels, cases) are looked at in the order of what they are ranked by; the curve gives the share of the target
that is found against the share of the cost that is spent. Items that cost differently are ordered by priority per
cost, the best order where parts of items may be looked at (the fractional knapsack; Dantzig 1957, Discrete-variable
extremum problems, Operations Research 5(2)): the oracle, ordered by target per cost, is then above every other curve
everywhere. Equal items are in no order: the curve is straight over them, the expectation over random orders.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from twintrack.errors import InputError
from twintrack.evaluation.triage.voxels import VoxelBins


@dataclass(frozen=True, eq=False)
class Order:
    """Items of several cases in groups of equal urgency, the most urgent first.

    Attributes:
        cost: What each case's items of a group cost, sparse (cases, groups).
        target: What they hold of the target, same shape.
    """

    cost: Any
    target: Any

    @classmethod
    def of_cases(
        cls, priority: NDArray[np.float64], *, target: NDArray[np.float64], cost: NDArray[np.float64] | None = None
    ) -> Order:
        """Order whole cases.

        Args:
            priority: What they are ranked by, shape (n,), finite.
            target: What they hold, not negative.
            cost: What it costs to look at each, above 0; None: one each.

        Returns:
            The order.

        Raises:
            InputError: If there is no case, or the numbers are not as described.
        """
        n = np.size(priority)
        paid = np.ones(n) if cost is None else np.asarray(cost, np.float64)
        ranked, held = np.asarray(priority, np.float64), np.asarray(target, np.float64)
        if n == 0 or not ranked.shape == held.shape == paid.shape == (n,):
            raise InputError(f"expected rows of one size; got {ranked.shape}, {held.shape} and {paid.shape}")
        if not (np.isfinite(ranked).all() and np.isfinite(held).all() and held.min() >= 0 and paid.min() > 0):
            raise InputError("priorities must be finite, targets not negative and costs above 0; found other numbers")
        distinct, place = np.unique(-ranked / paid, return_inverse=True)
        where, shape = (np.arange(n), place.reshape(-1)), (n, distinct.size)
        return cls(csr_array((paid, where), shape), csr_array((held, where), shape))

    @classmethod
    def of_bins(cls, cases: Sequence[VoxelBins], target: str) -> Order:
        """Order the voxels of cases, pooled; each costs the same."""
        count = np.stack([one.count[::-1] for one in cases])
        held = np.stack([one.held[target][::-1] for one in cases])
        kept = count.any(axis=0)
        return cls(csr_array(count[:, kept]), csr_array(held[:, kept]))

    def curves(self, weights: NDArray[np.float64] | None = None) -> Curves:
        """Give the curve, or one for each resample of the cases.

        Args:
            weights: How often each case counts, shape (B, cases); None: once, B is 1.

        Returns:
            The curves; NaN where a resample holds nothing of the target.
        """
        times = np.ones((1, self.cost.shape[0])) if weights is None else weights
        return Curves(_shares(times @ self.cost), _shares(times @ self.target))


@dataclass(frozen=True, eq=False)
class Curves:
    """Several capture curves over the same groups.

    Attributes:
        spent: Share of the cost, non-decreasing from 0 to 1, shape (B, g + 1).
        found: Share of the target, likewise.
    """

    spent: NDArray[np.float64]
    found: NDArray[np.float64]

    def at(self, budget: float) -> NDArray[np.float64]:
        """Give the share that is found with a share of the cost, (B,); parts of groups count in part."""
        part = np.clip(budget - self.spent[:, :-1], 0, np.diff(self.spent, axis=1))
        return np.asarray((self._slopes() * part).sum(axis=1) + self._free())

    def area(self, up_to: float = 1.0) -> NDArray[np.float64]:
        """Give the mean share found over all budgets up to a share of the cost, (B,)."""
        width = np.clip(up_to - self.spent[:, :-1], 0, np.diff(self.spent, axis=1))
        height = self.found[:, :-1] + self._slopes() * width / 2
        return np.asarray((height * width).sum(axis=1) / up_to)

    def _slopes(self) -> NDArray[np.float64]:
        width, rise = np.diff(self.spent, axis=1), np.diff(self.found, axis=1)
        # A group that no drawn case has is a step of width and height 0.
        return np.divide(rise, width, out=np.zeros_like(width), where=width > 0)

    def _free(self) -> NDArray[np.float64]:
        """NaN for curves of nothing, else 0."""
        return self.found[:, -1] - self.found[:, -1]


def gain(curves: Curves, oracle: Curves, *, up_to: float = 1.0) -> NDArray[np.float64]:
    """Give the area under curves, on a scale where random order is 0 and the oracle 1.

    Args:
        curves: B curves of a ranking.
        oracle: B curves of the oracle, of the same resamples.
        up_to: Budgets that count, as a share of the cost.

    Returns:
        (area − random) / (oracle − random), (B,), at most 1 and below 0 for what is worse than random; NaN where the
        oracle is no better than random.
    """
    chance = up_to / 2
    best = oracle.area(up_to) - chance
    won = curves.area(up_to) - chance
    return np.asarray(np.divide(won, best, out=np.full(best.shape, np.nan), where=best > 1e-12))


def _shares(parts: NDArray[np.float64]) -> NDArray[np.float64]:
    sums = np.concatenate([np.zeros((len(parts), 1)), np.cumsum(parts, axis=1)], axis=1)
    total = sums[:, -1:]
    return np.asarray(np.divide(sums, total, out=np.full(sums.shape, np.nan), where=total > 0))
