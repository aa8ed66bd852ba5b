"""Scores the distribution of a further rater's volume on real radiologists; writes a page of tables and a figure.

Lung nodules of LIDC-IDRI (2-D, so volumes are areas in mm²). Calibrations and distributions are fitted to 8, 40 and all
calibration cases with four radiologists and scored on the test cases with four; then to all calibration cases, scored
on all test cases. No patient is in both splits. The design was chosen by cross-validation within the calibration split.

Run: python experiments/volume_distribution.py [--data DIR] [--out PAGE] [--method NAME] [--method NAME]
DIR holds lidc2d/ and lidc2d_predictions/; by default the environment variable TWINTRACK_DATA, or ../shared/data.
Any method of `tt.fit` can be named; the figure is written beside the page, with the ending .png.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import lidc2d
import numpy as np
import typer
from matplotlib import style
from matplotlib.figure import Figure
from numpy.typing import NDArray

import twintrack as tt
from twintrack.calibration.volumes.distribution import (
    VolumeDistribution,
    VolumeModel,
    VolumeSummary,
    weighted_quantile,
)
from twintrack.cohort import CaseData
from twintrack.errors import TwinTrackWarning
from twintrack.evaluation.bootstrap import Interval, patient_weights, weighted_means
from twintrack.evaluation.scores.coverage import interval_score
from twintrack.evaluation.tables import as_markdown
from twintrack.report.save import save_figure

LEVELS = (0.5, 0.8, 0.9)
SIZES: dict[int | None, int] = {8: 20, 40: 8, None: 1}
"""Numbers of calibration cases, None for all, and how many draws of them are averaged."""
FOLDS = 5
SEED = 0
NEW, AS_FITTED, POOLED, POOLED_OUT, NESTED, POINT = (
    "distribution",
    "distribution, as fitted",
    "pooled ratios",
    "pooled ratios, out of fold",
    "nested raters of the map",
    "expected volume alone",
)
FORECASTS = (NEW, AS_FITTED, POOLED, POOLED_OUT, NESTED, POINT)
BINS = 10


@dataclass(frozen=True, eq=False)
class Known:
    """A case held in memory, and the number of voxels that each of its raters drew."""

    case: tt.Case
    data: CaseData
    drawn: tuple[int, ...]

    @classmethod
    def of(cls, case: tt.Case) -> Known:
        """Read a case."""
        data = case.read()
        drawn = tuple(int(mask.sum()) for mask in data.raters.values())
        in_memory = tt.Case(
            case.id, members=data.members, raters=data.raters, roi=data.roi, grid=data.grid, patient=case.patient
        )
        return cls(in_memory, data, drawn)


@dataclass(frozen=True)
class PooledRatios:
    """Drawn divided by expected volume, for each calibration case one ratio per rater: what is compared with."""

    ratios: tuple[tuple[float, ...], ...]

    @classmethod
    def of(cls, summaries: Sequence[VolumeSummary], drawn: Sequence[tuple[int, ...]]) -> PooledRatios:
        """Learn from cases; those of which nothing is expected are left out."""
        both = zip(summaries, drawn, strict=True)
        return cls(tuple(tuple(volume / one.expected for volume in case) for one, case in both if one.expected > 0))

    @property
    def values(self) -> NDArray[np.float64]:
        """All ratios."""
        return np.array([ratio for case in self.ratios for ratio in case])

    @property
    def weights(self) -> NDArray[np.float64]:
        """Their weights: 1 for each case."""
        return np.array([1 / len(case) for case in self.ratios for _ in case])

    def bounds(self, level: float) -> NDArray[np.float64]:
        """Between which ratios a further rater's is to be expected: quantiles with a weight of 1 beyond either end."""
        n = len(self.ratios)
        inside = (1 - max((1 - level) / 2, 1 / (n + 1))) * (n + 1)
        low, high = (sign * weighted_quantile(sign * self.values, self.weights, inside) for sign in (-1, 1))
        return np.array([low, high])


