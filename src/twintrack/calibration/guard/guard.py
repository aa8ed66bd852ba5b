"""Knowing when a calibration does not apply: flags a case whose predictions are unlike those of the calibration cases.

A calibration is right for cases like those it was fitted on. Whether a new case is like them shows, without any rater,
in what its members say: `CaseSummary`. Seven comparisons are made, each so that one case in 140 that is like the others
is flagged (`twintrack.calibration.guard.limits` says with which promise), hence at most one in twenty by any of them:

* its volume V;
* the width of its unsure border: Σp(1 − p) over the surface of the ball (disk) of volume V. Unlike the share of unsure
  probability it does not depend on size; it grows where probabilities are softened, or the image is zoomed;
* its share of unsure probability, U, given V and the disagreement D of its members. The calibration cases are easy and
  hard ones, and both U and D differ much between them, but not without each other: sharpened or softened probabilities
  change U and leave D nearly as it is;
* D / U, given V: one member that belongs to another case, or the same member given twice;
* the width of the border, given D: a wrong voxel size;
* the largest probability, upwards only: one that is small is a hard case, which is no news;
* the histogram of the probabilities, by its distance (total variation) to that of the most similar calibration case.

Comparisons are of logarithms (of the largest probability the logit), whose scatter is nearer to normal. With one member
those that need D are left out, and U is compared given V.

Pitfall: sums over cases hide shifts that keep them. That no case is flagged does not say that a calibration applies.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import scipy
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field
from typing_extensions import Self

from twintrack.calibration.guard.case_summary import FLOOR, CaseSummary
from twintrack.calibration.guard.limits import prediction_interval, upper_limit

FALSE_ALARMS = 0.05
"""How often a case that is like the calibration cases may be flagged."""

FEWEST = 5
"""Fewer calibration cases say too little of what is usual: nothing is compared."""

N_COMPARISONS = 7
"""Comparisons among which the false alarms are shared."""

ALPHA = FALSE_ALARMS / N_COMPARISONS
"""How often a single comparison may flag such a case."""

_LEAST_SPREAD = 0.05  # of logarithms: calibration cases may be alike by chance, not to less than 5 %
_LEAST_SPREAD_UP = 0.1  # of logits and of logarithms of distances
_LEAST_SHARE = 1e-4  # of U and D, before a logarithm is taken
_SURE = 1 - 1e-4  # largest probability that is told from larger ones
_NEAR = 0.02  # total variation that is added before a logarithm is taken: histograms as near as that are equal


@dataclass(frozen=True)
class _Comparison:
    """A quantity, and what it is compared given; all by name of `_quantities`."""

    quantity: str
    given: tuple[str, ...] = ()


_OF_SEVERAL_MEMBERS = (
    _Comparison("volume"),
    _Comparison("border"),
    _Comparison("unsure", ("volume", "disagreement")),
    _Comparison("ratio", ("volume",)),
    _Comparison("border", ("disagreement",)),
)
_OF_ONE_MEMBER = (_Comparison("volume"), _Comparison("border"), _Comparison("unsure", ("volume",)))

_WORDS = {
    "volume": "its predicted volume is {value} {volume}",
    "border": "its border is unsure over {value} {length}",
    "unsure": "the unsure share of its probability, Σp(1 − p)/Σp, is {value}",
    "ratio": "its members' disagreement is {value} of its unsure probability",
}
_UNITS = {1: ("mm", "mm"), 2: ("mm²", "mm"), 3: ("mm³", "mm")}


class ShiftGuard(BaseModel):
    """What the calibration cases looked like without their raters, and whether a further case looks like them.

    Attributes:
        cases: Their summaries, sorted, so that the order of the cases leaves no trace; no names.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    cases: tuple[CaseSummary, ...] = Field(min_length=1)

    @classmethod
    def of(cls, summaries: Iterable[CaseSummary]) -> Self:
        """Keep the summaries of the calibration cases.

        Args:
            summaries: At least one, in any order.

        Returns:
            The guard.
        """
        return cls(cases=tuple(sorted(summaries, key=lambda case: case.model_dump_json())))

    @property
    def compares(self) -> bool:
        """Whether there are enough cases to compare with."""
        return len(self.cases) >= FEWEST

    def flags(self, summary: CaseSummary) -> list[str]:
        """Say in what a case is unlike the calibration cases.

        Args:
            summary: The case's.

        Returns:
            The reasons, in words; none where it is like them, or there are fewer than `FEWEST` to compare with.
        """
        if not self.compares:
            return []
        predicted = [case for case in self.cases if not case.empty]
        if summary.empty:
            every = len(predicted) == len(self.cases)
            return [f"nothing was predicted: no probability reaches {FLOOR:g}; in every fitted case some did"] * every
        return [
            *_dimensions(summary, self.cases),
            *_quantity_flags(summary, predicted),
            *_peak_flags(summary, predicted),
            *_histogram_flags(summary, predicted),
        ]


def _dimensions(summary: CaseSummary, cases: Sequence[CaseSummary]) -> Iterator[str]:
    found = sorted({case.dimensions for case in cases})
    if summary.dimensions not in found:
        yield f"it has {summary.dimensions} dimensions, the fitted cases {' or '.join(map(str, found))}"


