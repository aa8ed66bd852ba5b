"""Rater effects: the sensitivity and specificity of each rater over a cohort, and responses that allow for them.

The plain response counts the raters present and takes each at one vote. Where the same persons drew many cases, and not
each of them every case, who was present shifts it: two generous raters say more than two strict ones. Here each rater
has a sensitivity and a specificity that are the same in all cases, each case a prevalence of its own, and a voxel's
truth is hidden. Everything depends on the distinct vote patterns alone, so the voxels of a case are counted once.

The names must mean persons: where "rater 1" is someone else in each case, the rates are those of a mixture of people.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt
from scipy.special import expit

from twintrack.cohort import Case, CaseData, OnBad, Progress, map_cases
from twintrack.cohort.cohort import shorten
from twintrack.errors import CohortError, InputError
from twintrack.images import Grid
from twintrack.raters.masks import as_votes
from twintrack.raters.patterns import MOST_RATERS, VotePatterns, vote_patterns
from twintrack.raters.response import vote_count

Floats = NDArray[np.float64]

MARGIN_MM = 5.0
"""How far around what the raters drew background is counted, unless another margin is asked for."""

PSEUDO_COUNT = 1.0
"""Voxels added to each way of being right and of being wrong, so that no rate is exactly 0 or 1."""

_LEAST_PSEUDO_COUNT = 1e-6
"""With less, a rate could be exactly 1 by rounding."""

_TOLERANCE = 1e-7
"""The iteration ends once no sensitivity or specificity moved by more than this, as in `staple`."""

_ROUNDING = 1e-9
"""How far below 1 the sum of a sensitivity and a specificity may lie."""

_HALVINGS = 50
"""Bisections of [0, 1] for a prevalence; more would reach 1 exactly by rounding."""


@dataclass(frozen=True, eq=False, kw_only=True)
class CaseVotes:
    """How often each vote pattern occurs near what the raters of one case drew.

    Attributes:
        raters: Names of the K raters present, sorted.
        labels: Array of shape (P, K), bool: whether rater k labels the voxels of pattern p.
        voxels: Array of shape (P,), int64, positive: number of voxels with each pattern; empty where nothing is drawn.
        margin_mm: How far around the union of the raters voxels were counted.
    """

    raters: tuple[str, ...]
    labels: NDArray[np.bool_]
    voxels: NDArray[np.int64]
    margin_mm: float


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

    @property
    def typical_sensitivity(self) -> float:
        """Mean sensitivity of the raters, each weighted with the number of cases drawn: of the panel met on average."""
        return self._typical([rater.sensitivity for rater in self.raters.values()])

    @property
    def typical_specificity(self) -> float:
        """Mean specificity of the raters, weighted likewise."""
        return self._typical([rater.specificity for rater in self.raters.values()])

    def _typical(self, rates: list[float]) -> float:
        return float(np.average(rates, weights=[rater.n_cases for rater in self.raters.values()]))

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
        return self._map(masks, spacing, lambda posterior: posterior)

    def adjusted_response(self, masks: Mapping[str, NDArray[Any]], *, spacing: Sequence[float]) -> NDArray[np.float32]:
        """Give the fraction of a typical panel that would label each voxel: on the scale of the plain response.

        With posterior W, typical sensitivity s and typical specificity q: W·s + (1 − W)·(1 − q).

        Pitfall: the model spreads what raters draw beyond the structure evenly over the background within the margin,
        while raters who draw err close to borders. Voxels there that no one labels get at least 1 − q, not 0; and no
        voxel gets more than s, also where all raters agree. Among simulated raters who differ in where they see a
        border, the plain response of two to five of eight persons was nearer to that of the others than this one.

        Args:
            masks: As for `posterior`.
            spacing: As for `posterior`.

        Returns:
            float32 in [0, 1], of the masks' shape; exactly 0 farther than `margin_mm` from the raters' union.

        Raises:
            InputError: As for `posterior`.
        """
        s, q = self.typical_sensitivity, self.typical_specificity
        return self._map(masks, spacing, lambda posterior: posterior * s + (1 - posterior) * (1 - q))

    def _map(
        self, masks: Mapping[str, NDArray[Any]], spacing: Sequence[float], value: Callable[[Floats], Floats]
    ) -> NDArray[np.float32]:
        unknown = [name for name in masks if name not in self.raters]
        if unknown:
            raise InputError(
                f"the model knows nothing of the raters {shorten(unknown)}; it was fitted to "
                f"{shorten(list(self.raters))}. Leave them out, or fit it to cases that they drew."
            )
        near = _Near.of(masks, spacing=spacing, margin_mm=self.margin_mm)
        labels, voxels, occurring = near.counted()
        values = np.zeros(near.patterns.voxels.size, np.float32)
        values[occurring] = value(self._pattern_posterior(near.raters, labels, voxels))
        result = np.zeros(near.shape, np.float32)
        result[near.box] = near.patterns.look_up(values) * near.inside
        return result

    def _pattern_posterior(self, names: Sequence[str], labels: NDArray[np.bool_], voxels: NDArray[np.int64]) -> Floats:
        s = np.array([self.raters[name].sensitivity for name in names])
        q = np.array([self.raters[name].specificity for name in names])
        inside = labels @ np.log(s) + ~labels @ np.log1p(-s)
        outside = labels @ np.log1p(-q) + ~labels @ np.log(q)
        ratio = inside - outside
        prevalence = _prevalence(ratio, voxels, self.pseudo_count)
        return np.asarray(expit(np.log(prevalence) - np.log1p(-prevalence) + ratio), np.float64)


def rater_effects(
    cases: Iterable[Case],
    *,
    margin_mm: float = MARGIN_MM,
    pseudo_count: float = PSEUDO_COUNT,
    max_iterations: int = 5000,
    on_bad: OnBad | None = None,
    progress: Progress | None = None,
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

    Returns:
        The raters' rates with standard errors, and what they make of a case's votes.

    Raises:
        CohortError: If fewer than two cases have two raters and something drawn, or no rater drew two of them.
        InputError: If an option is out of range or a case has more than 16 raters.
        TwinTrackError: If a case cannot be read and `on_bad` is None.
    """

    def count(_: Case, data: CaseData) -> CaseVotes:
        return count_votes(data.raters, spacing=data.grid.spacing, margin_mm=margin_mm)

    votes = map_cases(count, cases, label="Reading", members=False, on_bad=on_bad, progress=progress)
    return effects_from_votes(votes, pseudo_count=pseudo_count, max_iterations=max_iterations)


