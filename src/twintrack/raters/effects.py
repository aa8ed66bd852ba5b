"""Rater effects: the sensitivity and specificity of each rater over a cohort, and what votes say under them.

The plain response counts the raters present and takes each at one vote. Where the same persons drew many cases, and not
each of them every case, who was present shifts it: two generous raters say more than two strict ones. Here each rater
has a sensitivity and a specificity that are the same in all cases, each case a prevalence of its own, and a voxel's
truth is hidden. Everything depends on the distinct vote patterns alone, so the voxels of a case are counted once
(`twintrack.raters.near`); the iteration over them is in `twintrack.raters.effects_em`.

The names must mean persons: where "rater 1" is someone else in each case, the rates are those of a mixture of people.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from twintrack.cohort import Case, CaseData, OnBad, Progress, map_cases
from twintrack.cohort.cohort import shorten
from twintrack.compute.executors import Executor
from twintrack.errors import CohortError, InputError
from twintrack.raters.effects_em import Floats, Rates, Stack, iterate, jackknife, likeliest_prevalence
from twintrack.raters.near import MARGIN_MM, CaseVotes, Near, count_votes

PSEUDO_COUNT = 1.0
"""Voxels added to each way of being right and of being wrong, so that no rate is exactly 0 or 1."""

_LEAST_PSEUDO_COUNT = 1e-6
"""With less, a rate could be exactly 1 by rounding."""

_ROUNDING = 1e-9
"""How far below 1 the sum of a sensitivity and a specificity may lie."""


@dataclass(frozen=True, kw_only=True)
class RaterEffect:
    """One rater.

    Attributes:
        sensitivity: Fraction of the hidden structure that the rater labels, in (0, 1).
        specificity: Fraction of the background near it that the rater leaves, in (0, 1). Together they are at least 1;
            at exactly 1 the rater's votes tell nothing.
        sensitivity_error: Standard error of the sensitivity (`rater_effects`); None for a rater of one case.
        specificity_error: Standard error of the specificity, likewise.
        n_cases: Number of cases used that the rater drew.

    Raises:
        InputError: If the rates are not such.
    """

    sensitivity: float
    specificity: float
    sensitivity_error: float | None
    specificity_error: float | None
    n_cases: int

    def __post_init__(self) -> None:
        rates = (self.sensitivity, self.specificity)
        if not (min(rates) > 0 and max(rates) < 1 and sum(rates) >= 1 - _ROUNDING):
            raise InputError(
                "sensitivity and specificity lie between 0 and 1 and are together at least 1; "
                f"got {self.sensitivity} and {self.specificity}"
            )


@dataclass(frozen=True, kw_only=True)
class RaterEffects:
    """The raters of a cohort, and what their votes say on a case.

    Attributes:
        raters: Each rater by name, sorted by name.
        prevalence: For each case used, in the order given, the estimated fraction of the voxels near the raters' union
            that belong to the structure.
        n_left_out: Number of cases left out: with one rater, or nothing drawn.
        margin_mm: How far around the union of the raters the model reaches.
        pseudo_count: Voxels added to each count.
        log_likelihood: Logarithm of the likelihood of all votes, with that of the pseudo-counts.
        iterations: Number of updates done.
        converged: Whether the last of them moved no rate by more than 1e-7.
    """

    raters: Mapping[str, RaterEffect]
    prevalence: tuple[float, ...]
    n_left_out: int
    margin_mm: float
    pseudo_count: float
    log_likelihood: float
    iterations: int
    converged: bool

    def posterior(self, masks: Mapping[str, NDArray[Any]], *, spacing: Sequence[float]) -> NDArray[np.float32]:
        """Give the probability that the structure is there, given who voted and how.

        The case's prevalence is the one under which its own votes are likeliest, given the raters' rates.

        Args:
            masks: Binary mask (bool, or uint8 with values 0 and 1) of each rater present, by name, all of one shape,
                (z, y, x) or (y, x). One rater is enough.
            spacing: Voxel size in mm along each array axis.

        Returns:
            float32 in [0, 1], of the masks' shape; exactly 0 farther than `margin_mm` from the raters' union.

        Raises:
            InputError: If a rater is not known to the model, the masks are not binary or differ in shape, or the
                spacing does not fit them.
        """
        unknown = [name for name in masks if name not in self.raters]
        if unknown:
            raise InputError(
                f"the model knows nothing of the raters {shorten(unknown)}; it was fitted to "
                f"{shorten(list(self.raters))}. Leave them out, or fit it to cases that they drew."
            )
        near = Near.of(masks, spacing=spacing, margin_mm=self.margin_mm)
        labels, voxels, occurring = near.counted()
        values = np.zeros(near.patterns.voxels.size, np.float32)
        values[occurring] = self._of_patterns(near.raters, labels, voxels)
        result = np.zeros(near.shape, np.float32)
        result[near.box] = near.patterns.look_up(values) * near.inside
        return result

    def _of_patterns(self, names: Sequence[str], labels: NDArray[np.bool_], voxels: NDArray[np.int64]) -> Floats:
        s = np.array([self.raters[name].sensitivity for name in names])
        q = np.array([self.raters[name].specificity for name in names])
        inside = labels @ np.log(s) + ~labels @ np.log1p(-s)
        outside = labels @ np.log1p(-q) + ~labels @ np.log(q)
        ratio = inside - outside
        prevalence = likeliest_prevalence(ratio, voxels, self.pseudo_count)
        return np.asarray(expit(np.log(prevalence) - np.log1p(-prevalence) + ratio), np.float64)


def rater_effects(
    cases: Iterable[Case],
    *,
    margin_mm: float = MARGIN_MM,
    pseudo_count: float = PSEUDO_COUNT,
    max_iterations: int = 5000,
    on_bad: OnBad | None = None,
    progress: Progress | None = None,
    executor: Executor | None = None,
) -> RaterEffects:
    """Estimate each rater's sensitivity and specificity from all cases together.

    With hidden truth T, P(T = 1) = g_c in case c, P(rater k votes 1 | T = 1) = s_k and P(k votes 0 | T = 0) = q_k,
    votes independent given T, expectation-maximisation alternates, over the voxels v near the raters' union,

    - M: s_k = (Σ W over k's votes of 1, + a) / (Σ W over k's votes, + 2a), q_k likewise from 1 − W and votes of 0,
      g_c = (Σ W over the case's voxels, + a) / (voxels + 2a),
    - E: W = g·A / (g·A + (1 − g)·B), with A the product over the raters present of s_k (vote 1) or 1 − s_k (vote 0),
      and B that of 1 − q_k or q_k,

    from W = the mean of the raters present, with a the pseudo-count. A rater who is missing takes no part in A, B and
    the sums. The likelihood with the pseudo-counts' never decreases. It is as high where structure and background are
    exchanged; s_k + q_k ≥ 1 rules that out. Where an update would break it, s_k = 1 − q_k = the fraction of k's votes
    that are 1, which is the best pair that keeps it.

    Background: as with STAPLE, the result depends on how much of it is seen: the more, the more a single vote is
    believed. Counted are the voxels no farther than `margin_mm` (Euclidean) from one that any rater present labels, as
    far as the image reaches. Rates of unlike margins, or of images cut closer than the margin, cannot be compared.

    Standard errors are those of a jackknife over the n cases used: √((n − 1)/n · Σ (θ_c − mean θ)²), with θ_c the
    estimate without case c. They allow for the voxels of a case not being independent, which the likelihood takes them
    to be; they do not tell of the model being wrong. For a rater of m cases they err upwards by up to √(m / (m − 1)),
    and with few cases they are themselves uncertain.

    Cases with one rater say nothing of who is right, and are left out, as are cases where nothing is drawn.

    Sources: Dawid and Skene, "Maximum likelihood estimation of observer error-rates using the EM algorithm", Applied
    Statistics 28(1), 1979, for two classes; there the prevalence is one for all, here one for each case. Warfield,
    Zou and Wells, "Simultaneous truth and performance level estimation (STAPLE)", IEEE Transactions on Medical Imaging
    23(7), 2004, treats one case, with a prior that is given rather than estimated; here the rates are shared by all
    cases, raters may be missing, and rates have pseudo-counts.

    Args:
        cases: Cases with raters, read one at a time; the same name must mean the same person. Members are not read.
        margin_mm: How far around the union of the raters background is counted, in mm (voxels where the voxel size is
            not known), finite, at least 0.
        pseudo_count: The a above, in voxels, at least 1e-6.
        max_iterations: Greatest number of updates, at least 1.
        on_bad: Called with a case that cannot be used and the reason. None: raise.
        progress: Wraps the cases to show progress.
        executor: Who reads the cases (`twintrack.compute.executors`); None: this process.

    Returns:
        The raters' rates with standard errors, and what they make of a case's votes.

    Raises:
        CohortError: If fewer than two cases have two raters and something drawn, or no rater drew two of them.
        InputError: If an option is out of range or a case has more than 16 raters.
        TwinTrackError: If a case cannot be read and `on_bad` is None.
    """
    votes = map_cases(
        _CountVotes(margin_mm),
        cases,
        label="Reading",
        members=False,
        on_bad=on_bad,
        progress=progress,
        executor=executor,
    )
    return effects_from_votes(votes, pseudo_count=pseudo_count, max_iterations=max_iterations)


@dataclass(frozen=True)
class _CountVotes:
    margin_mm: float

    def __call__(self, _: Case, data: CaseData) -> CaseVotes:
        return count_votes(data.raters, spacing=data.grid.spacing, margin_mm=self.margin_mm)


def effects_from_votes(
    votes: Iterable[CaseVotes], *, pseudo_count: float = PSEUDO_COUNT, max_iterations: int = 5000
) -> RaterEffects:
    """Estimate rater effects from cases whose votes have been counted; see `rater_effects`.

    Args:
        votes: What `count_votes` gave for each case, all with the same margin.
        pseudo_count: Voxels added to each count, at least 1e-6.
        max_iterations: Greatest number of updates, at least 1.

    Returns:
        The rates.

    Raises:
        CohortError: If fewer than two cases have two raters and something drawn, or no rater drew two of them.
        InputError: If the margins differ or an option is out of range.
    """
    if not (np.isfinite(pseudo_count) and pseudo_count >= _LEAST_PSEUDO_COUNT) or max_iterations < 1:
        raise InputError(
            f"the pseudo-count must be at least {_LEAST_PSEUDO_COUNT} and max_iterations at least 1; "
            f"got {pseudo_count} and {max_iterations}"
        )
    given = list(votes)
    used = [case for case in given if len(case.raters) > 1 and case.voxels.size]
    _require_overlap(used, n_given=len(given))
    stack = Stack.of(used)
    found = iterate(stack, stack.voxels, stack.start(), pseudo_count, max_iterations)
    errors = jackknife(stack, found.posterior, pseudo_count, max_iterations)
    return RaterEffects(
        raters={name: _effect(stack, found.rates, errors, number) for number, name in enumerate(stack.names)},
        prevalence=tuple(np.exp(found.rates.log_prevalence).tolist()),
        n_left_out=len(given) - len(used),
        margin_mm=used[0].margin_mm,
        pseudo_count=pseudo_count,
        log_likelihood=found.log_likelihood,
        iterations=found.iterations,
        converged=found.converged,
    )


def _require_overlap(used: Sequence[CaseVotes], *, n_given: int) -> None:
    if len(used) < 2:
        raise CohortError(
            "rater effects need at least 2 cases that 2 or more raters drew and not all left empty; "
            f"{len(used)} of {n_given} cases are such"
        )
    margins = sorted({case.margin_mm for case in used})
    if len(margins) > 1:
        raise InputError(f"the votes of all cases must be counted with one margin; got {margins} mm")
    if max(Counter(name for case in used for name in case.raters).values()) < 2:
        names = sorted({name for case in used for name in case.raters})
        raise CohortError(
            f"no rater drew two of the {len(used)} cases; the raters are {shorten(names)}. Rater effects need persons "
            "who keep their name from case to case."
        )


def _effect(stack: Stack, rates: Rates, errors: Floats, number: int) -> RaterEffect:
    n_cases = int(stack.drew[:, number].sum())
    return RaterEffect(
        sensitivity=float(rates.sensitivity[number]),
        specificity=float(rates.specificity[number]),
        sensitivity_error=float(errors[0, number]) if n_cases > 1 else None,
        specificity_error=float(errors[1, number]) if n_cases > 1 else None,
        n_cases=n_cases,
    )