def _quantity_flags(summary: CaseSummary, cases: Sequence[CaseSummary]) -> Iterator[str]:
    """Compare volume, border and sureness; each quantity is spoken of once."""
    kind = (summary.measured, summary.dimensions)
    alike = [case for case in cases if (case.measured, case.dimensions) == kind]
    several = [case for case in alike if case.disagreement is not None]
    comparisons: tuple[_Comparison, ...] = _OF_ONE_MEMBER
    if summary.disagreement is not None and len(several) >= FEWEST:
        alike, comparisons = several, _OF_SEVERAL_MEMBERS
    if len(alike) < FEWEST:
        return
    fitted, here = _quantities(alike), {name: found[0] for name, found in _quantities([summary]).items()}
    spoken_of = set[str]()
    for one in comparisons:
        given = np.array([fitted[name] for name in one.given]).reshape(len(one.given), len(alike)).T
        at = np.array([here[name] for name in one.given])
        interval = prediction_interval(fitted[one.quantity], given, at, alpha=ALPHA, least=_LEAST_SPREAD)
        if interval is None or interval[0] <= here[one.quantity] <= interval[1] or one.quantity in spoken_of:
            continue
        spoken_of.add(one.quantity)
        yield _in_words(one, here[one.quantity], interval, summary)


def _quantities(cases: Sequence[CaseSummary]) -> dict[str, NDArray[np.float64]]:
    """Give the logarithms that are compared, (n,) each; those of the disagreement only where all cases have one."""
    volume = np.log([case.volume for case in cases])
    unsure = np.log([max(case.unsure, _LEAST_SHARE) for case in cases])
    dimensions = np.array([case.dimensions for case in cases])
    # Of a ball of radius R in d dimensions the volume is R / d times the surface.
    ball = np.array([{1: 2.0, 2: np.pi, 3: 4 * np.pi / 3}[d] for d in dimensions])
    found = {
        "volume": volume,
        "unsure": unsure,
        "border": unsure + (volume - np.log(ball)) / dimensions - np.log(dimensions),
    }
    shares = [case.disagreement for case in cases]
    if None not in shares:
        found["disagreement"] = np.log([max(share or 0.0, _LEAST_SHARE) for share in shares])
        found["ratio"] = found["disagreement"] - unsure
    return found


def _in_words(one: _Comparison, value: float, interval: tuple[float, float], summary: CaseSummary) -> str:
    volume, length = _UNITS[summary.dimensions] if summary.measured else ("voxels", "voxels")
    what = _WORDS[one.quantity].format(value=f"{np.exp(value):.3g}", volume=volume, length=length)
    given = f" of its {' and '.join(one.given)}" if one.given else ""
    low, high = np.exp(interval)
    return f"{what}; fitted cases{given} let expect {low:.3g} to {high:.3g}"


def _peak_flags(summary: CaseSummary, cases: Sequence[CaseSummary]) -> Iterator[str]:
    """Compare the largest probability; its scatter is taken from the larger half, since hard cases make a long tail."""
    if len(cases) < FEWEST:
        return
    values = scipy.special.logit([min(case.peak, _SURE) for case in cases])
    middle = float(np.median(values))
    upper = values[values >= middle] - middle
    limit = upper_limit(
        values,
        centre=middle,
        spread=float(np.sqrt(upper @ upper / upper.size)),
        freedom=values.size / 2,
        alpha=ALPHA,
        least=_LEAST_SPREAD_UP,
    )
    if scipy.special.logit(min(summary.peak, _SURE)) > limit:
        most = scipy.special.expit(limit)
        yield f"its largest probability is {summary.peak:.6g}; fitted cases let expect at most {most:.6g}"


def _histogram_flags(summary: CaseSummary, cases: Sequence[CaseSummary]) -> Iterator[str]:
    """Compare the histogram's distance to the nearest one with the distances of the calibration cases to theirs."""
    if len(cases) < FEWEST:
        return
    fitted = np.array([case.histogram for case in cases])
    here = float(_variation(np.array([summary.histogram]), fitted).min())
    between = _variation(fitted, fitted)
    np.fill_diagonal(between, np.inf)
    distances = np.log(between.min(axis=1) + _NEAR)
    limit = upper_limit(
        distances,
        centre=float(distances.mean()),
        spread=float(distances.std(ddof=1)),
        # Neighbours share a distance: n cases have little more than n / 2 of them.
        freedom=distances.size / 2 - 1,
        alpha=ALPHA,
        least=_LEAST_SPREAD_UP,
    )
    if np.log(here + _NEAR) > limit:
        yield (
            f"{here:.0%} of its probability is distributed otherwise than in the fitted case most like it; "
            f"at most {np.exp(limit) - _NEAR:.0%} is to be expected"
        )


def _variation(histograms: NDArray[np.float64], others: NDArray[np.float64]) -> NDArray[np.float64]:
    """Give the total variation distance (n, m) of histograms (n, B) to others (m, B)."""
    return np.asarray(scipy.spatial.distance.cdist(histograms, others, "cityblock") / 2)