@dataclass(frozen=True)
class Learnt:
    """What was fitted to some calibration cases: the calibration with its own model, and what folds left out say."""

    calibration: tt.Calibration
    model: VolumeModel
    pooled: PooledRatios
    pooled_out: PooledRatios


@dataclass(frozen=True, eq=False)
class Forecast:
    """A distribution with the intervals that go with it; `level` to low and high."""

    distribution: VolumeDistribution
    intervals: dict[float, tuple[float, float]]


@dataclass(frozen=True, eq=False)
class Scores:
    """Scores of one forecast, a row for each test case; averages over its raters and over the draws.

    Attributes:
        crps: mm² (cases,).
        held: Share of the raters within the interval (cases, levels).
        own: Share of the raters between the distribution's own quantiles (cases, levels).
        width: Width of the intervals, mm² (cases, levels).
        penalty: Interval score at 90 %, mm² (cases,).
        pit: Histogram of the probability integral transform (cases, bins).
        empty: Probability of an empty mask (cases,).
    """

    crps: NDArray[np.float64]
    held: NDArray[np.float64]
    own: NDArray[np.float64]
    width: NDArray[np.float64]
    penalty: NDArray[np.float64]
    pit: NDArray[np.float64]
    empty: NDArray[np.float64]

    @classmethod
    def mean(cls, draws: Sequence[Scores]) -> Scores:
        """Average over draws."""
        return cls(*(np.mean([getattr(one, name) for one in draws], axis=0) for name in cls.__dataclass_fields__))


def main(
    data: Annotated[Path, typer.Option(help="Folder with lidc2d and lidc2d_predictions.")] = lidc2d.DEFAULT_DATA,
    out: Annotated[Path, typer.Option(help="The page to write.")] = Path("docs/evidence/volume_distribution.md"),
    method: Annotated[list[str], typer.Option(help="Methods of calibration.")] = ["identity", "isotonic"],  # noqa: B006
) -> None:
    """Fit on the calibration split, score on the test split, write the page and the figure."""
    # A voxel size outside that of eight cases is no news here.
    warnings.simplefilter("ignore", TwinTrackWarning)
    calibration, test = ([Known.of(case) for case in lidc2d.cohort(data, split)] for split in ("calibration", "test"))
    four, four_test = ([known for known in split if len(known.drawn) == 4] for split in (calibration, test))
    sections = ["<!-- written by experiments/volume_distribution.py -->", INTRODUCTION]
    pits: dict[str, dict[str, NDArray[np.float64]]] = {}
    for name in method:
        found = {size: study(four, four_test, method=name, size=size) for size in SIZES}
        pits[name] = {forecast: found[None][forecast].pit.mean(axis=0) for forecast in (POOLED, NEW)}
        sections += [
            f"## Method {name}, four radiologists: fitted on 8, 40 and {len(four)}, scored on {len(four_test)}",
            overall(found, four_test, n_all=len(four)),
            "These test cases in thirds by the disagreement that the map expects, fitted on all calibration cases:",
            by_ambiguity(found[None], four, four_test, method=name),
            emptiness(found[None][NEW], four_test),
            f"## Method {name}: all cases, fitted on {len(calibration)}, scored on {len(test)}",
            overall({None: study(calibration, test, method=name, size=None)}, test, n_all=len(calibration)),
        ]
    out.parent.mkdir(parents=True, exist_ok=True)
    picture = out.with_suffix(".png")
    save_figure(picture, pit_figure(pits))
    sections += [PIT, f"![Histograms of the probability integral transform]({picture.name})"]
    out.write_text("\n\n".join(sections) + "\n", encoding="utf-8")
    print(out.read_text(encoding="utf-8"))