def count_votes(
    masks: Mapping[str, NDArray[Any]], *, spacing: Sequence[float], margin_mm: float = MARGIN_MM
) -> CaseVotes:
    """Count the vote patterns near what the raters of one case drew.

    Args:
        masks: Binary mask (bool, or uint8 with values 0 and 1) of each rater present, by name, all of one shape,
            (z, y, x) or (y, x); at most 16.
        spacing: Voxel size in mm along each array axis.
        margin_mm: Voxels no farther than this from one that any rater labels are counted.

    Returns:
        The patterns that occur and their numbers of voxels: all of the case that `effects_from_votes` needs.

    Raises:
        InputError: If the masks are not binary, differ in shape or are too many, the spacing does not fit them, or the
            margin is negative or not finite.
    """
    near = _Near.of(masks, spacing=spacing, margin_mm=margin_mm)
    labels, voxels, _ = near.counted()
    return CaseVotes(raters=near.raters, labels=labels, voxels=voxels, margin_mm=margin_mm)


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
    stack = _Stack.of(used)
    found = _iterate(stack, stack.voxels, stack.start(), pseudo_count, max_iterations)
    errors = _jackknife(stack, found.posterior, pseudo_count, max_iterations)
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


@dataclass(frozen=True, eq=False)
class _Near:
    """The votes near what the raters of a case drew.

    Attributes:
        raters: The raters' names, sorted.
        shape: Shape of the masks.
        box: The part of the arrays that was looked at.
        inside: Which voxels of the box are no farther than the margin from the union, bool, of the box's shape.
        patterns: The vote patterns of the box.
    """

    raters: tuple[str, ...]
    shape: tuple[int, ...]
    box: tuple[slice, ...]
    inside: NDArray[np.bool_]
    patterns: VotePatterns

    @classmethod
    def of(cls, masks: Mapping[str, NDArray[Any]], *, spacing: Sequence[float], margin_mm: float) -> _Near:
        raters = tuple(sorted(masks))
        votes = as_votes([masks[name] for name in raters])
        if len(votes) > MOST_RATERS:
            raise InputError(f"rater effects take at most {MOST_RATERS} raters in one case; got {len(votes)}")
        if not (np.isfinite(margin_mm) and margin_mm >= 0):
            raise InputError(f"the margin must be a finite number of mm, at least 0; got {margin_mm}")
        size = np.array(Grid.plain(votes[0].shape, spacing=spacing).spacing)
        union = vote_count(votes) > 0
        box = _box(union, np.floor(margin_mm / size + 1e-6))
        inside = distance_transform_edt(~union[box], sampling=size) <= margin_mm * (1 + 1e-6)
        # Pitfall: without any labelled voxel the transform measures the distance to nothing in particular.
        return cls(raters, union.shape, box, inside & union.any(), vote_patterns([vote[box] for vote in votes]))

    def counted(self) -> tuple[NDArray[np.bool_], NDArray[np.int64], NDArray[np.intp]]:
        """Give labels (P, K) and numbers of voxels (P,) of the patterns that occur inside, and their codes (P,)."""
        voxels = self.patterns.voxels.copy()
        voxels[0] = np.count_nonzero(self.inside) - voxels[1:].sum()
        occurring = np.flatnonzero(voxels)
        labels = (occurring[:, None] >> np.arange(len(self.raters))) & 1 == 1
        return labels, voxels[occurring], occurring


