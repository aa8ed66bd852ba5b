"""How the volume that a further rater would draw is distributed: learnt from the calibration cases, so that it covers.

What a response map says of volumes before any rater is asked. Let r be the response of a voxel, and let raters be
drawn independently, each labelling the voxel with probability r; what one rater does at different voxels may hang
together in any way. Then, in voxels and exactly,

* E = Σ r is the expected volume of one rater;
* M = Σ r² (3 − 2r) is the expected volume of what at least two of three raters draw. Responses below one half lose
  weight in it, so the long low tail of a calibrated map, which few raters ever draw, moves M less than E;
* D = Σ r (1 − r) is half the number of voxels on which two raters are expected to disagree.

With S = D + 0.02 M (no two raters agree better than that) a volume d drawn by a rater has the score

    z = 2a (√(d + S) − a) / S,  a = √(M + S);  the inverse is  v(z) = max(a + z S / 2a, √S)² − S.

z = 0 at d = M, and for volumes near M it is (d − M) / S: the rater's distance from the majority, in units of the
expected disagreement. Far above, it grows with the root of the volume, so that one case that the networks missed
does not blow up the distributions of all others. M, D and S scale with the number of voxels, z does not: a finer
grid changes nothing.

The scores of the calibration cases are pooled and carried to a new case by v(z): clear cases, with a small D, get
narrow distributions and ambiguous ones wide. Each of the n cases has weight 1, shared equally by its raters, and the
further case weight 1, since its score is not known. For any such score the distribution function lies between

    Σ w 1{v(z) ≤ x} / (n + 1)   and   (Σ w 1{v(z) ≤ x} + 1) / (n + 1).

This is the band of a conformal predictive distribution (Vovk, Shen, Manokhin, Xie 2019, "Nonparametric predictive
distributions based on conformal prediction", Machine Learning 108), for cases that have several raters (Lee, Barber,
Willett, "Distribution-free inference with hierarchical data", arXiv 2306.06342). The distribution given here runs
inside the band: the further case's weight is spread by a logistic distribution of scores about 0. With many cases it
has no say; with few it keeps the tails from ending at the last rater met. Its quartiles, ±1.5, are those of nested
raters who cut a border of even slope at thresholds anywhere between 0 and 1: there D is a sixth of the border's volume,
and the quartiles lie a quarter of it from the middle.

Where D tells nothing of how far raters lie apart, scores measured by it are worse than none. With ten cases or more
that is tried: each case is predicted from the others with S as above and with S = 0.2 E, which gives every case the
same relative spread, and the latter is taken if its CRPS is lower by a tenth. Nothing else is fitted: apart from this
choice the scores of the calibration cases and of a further case are exchangeable if the cases are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Literal, TypeAlias, get_args

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field
from typing_extensions import Self

from twintrack.calibration.volumes.summary import VolumeSummary
from twintrack.errors import CalibrationError, InputError

Spread: TypeAlias = Literal["disagreement", "volume"]
"""What the distance of raters from the majority is measured by: S = D + 0.02 M, or S = 0.2 E."""

FEWEST_TO_CHOOSE = 10
"""With fewer cases the spread is not chosen by them: it is "disagreement"."""

_LEAST_SPREAD = 0.02  # of the majority's volume: what two raters differ by where a map is sure of every voxel
_EVEN_SPREAD = 0.2  # of the expected volume; only its being the same for all cases matters
_MARGIN = 0.1  # by how much "volume" must be better, so that chance rarely decides
_SMALLEST = 0.5  # voxels: what is smaller is no voxel
_ROUNDING = 1e-9  # cases: thirds do not sum to whole numbers
_PRIOR_ATOMS = 50
_PRIOR_SCALE = 1.5 / np.log(3)  # of a logistic distribution with quartiles ±1.5


@dataclass(frozen=True)
class _Link:
    """The way from volumes to scores and back, for one case.

    Attributes:
        majority: M, voxels.
        spread: S, voxels, above 0.
    """

    majority: float
    spread: float

    @classmethod
    def of(cls, summary: VolumeSummary, spread: Spread) -> _Link:
        """Measure by the disagreement or by the volume."""
        if spread == "volume":
            return cls(summary.majority, _EVEN_SPREAD * summary.expected)
        return cls(summary.majority, summary.disagreement + _LEAST_SPREAD * summary.majority)

    def score(self, drawn: Sequence[float]) -> tuple[float, ...]:
        """Give the scores of drawn volumes, in increasing order."""
        middle = np.sqrt(self.majority + self.spread)
        score = 2 * middle * (np.sqrt(np.asarray(drawn, np.float64) + self.spread) - middle) / self.spread
        return tuple(np.sort(score).tolist())

    def volume(self, score: NDArray[np.float64]) -> NDArray[np.float64]:
        """Give the volumes, in voxels, that have these scores; 0 where it is less than half a voxel."""
        middle = np.sqrt(self.majority + self.spread)
        root = np.maximum(middle + score * self.spread / (2 * middle), np.sqrt(self.spread))
        volume = np.square(root) - self.spread
        return np.where(volume < _SMALLEST, 0.0, volume)


@dataclass(frozen=True, eq=False)
class VolumeDistribution:
    """The distribution of the volume that a further rater draws: finitely many volumes, each with a weight.

    Attributes:
        volume: The volumes in increasing order, mm³ (mm² in 2-D), float64.
        weight: Their weights, above 0: 1 for each calibration case and 1 for the further case, so `n_cases` + 1 in all.
        further: bool; which of them belong to the further case.
        n_cases: Number n of calibration cases it rests on.
    """

    volume: NDArray[np.float64]
    weight: NDArray[np.float64]
    further: NDArray[np.bool_]
    n_cases: int

    @property
    def mean(self) -> float:
        """The mean, mm³.

        It need not be the sum of the responses: it is corrected by what the calibration cases' raters drew. A median,
        `quantile(0.5)`, is moved less by single cases.
        """
        return float(self.weight @ self.volume) / (self.n_cases + 1)

    @property
    def probability_empty(self) -> float:
        """Probability that a further rater draws nothing."""
        return self.cdf(0.0)

    def cdf(self, volume: float) -> float:
        """Give the probability that a further rater draws at most a volume.

        Args:
            volume: The volume, mm³.

        Returns:
            The probability, in [0, 1].
        """
        return min(1.0, float(self.weight[self.volume <= volume].sum()) / (self.n_cases + 1))

    def quantile(self, probability: float) -> float:
        """Give the smallest volume that a further rater exceeds with at most 1 − `probability`.

        Args:
            probability: A number in [0, 1].

        Returns:
            The smallest of the volumes at which `cdf` reaches the probability, mm³.

        Raises:
            InputError: If the probability is out of range.
        """
        if not 0 <= probability <= 1:
            raise InputError(f"probability: expected a number from 0 to 1; got {probability}")
        return weighted_quantile(self.volume, self.weight, probability * (self.n_cases + 1))

    def interval(self, level: float) -> tuple[float, float, float]:
        """Give a central interval that holds a further rater's volume at least as often as promised.

        The upper end is the (1 + level)/2 quantile with the further case's weight moved beyond every calibration case's
        volume, the lower end likewise below; the interval is therefore a little wider than that between the
        distribution's own quantiles, by up to a weight of 1 in n + 1 at either end. If the further case and the
        calibration cases are exchangeable, it holds the volume of a rater of the further case, drawn at random, with
        probability `level`, provided that n + 1 ≥ 2/(1 − level). With fewer cases no more than 1 − 2/(n + 1) can be
        promised whatever is done; the interval then reaches at least from the smallest to the largest of the volumes
        that the calibration cases give.

        Args:
            level: The coverage asked for, between 0 and 1.

        Returns:
            Lower end and upper end, mm³, and the coverage promised.

        Raises:
            InputError: If the level is out of range.
        """
        if not 0 < level < 1:
            raise InputError(f"level: expected a number between 0 and 1; got {level}")
        mass = (1 + level) / 2 * (self.n_cases + 1)
        known = self.volume[~self.further]
        smallest, largest = (known[0], known[-1]) if known.size else (np.inf, -np.inf)
        above = np.where(self.further, np.maximum(self.volume, largest), self.volume)
        below = np.where(self.further, np.minimum(self.volume, smallest), self.volume)
        promised = min(level, max(0.0, 1 - 2 / (self.n_cases + 1)))
        return -weighted_quantile(-below, self.weight, mass), weighted_quantile(above, self.weight, mass), promised

    def crps(self, drawn: float) -> float:
        """Give the continuous ranked probability score of this distribution against a volume that was drawn.

        CRPS = E|V − d| − ½ E|V − V′| = ∫ (F(x) − 1{x ≥ d})² dx, with V and V′ independent and of this distribution F.
        Gneiting, Raftery (2007), Strictly Proper Scoring Rules, Prediction, and Estimation, equations 20 and 21. For a
        distribution that is one number it is the absolute error.

        Args:
            drawn: The volume d that a rater drew, mm³.

        Returns:
            The score, mm³; 0 at best.
        """
        weight = self.weight / self.weight.sum()
        reached = np.cumsum(weight)
        # ½ E|V − V′| = Σ w v (F(v) + F(v−) − 1) over the volumes in order.
        half_spread = float((weight * self.volume) @ (2 * reached - weight - 1))
        return max(0.0, float(weight @ np.abs(self.volume - drawn)) - half_spread)


class VolumeModel(BaseModel):
    """What a calibration keeps to say how a further rater's volume is distributed.

    Attributes:
        spread: What scores are measured by.
        scores: For each calibration case whose expected volume is above 0 the scores z of its raters; sorted, so that
            the order of the cases leaves no trace.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    spread: Spread = "disagreement"
    scores: tuple[Annotated[tuple[float, ...], Field(min_length=1)], ...]

    @property
    def n_cases(self) -> int:
        """Number of calibration cases it rests on."""
        return len(self.scores)

    @classmethod
    def fit(cls, summaries: Sequence[VolumeSummary], drawn: Sequence[Sequence[float]]) -> Self:
        """Learn from the calibration cases.

        Pitfall: a map that was fitted to a case follows its raters more closely than those of a new case. Summarise
        each case by the responses of a map that was fitted without it, or at least without its fold and patient; only
        then is a further case exchangeable with these.

        Args:
            summaries: What is kept of each case's response map.
            drawn: For each case the number of voxels that each of its raters drew, at least one rater; their number
                may differ.

        Returns:
            The model. Cases with an expected volume of 0 are left out: for such a case no distribution is given either.

        Raises:
            CalibrationError: If the two do not have the same cases, a case has no rater, or a volume is not a number of
                voxels; the message counts cases from 1.
        """
        _check_drawn(summaries, drawn)
        kept = [(summary, volumes) for summary, volumes in zip(summaries, drawn, strict=True) if summary.expected > 0]
        fitted = {name: [_Link.of(one, name).score(volumes) for one, volumes in kept] for name in get_args(Spread)}
        spread: Spread = "disagreement"
        if len(kept) >= FEWEST_TO_CHOOSE:
            error = {name: _left_out_error(kept, scores, name) for name, scores in fitted.items()}
            if error["volume"] < (1 - _MARGIN) * error["disagreement"]:
                spread = "volume"
        return cls(spread=spread, scores=tuple(sorted(fitted[spread])))

    def distribution(self, summary: VolumeSummary, voxel_volume: float) -> VolumeDistribution:
        """Give the distribution of the volume that a further rater of a case draws.

        Args:
            summary: What is kept of the case's response map.
            voxel_volume: Volume of one voxel in mm³ (`Grid.voxel_volume`).

        Returns:
            The distribution, in mm³.

        Raises:
            CalibrationError: If the expected volume is 0: nothing is then known of what raters may draw.
        """
        if not summary.expected > 0:
            raise CalibrationError(
                "the expected volume is 0, and a volume drawn where nothing is expected cannot be foretold; ask for a "
                "distribution only of cases whose response is above 0 somewhere"
            )
        return _pooled(_Link.of(summary, self.spread), self.scores, voxel_volume)