INTRODUCTION = """\
How well the volume (here the area, mm²) of one further radiologist is foretold. Smaller is better for CRPS, width and
interval score; coverage should come to its level or a little above it, the less above the more cases there are. Draws
of 8 and of 40 cases are averaged. In brackets 95 % intervals by bootstrap over patients; in bold differences whose
interval leaves out 0.

* distribution: `twintrack.calibration.volumes.distribution`, learnt from maps fitted without the case's fold;
* distribution, as fitted: the calibration's own (`tt.fit`), learnt from the cases the map was fitted to;
* pooled ratios: drawn divided by expected volume of the cases the map was fitted to, every case alike;
* pooled ratios, out of fold: the same from maps fitted without the case's fold;
* nested raters of the map: the volumes above thresholds spread evenly between 0 and 1; nothing is learnt;
* expected volume alone: the sum of the responses; its CRPS is the absolute error.

"Own quantiles" is the coverage between the quantiles of the distribution itself, which promise nothing."""

PIT = """\
## Where radiologists' volumes fall in their distributions

Share of the radiologists by tenths of the distribution function at the volume they drew (four radiologists, fitted on
all calibration cases). Flat is calibrated; high at the ends is too narrow."""


def study(fitted_on: list[Known], scored_on: list[Known], *, method: str, size: int | None) -> dict[str, Scores]:
    """Fit to so many cases, as often as `SIZES` says, and score every forecast."""
    rng = np.random.default_rng(SEED)
    draws: dict[str, list[Scores]] = {name: [] for name in FORECASTS}
    for _ in range(SIZES[size]):
        chosen = fitted_on if size is None else [fitted_on[k] for k in rng.choice(len(fitted_on), size, replace=False)]
        learnt = learn(chosen, method=method, rng=rng)
        rows: dict[str, list[Scores]] = {name: [] for name in FORECASTS}
        for known in scored_on:
            drawn = known.data.grid.voxel_volume * np.array(known.drawn)
            for name, forecast in forecasts(learnt, known).items():
                rows[name].append(scored(forecast, drawn))
        for name, found in rows.items():
            fields = Scores.__dataclass_fields__
            draws[name].append(Scores(*(np.array([getattr(one, field) for one in found]) for field in fields)))
    return {name: Scores.mean(found) for name, found in draws.items()}


def learn(cases: list[Known], *, method: str, rng: np.random.Generator) -> Learnt:
    """Fit the calibration to all, and learn of volumes from maps that were fitted without a case's fold."""
    summaries, drawn = [], []
    for fold in folds(cases, rng):
        kept = [known.case for k, known in enumerate(cases) if k not in fold]
        calibration = tt.fit(kept, method=method)
        for known in (cases[k] for k in sorted(fold)):
            summaries.append(VolumeSummary.of(calibration.apply(known.data)))
            drawn.append(known.drawn)
    whole = tt.fit([known.case for known in cases], method=method)
    inside = [VolumeSummary.of(whole.apply(known.data)) for known in cases]
    return Learnt(
        whole,
        VolumeModel.fit(summaries, drawn),
        PooledRatios.of(inside, [known.drawn for known in cases]),
        PooledRatios.of(summaries, drawn),
    )


def folds(cases: list[Known], rng: np.random.Generator) -> Iterator[set[int]]:
    """Cut into folds that share no patient."""
    patients = rng.permutation(sorted({known.case.patient for known in cases}))
    n_folds = min(FOLDS, len(patients))
    number = {patient: k % n_folds for k, patient in enumerate(patients)}
    for fold in range(n_folds):
        yield {k for k, known in enumerate(cases) if number[known.case.patient] == fold}


