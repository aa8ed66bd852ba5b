"""Calibrates on few cases and on many, and scores each method on cases of other patients: the tables of few_cases.md.

Lung nodules as in lidc2d.py, those that four radiologists drew. Calibrations are fitted to n cases drawn at random from
the calibration split, n = 8 (20 draws), 16 and 40 (10 draws each) and all; everything is scored on all of the test
split. No patient is in both, and nothing was chosen by looking at the test split.

The ceiling is what the case-aware map reaches when it is fitted, nearly freely, to the test cases themselves.

Run: python experiments/few_cases.py [--data DIR] [--out docs/evidence/few_cases.md] [--method auto …]
Its three figures are written beside the page.
"""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import add
from pathlib import Path
from typing import Annotated, Any

import few_cases_figures
import lidc2d
import numpy as np
import typer
from numpy.typing import NDArray

import twintrack as tt
from twintrack.calibration.conditional.fit import fit_conditional
from twintrack.calibration.conditional.reference import shipped_reference
from twintrack.calibration.sample import CaseSample
from twintrack.calibration.selection.candidates import VOLUMES
from twintrack.calibration.uncertainty import REPLICATES
from twintrack.cohort import CaseData
from twintrack.errors import TwinTrackWarning
from twintrack.evaluation.protocols.statistics import collect
from twintrack.evaluation.tables import as_markdown
from twintrack.report.save import save_figure

METHODS = ("temperature", "isotonic", "conditional", "auto")
SIZES = {8: 20, 16: 10, 40: 10}
"""Number of calibration cases, and of draws."""
RATERS = 4
SCORES = ("MSE ×10³", "MHR-ECE pooled %", "MHR-ECE per case %", "rater ECE %", "CRPS px", "thresh-DSC")
HIGHER_IS_BETTER = np.array([False, False, False, False, False, True])
WORSE = 0.05
"""Relative; a draw in which more than one score is worse than raw by more is counted."""
UNCHOSEN_PRIOR = 100.0
"""Cases that the reference counts as where nothing is chosen."""
CEILING_PRIOR = 0.01
"""Cases that the identity counts as where the map is fitted to the test cases."""
FIGURES = """## Figures

![Response by probability]({stem}_curves.png)

Response by probability, fitted to the first draw of {fewest} cases and to all {most}, with the band that holds 90 %
of the maps of other draws of the patients. A case-aware map is no curve: drawn is its mean response at the test cases'
voxels.

![Volumes]({stem}_volumes.png)

Each test case's expected volume (fitted to {most} cases) against what its radiologists drew.

![Scores by number of cases]({stem}_learning.png)

The six scores by number of calibration cases: mean and standard deviation over the draws."""


@dataclass(frozen=True)
class Drawn:
    """What came of several draws of one size.

    Attributes:
        scores: (draws, scores).
        chosen: The candidate chosen in each draw, where there was a choice.
        first: The calibration of the first draw.
    """

    scores: NDArray[np.float64]
    chosen: tuple[str, ...]
    first: tt.Calibration


def main(
    data: Annotated[Path, typer.Option(help="Folder with lidc2d and lidc2d_predictions.")] = lidc2d.DEFAULT_DATA,
    out: Annotated[Path, typer.Option(help="The page to write.")] = Path("docs/evidence/few_cases.md"),
    method: Annotated[list[str] | None, typer.Option(help="Method; may be given several times.")] = None,
    seed: Annotated[int, typer.Option(help="Seed of the draws.")] = 0,
) -> None:
    """Draw, fit, score and write the page."""
    # Few cases are soon unlike others; experiments/shift_guard.py is about that.
    warnings.simplefilter("ignore", TwinTrackWarning)
    calibration, test = (in_memory(lidc2d.cohort(data, split)) for split in ("calibration", "test"))
    read = [case.read() for case in test]
    raw = score(read, [one.probability() for one in read])
    sections = [introduction(len(calibration), len(test))]
    every: dict[int, dict[str, Drawn]] = {}
    for n, draws in {**SIZES, len(calibration): 1}.items():
        every[n] = {}
        for name in method or METHODS:
            every[n][name] = draw(calibration, read, name, n=n, draws=draws, seed=seed)
            print(f"n = {n}, {name}: {np.round(every[n][name].scores.mean(axis=0), 3)}", flush=True)
        sections.append(section(n, draws, raw, every[n]))
    samples = [CaseSample.of(case, one) for case, one in zip(test, read, strict=True)]
    fitted_to = [CaseSample.of(case, case.read()) for case in calibration]
    sections.append(unchosen(fitted_to, read, raw, sizes=(40, len(calibration)), seed=seed))
    sections.extend([ceiling(samples, read, raw), figures(out, every, samples, read, raw)])
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text("\n\n".join(sections) + "\n", encoding="utf-8")


