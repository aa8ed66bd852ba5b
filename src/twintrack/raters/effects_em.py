"""The iteration behind `twintrack.raters.effects`: expectation-maximisation over the vote patterns of all cases.

The formulas stand with `rater_effects`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from twintrack.raters.near import CaseVotes

Floats = NDArray[np.float64]

_TOLERANCE = 1e-7
"""The iteration ends once no sensitivity or specificity moved by more than this, as in `staple`."""

_HALVINGS = 50
"""Bisections of [0, 1] for a prevalence; more would reach 1 exactly by rounding."""


@dataclass(frozen=True, eq=False)
class Stack:
    """The vote patterns of all C cases, one below the other: P patterns, R raters.

    Attributes:
        names: The raters' names, sorted.
        yes: (P, R), 1 where the rater labels the pattern's voxels, else 0.
        no: (P, R), 1 where the rater was present and leaves them, else 0.
        voxels: (P,) numbers of voxels.
        case: (P,) which case the pattern is of.
        drew: (C, R), bool: which case has which rater.
    """

    names: tuple[str, ...]
    yes: Floats
    no: Floats
    voxels: Floats
    case: NDArray[np.intp]
    drew: NDArray[np.bool_]

    @classmethod
    def of(cls, cases: Sequence[CaseVotes]) -> Stack:
        """Stack the votes of at least one case."""
        names = tuple(sorted({name for case in cases for name in case.raters}))
        sizes = [case.voxels.size for case in cases]
        yes, no = np.zeros((2, sum(sizes), len(names)))
        drew = np.zeros((len(cases), len(names)), np.bool_)
        for number, (case, end) in enumerate(zip(cases, np.cumsum(sizes).tolist(), strict=True)):
            columns = [names.index(name) for name in case.raters]
            yes[end - case.voxels.size : end, columns] = case.labels
            no[end - case.voxels.size : end, columns] = ~case.labels
            drew[number, columns] = True
        voxels = np.concatenate([case.voxels for case in cases]).astype(np.float64)
        return cls(names, yes, no, voxels, np.repeat(np.arange(len(cases)), sizes), drew)

    def start(self) -> Floats:
        """Give the plain response of each pattern."""
        return np.asarray(self.yes.sum(axis=1) / (self.yes + self.no).sum(axis=1), np.float64)

    def per_case(self, values: Floats) -> Floats:
        """Sum over the patterns of each case."""
        return np.asarray(np.bincount(self.case, weights=values, minlength=len(self.drew)), np.float64)


@dataclass(frozen=True, eq=False)
class Rates:
    """Logarithms of everything that is estimated; rates near 1 keep their digits in the logarithm of what is left.

    Attributes:
        raters: (4, R): log s, log (1 − s), log (1 − q), log q.
        cases: (2, C): log g, log (1 − g).
    """

    raters: Floats
    cases: Floats

    @property
    def sensitivity(self) -> Floats:
        """(R,) s of each rater."""
        return np.asarray(np.exp(self.raters[0]))

    @property
    def specificity(self) -> Floats:
        """(R,) q of each rater."""
        return np.asarray(np.exp(self.raters[3]))

    @property
    def log_prevalence(self) -> Floats:
        """(C,) log g of each case."""
        return np.asarray(self.cases[0])

    def distance(self, other: Rates) -> float:
        """Give the largest difference of a rater's rate."""
        return float(np.abs(np.exp(self.raters) - np.exp(other.raters)).max())


@dataclass(frozen=True, eq=False)
class Found:
    """Where the iteration ended.

    Attributes:
        rates: The estimates.
        posterior: (P,) probability of the structure given each pattern.
        log_likelihood: That of all votes, with that of the pseudo-counts.
        iterations: Number of updates done.
        converged: Whether the last of them moved no rater's rate by more than the tolerance.
    """

    rates: Rates
    posterior: Floats
    log_likelihood: float
    iterations: int
    converged: bool