def forecasts(learnt: Learnt, known: Known) -> dict[str, Forecast]:
    """Foretell the volumes of one case in every way."""
    response, voxel_volume = learnt.calibration.apply(known.data), known.data.grid.voxel_volume
    summary = VolumeSummary.of(response)
    expected = summary.expected * voxel_volume
    by_name = {}
    assert learnt.calibration.volume is not None  # a fit to cases always has a model
    for name, model in ((NEW, learnt.model), (AS_FITTED, learnt.calibration.volume)):
        found = model.distribution(summary, voxel_volume)
        by_name[name] = Forecast(found, {level: found.interval(level)[:2] for level in LEVELS})
    for name, ratios in ((POOLED, learnt.pooled), (POOLED_OUT, learnt.pooled_out)):
        low, high = np.transpose([ratios.bounds(level) * expected for level in LEVELS])
        ends = zip(low.tolist(), high.tolist(), strict=True)
        by_name[name] = Forecast(
            weighted(ratios.values * expected, ratios.weights), dict(zip(LEVELS, ends, strict=True))
        )
    thresholds = (np.arange(100) + 0.5) / 100
    above = response.size - np.searchsorted(np.sort(response, axis=None), thresholds, side="right")
    nested = weighted(above * voxel_volume, np.ones(above.size))
    by_name[NESTED] = Forecast(nested, own_intervals(nested))
    by_name[POINT] = Forecast(weighted([expected], [1.0]), dict.fromkeys(LEVELS, (expected, expected)))
    return by_name


def weighted(
    volume: Sequence[float] | NDArray[np.float64], weight: Sequence[float] | NDArray[np.float64]
) -> VolumeDistribution:
    """Make a distribution of weighted volumes, none of which stands for a further case."""
    order = np.argsort(volume, kind="stable")
    share = np.asarray(weight, float)[order] / np.sum(weight)
    return VolumeDistribution(np.asarray(volume, float)[order], share, np.zeros(order.size, bool), n_cases=0)


def own_intervals(found: VolumeDistribution) -> dict[float, tuple[float, float]]:
    """Give the intervals between a distribution's own quantiles."""
    return {level: (found.quantile((1 - level) / 2), found.quantile((1 + level) / 2)) for level in LEVELS}


def scored(forecast: Forecast, drawn: NDArray[np.float64]) -> Scores:
    """Score one forecast of one case."""
    found, own = forecast.distribution, own_intervals(forecast.distribution)
    low, high = forecast.intervals[LEVELS[-1]]
    return Scores(
        crps=np.mean([found.crps(volume) for volume in drawn]),
        held=np.array([inside(drawn, *forecast.intervals[level]) for level in LEVELS]),
        own=np.array([inside(drawn, *own[level]) for level in LEVELS]),
        width=np.array([np.subtract(*forecast.intervals[level][::-1]) for level in LEVELS]),
        penalty=np.mean([interval_score(low, high, volume, level=LEVELS[-1]) for volume in drawn]),
        pit=np.mean([pit_histogram(found, volume) for volume in drawn], axis=0),
        empty=np.array(found.probability_empty),
    )


def inside(drawn: NDArray[np.float64], low: float, high: float) -> float:
    """Give the share of volumes in an interval; its ends count."""
    slack = 1e-9 * max(high, 1.0)
    return float(np.mean((drawn >= low - slack) & (drawn <= high + slack)))


def pit_histogram(found: VolumeDistribution, volume: float) -> NDArray[np.float64]:
    """Spread one rater evenly from the distribution function just below the volume to that at it.

    Czado, Gneiting, Held (2009), Predictive Model Assessment for Count Data: the histogram of it is flat on average
    if the distribution is calibrated, also where it jumps.
    """
    slack = 1e-9 * max(volume, 1.0)
    low, high = found.cdf(volume - 2 * slack) if volume > 0 else 0.0, found.cdf(volume + slack)
    edges = np.linspace(0, 1, BINS + 1)
    if high - low < 1e-12:
        return np.bincount([min(int(high * BINS), BINS - 1)], minlength=BINS).astype(float)
    return np.diff(np.clip((edges - low) / (high - low), 0, 1))