def in_memory(cohort: tt.Cohort) -> list[tt.Case]:
    """Read the cases that four radiologists drew, once."""
    found = []
    for case in cohort:
        if len(case.raters) == RATERS:
            data = case.read()
            found.append(
                tt.Case(case.id, members=data.members, raters=data.raters, grid=data.grid, patient=case.patient)
            )
    return found


def draw(
    calibration: Sequence[tt.Case], test: Sequence[CaseData], method: str, *, n: int, draws: int, seed: int
) -> Drawn:
    """Fit to several draws and score each."""
    rows, chosen, first = [], [], None
    for some in drawn_cases(len(calibration), n=n, draws=draws, seed=seed):
        fitted = tt.fit([calibration[i] for i in some], method=method, replicates=0 if first else REPLICATES)
        first = first or fitted
        rows.append(score(test, [fitted.apply(one) for one in test]))
        if fitted.selection is not None:
            chosen.append(fitted.selection.chosen)
    if first is None:
        raise ValueError("expected at least one draw")
    return Drawn(np.array(rows), tuple(chosen), first)


def drawn_cases(n_all: int, *, n: int, draws: int, seed: int) -> list[NDArray[np.intp]]:
    """Draw cases: the same for every method."""
    return [np.random.default_rng([seed, n, k]).choice(n_all, n, replace=False) for k in range(draws)]


def score(cases: Sequence[CaseData], maps: Iterable[NDArray[np.float32]]) -> NDArray[np.float64]:
    """Give the six scores, in the order of `SCORES`; volumes in pixels."""
    found = [
        collect(np.ascontiguousarray(map_), list(case.raters.values()), voxel_volume=1.0)
        for case, map_ in zip(cases, maps, strict=True)
    ]
    each = [one.scores() for one in found]
    pooled: Any = reduce(add, (one.width for one in found))

    def mean(name: str) -> float:
        return float(np.mean([one[name] for one in each]))

    return np.array(
        [
            1e3 * mean("mse"),
            100 * pooled.calibration_error(),
            100 * mean("mhr_ece"),
            100 * mean("rater_ece"),
            mean("crps_gaussian"),
            mean("thresh_dsc"),
        ]
    )


def introduction(n_calibration: int, n_test: int) -> str:
    """Say what was done."""
    return f"""<!-- written by experiments/few_cases.py -->

# Calibrating on few cases

Nodules that {RATERS} radiologists drew, three small U-Nets. Fitted to cases drawn from the {n_calibration} of the
calibration split, scored on all {n_test} of the test split (other patients); means over the draws ± their standard
deviation, and in brackets the change of the mean from the raw ensemble. "Bad draws": draws in which more than one score
is worse than raw by more than {100 * WORSE:.0f} %."""


def section(n: int, draws: int, raw: NDArray[np.float64], found: dict[str, Drawn]) -> str:
    """Give the table of one size."""
    rows = [["raw ensemble", *(number(value) for value in raw), ""]]
    for name, one in found.items():
        mean, spread = one.scores.mean(axis=0), one.scores.std(axis=0)
        cells = [
            f"{number(value)} ± {number(width)} ({change(value, base)})" if draws > 1 else cell(value, base)
            for value, width, base in zip(mean, spread, raw, strict=True)
        ]
        rows.append([name, *cells, f"{bad_draws(one.scores, raw)} of {draws}"])
    parts = [f"## {n} calibration cases", as_markdown(["", *SCORES, "bad draws"], rows)]
    if "auto" in found:
        times = Counter(found["auto"].chosen).most_common()
        parts.append("Chosen by auto: " + "; ".join(f"{name} ({count}×)" for name, count in times) + ".")
    return "\n\n".join(parts)