def _box(union: NDArray[np.bool_], reach: Floats) -> tuple[slice, ...]:
    """Give the bounding box of a mask grown by so many voxels on each side; one voxel where the mask is empty."""
    box = []
    for axis, (size, more) in enumerate(zip(union.shape, reach, strict=True)):
        occupied = np.flatnonzero(union.any(axis=tuple(other for other in range(union.ndim) if other != axis)))
        first, last = (occupied[0], occupied[-1]) if occupied.size else (0, 0)
        grown = min(int(more), size) if occupied.size else 0
        box.append(slice(max(int(first) - grown, 0), min(int(last) + grown + 1, size)))
    return tuple(box)


@dataclass(frozen=True, eq=False)
class _Stack:
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
    def of(cls, cases: Sequence[CaseVotes]) -> _Stack:
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
class _Rates:
    """Logarithms of everything that is estimated; rates near 1 keep their digits in the logarithm of what is left.

    Attributes:
        raters: (4, R): log s, log (1 − s), log (1 − q), log q.
        cases: (2, C): log g, log (1 − g).
    """

    raters: Floats
    cases: Floats

    @property
    def sensitivity(self) -> Floats:
        return np.asarray(np.exp(self.raters[0]))

    @property
    def specificity(self) -> Floats:
        return np.asarray(np.exp(self.raters[3]))

    @property
    def log_prevalence(self) -> Floats:
        return np.asarray(self.cases[0])

    def distance(self, other: _Rates) -> float:
        return float(np.abs(np.exp(self.raters) - np.exp(other.raters)).max())


@dataclass(frozen=True, eq=False)
class _Found:
    rates: _Rates
    posterior: Floats
    log_likelihood: float
    iterations: int
    converged: bool


def _iterate(stack: _Stack, voxels: Floats, posterior: Floats, pseudo_count: float, max_iterations: int) -> _Found:
    """Alternate maximisation and expectation; `voxels` may differ from the stack's where a case is left out."""
    rates = _maximisation(stack, voxels, posterior, pseudo_count)
    posterior, value = _expectation(stack, voxels, rates, pseudo_count)
    for iteration in range(2, max_iterations + 1):
        previous, rates = rates, _maximisation(stack, voxels, posterior, pseudo_count)
        posterior, value = _expectation(stack, voxels, rates, pseudo_count)
        if rates.distance(previous) <= _TOLERANCE:
            return _Found(rates, posterior, value, iteration, converged=True)
    return _Found(rates, posterior, value, max_iterations, converged=False)


def _maximisation(stack: _Stack, voxels: Floats, posterior: Floats, pseudo_count: float) -> _Rates:
    inside, outside = voxels * posterior, voxels * (1 - posterior)
    counts = np.stack([inside @ stack.yes, inside @ stack.no, outside @ stack.yes, outside @ stack.no]) + pseudo_count
    hit, miss, wrong, left = counts
    # s < 1 − q: the best pair of rates that keeps s ≥ 1 − q has s = 1 − q, both classes taken together.
    useless = hit * left < wrong * miss
    together = np.stack([hit + wrong, miss + left, hit + wrong, miss + left])
    counts = np.where(useless, together, counts)
    totals = np.stack([counts[0] + counts[1]] * 2 + [counts[2] + counts[3]] * 2)
    sizes = np.stack([stack.per_case(inside), stack.per_case(outside)]) + pseudo_count
    return _Rates(np.log(counts / totals), np.log(sizes / sizes.sum(axis=0)))


def _expectation(stack: _Stack, voxels: Floats, rates: _Rates, pseudo_count: float) -> tuple[Floats, float]:
    """Give the posterior of each pattern under the rates, and the log-likelihood with that of the pseudo-counts."""
    inside = rates.cases[0][stack.case] + stack.yes @ rates.raters[0] + stack.no @ rates.raters[1]
    outside = rates.cases[1][stack.case] + stack.yes @ rates.raters[2] + stack.no @ rates.raters[3]
    value = voxels @ np.logaddexp(inside, outside) + pseudo_count * (rates.raters.sum() + rates.cases.sum())
    return np.asarray(expit(inside - outside), np.float64), float(value)


def _jackknife(stack: _Stack, posterior: Floats, pseudo_count: float, max_iterations: int) -> Floats:
    """Give the standard errors of sensitivities and specificities, (2, R); NaN for raters of one case."""
    without = []
    for number in range(len(stack.drew)):
        voxels = np.where(stack.case == number, 0.0, stack.voxels)
        rates = _iterate(stack, voxels, posterior, pseudo_count, max_iterations).rates
        without.append([rates.sensitivity, rates.specificity])
    errors = np.sqrt((len(without) - 1) * np.array(without).var(axis=0))
    # Without the only case of a rater nothing is left but the pseudo-counts.
    return np.where(stack.drew.sum(axis=0) > 1, errors, np.nan)


def _effect(stack: _Stack, rates: _Rates, errors: Floats, number: int) -> RaterEffect:
    n_cases = int(stack.drew[:, number].sum())
    return RaterEffect(
        sensitivity=float(rates.sensitivity[number]),
        specificity=float(rates.specificity[number]),
        sensitivity_error=float(errors[0, number]) if n_cases > 1 else None,
        specificity_error=float(errors[1, number]) if n_cases > 1 else None,
        n_cases=n_cases,
    )


def _prevalence(ratio: Floats, voxels: NDArray[np.int64], pseudo_count: float) -> float:
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