def overall(found: dict[int | None, dict[str, Scores]], cases: list[Known], *, n_all: int) -> str:
    """One row per number of cases and forecast."""
    weights = patient_weights([known.case.patient for known in cases], seed=SEED)
    rows = []
    for size, scores in found.items():
        for name, one in scores.items():
            gap = "" if name == NEW else interval(scores[NEW].crps - one.crps, weights, mark=True)
            learnt = name not in {NESTED, POINT}
            rows.append(
                [
                    str(size or n_all),
                    name,
                    interval(one.crps, weights),
                    gap,
                    percent(one.held) if name != POINT else "–",
                    percent(one.own) if learnt else "–",
                    " / ".join(f"{width:.0f}" for width in one.width.mean(axis=0)) if name != POINT else "–",
                    f"{one.penalty.mean():.0f}" if name != POINT else "–",
                ]
            )
    header = [
        "cases",
        "forecast",
        "CRPS [95 %]",
        "distribution − it [95 %]",
        "coverage 50 / 80 / 90 %",
        "own quantiles",
    ]
    return as_markdown([*header, "widths", "interval score, 90 %"], rows)


def by_ambiguity(found: dict[str, Scores], fitted_on: list[Known], cases: list[Known], *, method: str) -> str:
    """Coverage and width where the map is clear, in between, and where it is ambiguous."""
    calibration = tt.fit([known.case for known in fitted_on], method=method)
    summaries = [VolumeSummary.of(calibration.apply(known.data)) for known in cases]
    softness = np.array([one.disagreement / one.majority for one in summaries])
    thirds = np.array_split(np.argsort(softness, kind="stable"), 3)
    rows = []
    for label, third in zip(("clear", "between", "ambiguous"), thirds, strict=True):
        for name in (NEW, AS_FITTED, POOLED):
            one = found[name]
            rows.append(
                [
                    f"{label}, D/M {softness[third].min():.2f} to {softness[third].max():.2f}",
                    name,
                    f"{one.crps[third].mean():.2f}",
                    percent(one.held[third]),
                    " / ".join(f"{width:.0f}" for width in one.width[third].mean(axis=0)),
                ]
            )
    return as_markdown(["cases", "forecast", "CRPS", "coverage 50 / 80 / 90 %", "widths"], rows)


def emptiness(found: Scores, cases: list[Known]) -> str:
    """Say how often nothing is drawn, and how often that is foretold."""
    empty = np.array([np.mean(np.array(known.drawn) == 0) for known in cases])
    foretold = f"{100 * found.empty.mean():.2f} %"
    where = "" if not empty.any() else f"; in the cases where it happened {100 * found.empty[empty > 0].mean():.1f} %"
    return f"Empty masks: {100 * empty.mean():.2f} % of the radiologists drew nothing; foretold {foretold}{where}."


def interval(values: NDArray[np.float64], weights: NDArray[np.float64], *, mark: bool = False) -> str:
    """A mean over cases with its bootstrap interval."""
    found = Interval.of(float(values.mean()), weighted_means(weights, values))
    text = f"{found.value:.2f} [{found.low:.2f}, {found.high:.2f}]"
    return f"**{text}**" if mark and not round(found.low, 2) <= 0 <= round(found.high, 2) else text


def percent(shares: NDArray[np.float64]) -> str:
    """Means over cases at the three levels."""
    return " / ".join(f"{100 * share:.0f}" for share in shares.mean(axis=0))


def pit_figure(pits: dict[str, dict[str, NDArray[np.float64]]]) -> Figure:
    """One row of histograms per method: pooled ratios and distribution."""
    with style.context("default"):
        figure = Figure(figsize=(6.4, 2.2 * len(pits) + 0.4), layout="constrained")
        axes = figure.subplots(len(pits), 2, sharex=True, sharey=True, squeeze=False)
        centres = (np.arange(BINS) + 0.5) / BINS
        for row, (method, by_forecast) in zip(axes, pits.items(), strict=True):
            for axis, (name, share) in zip(row, by_forecast.items(), strict=True):
                axis.bar(centres, share, width=0.92 / BINS, color="#4477aa")
                axis.axhline(1 / BINS, color="black", linewidth=0.8, linestyle="--")
                axis.set_title(f"{method}: {name}", fontsize=9)
            row[0].set_ylabel("share of radiologists", fontsize=8)
        for axis in axes[-1]:
            axis.set_xlabel("distribution function at the drawn area", fontsize=8)
    return figure


if __name__ == "__main__":
    typer.run(main)