def iterate(stack: Stack, voxels: Floats, posterior: Floats, pseudo_count: float, max_iterations: int) -> Found:
    """Alternate maximisation and expectation; `voxels` may differ from the stack's where a case is left out."""
    rates = _maximisation(stack, voxels, posterior, pseudo_count)
    posterior, value = _expectation(stack, voxels, rates, pseudo_count)
    for iteration in range(2, max_iterations + 1):
        previous, rates = rates, _maximisation(stack, voxels, posterior, pseudo_count)
        posterior, value = _expectation(stack, voxels, rates, pseudo_count)
        if rates.distance(previous) <= _TOLERANCE:
            return Found(rates, posterior, value, iteration, converged=True)
    return Found(rates, posterior, value, max_iterations, converged=False)


def _maximisation(stack: Stack, voxels: Floats, posterior: Floats, pseudo_count: float) -> Rates:
    inside, outside = voxels * posterior, voxels * (1 - posterior)
    counts = np.stack([inside @ stack.yes, inside @ stack.no, outside @ stack.yes, outside @ stack.no]) + pseudo_count
    hit, miss, wrong, left = counts
    # s < 1 − q: the best pair of rates that keeps s ≥ 1 − q has s = 1 − q, both classes taken together.
    useless = hit * left < wrong * miss
    together = np.stack([hit + wrong, miss + left, hit + wrong, miss + left])
    counts = np.where(useless, together, counts)
    totals = np.stack([counts[0] + counts[1]] * 2 + [counts[2] + counts[3]] * 2)
    sizes = np.stack([stack.per_case(inside), stack.per_case(outside)]) + pseudo_count
    return Rates(np.log(counts / totals), np.log(sizes / sizes.sum(axis=0)))


def _expectation(stack: Stack, voxels: Floats, rates: Rates, pseudo_count: float) -> tuple[Floats, float]:
    """Give the posterior of each pattern under the rates, and the log-likelihood with that of the pseudo-counts."""
    inside = rates.cases[0][stack.case] + stack.yes @ rates.raters[0] + stack.no @ rates.raters[1]
    outside = rates.cases[1][stack.case] + stack.yes @ rates.raters[2] + stack.no @ rates.raters[3]
    value = voxels @ np.logaddexp(inside, outside) + pseudo_count * (rates.raters.sum() + rates.cases.sum())
    return np.asarray(expit(inside - outside), np.float64), float(value)


def jackknife(stack: Stack, posterior: Floats, pseudo_count: float, max_iterations: int) -> Floats:
    """Give the standard errors of sensitivities and specificities, (2, R); NaN for raters of one case."""
    without = []
    for number in range(len(stack.drew)):
        voxels = np.where(stack.case == number, 0.0, stack.voxels)
        rates = iterate(stack, voxels, posterior, pseudo_count, max_iterations).rates
        without.append([rates.sensitivity, rates.specificity])
    errors = np.sqrt((len(without) - 1) * np.array(without).var(axis=0))
    # Without the only case of a rater nothing is left but the pseudo-counts.
    return np.where(stack.drew.sum(axis=0) > 1, errors, np.nan)


def likeliest_prevalence(ratio: Floats, voxels: NDArray[np.int64], pseudo_count: float) -> float:
    """Give the likeliest prevalence by bisection: the slope of the log-likelihood falls throughout.

    Args:
        ratio: (P,), logarithm of how much likelier the pattern is inside the structure than outside.
        voxels: (P,) numbers of voxels.
        pseudo_count: Voxels added on either side.

    Returns:
        The prevalence, in (0, 1).
    """
    low, high = 0.0, 1.0
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        inside = expit(np.log(middle) - np.log1p(-middle) + ratio)
        # Slope times g (1 − g): what the votes expect inside, less what this prevalence does.
        surplus = voxels @ (inside - middle) + pseudo_count * (1 - 2 * middle)
        low, high = (middle, high) if surplus > 0 else (low, middle)
    return (low + high) / 2