def _check_drawn(summaries: Sequence[VolumeSummary], drawn: Sequence[Sequence[float]]) -> None:
    if len(summaries) != len(drawn):
        raise CalibrationError(
            f"expected summaries and drawn volumes of the same cases; got {len(summaries)} and {len(drawn)}"
        )
    for number, volumes in enumerate(drawn, start=1):
        if not (len(volumes) and all(0 <= volume < np.inf for volume in volumes)):
            raise CalibrationError(
                f"case {number}: expected the number of voxels that each rater drew, at least one; got {list(volumes)}"
            )


def _prior() -> NDArray[np.float64]:
    """Give the scores among which the further case's weight is shared: mid-quantiles of the logistic distribution."""
    share = (np.arange(_PRIOR_ATOMS) + 0.5) / _PRIOR_ATOMS
    return np.asarray(_PRIOR_SCALE * np.log(share / (1 - share)), np.float64)


def _pooled(link: _Link, scores: Sequence[Sequence[float]], voxel_volume: float) -> VolumeDistribution:
    """Carry the scores of other cases to one case."""
    prior = _prior()
    score = np.concatenate([prior, *map(np.asarray, scores)])
    weight = np.concatenate(
        [np.full(prior.size, 1 / prior.size), *(np.full(len(case), 1 / len(case)) for case in scores)]
    )
    order = np.argsort(score, kind="stable")  # and so of the volumes, which do not decrease with it
    return VolumeDistribution(
        volume=link.volume(score[order]) * voxel_volume,
        weight=weight[order],
        further=order < prior.size,
        n_cases=len(scores),
    )


def _left_out_error(
    cases: Sequence[tuple[VolumeSummary, Sequence[float]]], scores: Sequence[Sequence[float]], spread: Spread
) -> float:
    """Predict each case from the others; give the sum of their mean CRPS, in voxels."""
    total = 0.0
    for left_out, (summary, volumes) in enumerate(cases):
        others = [*scores[:left_out], *scores[left_out + 1 :]]
        found = _pooled(_Link.of(summary, spread), others, 1.0)
        total += float(np.mean([found.crps(volume) for volume in volumes]))
    return total


def weighted_quantile(value: NDArray[np.float64], weight: NDArray[np.float64], mass: float) -> float:
    """Give the smallest value up to which the weights sum to at least `mass`, which is at most their sum."""
    order = np.argsort(value, kind="stable")
    where = int(np.searchsorted(np.cumsum(weight[order]), mass - _ROUNDING))
    return float(value[order[min(where, value.size - 1)]])