def bad_draws(scores: NDArray[np.float64], raw: NDArray[np.float64]) -> int:
    """Count draws with more than one score worse than raw by more than `WORSE`."""
    worse = np.where(HIGHER_IS_BETTER, raw - scores, scores - raw) / raw > WORSE
    return int((worse.sum(axis=1) > 1).sum())


def unchosen(
    calibration: Sequence[CaseSample],
    read: Sequence[CaseData],
    raw: NDArray[np.float64],
    *,
    sizes: Sequence[int],
    seed: int,
) -> str:
    """Fit the case-aware map with each volume, drawn to the reference, whatever leaving cases out says."""
    rows = []
    for n in sizes:
        draws = drawn_cases(len(calibration), n=n, draws=SIZES.get(n, 1), seed=seed)
        for volume in VOLUMES:
            scores = []
            for some in draws:
                samples = [calibration[i] for i in some]
                fitted = fit_conditional(
                    samples, shipped_reference(), prior_cases=UNCHOSEN_PRIOR, volume=volume, towards="reference"
                )
                scores.append(score(read, [fitted.respond(one, one.probability()) for one in read]))
            mean = np.mean(scores, axis=0)
            rows.append([f"{n} cases, volume {volume:g}", *map(cell, mean, raw)])
    return (
        "## Without the choice\n\nThe case-aware map drawn to the reference "
        f"(which counts as {UNCHOSEN_PRIOR:g} cases), by how far its volumes replace the ensemble's.\n\n"
        + as_markdown(["", *SCORES], rows)
    )


def ceiling(samples: Sequence[CaseSample], read: Sequence[CaseData], raw: NDArray[np.float64]) -> str:
    """Fit the case-aware map to the test cases themselves."""
    rows = []
    for volume in VOLUMES:
        fitted = fit_conditional(samples, shipped_reference(), prior_cases=CEILING_PRIOR, volume=volume)
        found = score(read, [fitted.respond(one, one.probability()) for one in read])
        rows.append([f"volume {volume:g}", *(cell(value, base) for value, base in zip(found, raw, strict=True))])
    return (
        "## The ceiling\n\nThe case-aware map fitted to the test cases themselves: what is left to gain with these "
        "features.\n\n" + as_markdown(["", *SCORES], rows)
    )


def figures(
    out: Path,
    every: dict[int, dict[str, Drawn]],
    samples: Sequence[CaseSample],
    read: Sequence[CaseData],
    raw: NDArray[np.float64],
) -> str:
    """Draw the figures beside the page, and give what the page says of them."""
    fewest, most = min(every), max(every)
    shown = [name for name in ("isotonic", "auto") if name in every[most]]
    curves = {n: {name: every[n][name].first for name in shown} for n in (fewest, most)}
    volumes = {"raw ensemble": [one.probability() for one in read]}
    volumes.update({name: [every[most][name].first.apply(one) for one in read] for name in shown})
    drawn = [np.array([np.count_nonzero(mask) for mask in one.raters.values()], float) for one in read]
    expected = {name: np.array([float(map_.sum()) for map_ in maps]) for name, maps in volumes.items()}
    scores = {n: {name: one.scores for name, one in of_size.items()} for n, of_size in every.items()}
    drawings = {
        "curves": few_cases_figures.curves_figure(curves, samples),
        "volumes": few_cases_figures.volumes_figure(drawn, expected),
        "learning": few_cases_figures.learning_figure(SCORES, raw, scores),
    }
    for name, drawing in drawings.items():
        save_figure(out.with_name(f"{out.stem}_{name}.png"), drawing, dpi=100)
    return FIGURES.format(stem=out.stem, fewest=fewest, most=most)


def cell(value: float, base: float) -> str:
    """Give a score and its change from raw."""
    return f"{number(value)} ({change(value, base)})"


def change(value: float, base: float) -> str:
    """Give the change from raw in per cent."""
    return f"{100 * (value / base - 1):+.1f} %"


def number(value: float) -> str:
    """Round."""
    return f"{value:.3f}" if value < 10 else f"{value:.2f}"


if __name__ == "__main__":
    typer.run(main)
