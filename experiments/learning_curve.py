"""Checks the intervals of `twintrack sample-size` on cohorts drawn from many real cases; writes learning_curve.md.

Lung nodules as in lidc2d.py, those of the calibration and the test split that four radiologists drew: the population.
Cohorts of 40 patients are drawn from it, and each has its learning curve measured as if it were all there is. How much
these curves differ is then held against the intervals that each gave by itself. Cohorts share patients, so their
standard deviation is divided by √(1 − patients of a cohort / patients of the population).

Run: python experiments/learning_curve.py [--data DIR] [--out docs/evidence/learning_curve.md] [--method NAME …]
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import lidc2d
import numpy as np
import typer
from numpy.typing import NDArray

from twintrack.calibration.learning.answer import Estimate
from twintrack.calibration.learning_curve import LearningCurve, curve_of_samples
from twintrack.calibration.sample import CaseSample
from twintrack.evaluation.tables import as_markdown

METHODS = ("temperature", "isotonic")
"""Methods that are fast enough to be fitted some ten thousand times."""
SIZES = (4, 8, 16, 40)
PATIENTS, COHORTS = 40, 60
REPEATS, TRUE_REPEATS = 4, 20
RATERS = 4
WIDTH = 2 * 1.96


def main(
    data: Annotated[Path, typer.Option(help="Folder with lidc2d and lidc2d_predictions.")] = lidc2d.DEFAULT_DATA,
    out: Annotated[Path, typer.Option(help="The page to write.")] = Path("docs/evidence/learning_curve.md"),
    method: Annotated[list[str] | None, typer.Option(help="Method; may be given several times.")] = None,
    seed: Annotated[int, typer.Option(help="Seed of the cohorts.")] = 0,
) -> None:
    """Draw cohorts, measure their curves, write the page."""
    population = samples(data)
    sections = [introduction(population)]
    for name in method or METHODS:
        drawn = cohorts(population, seed)
        curves = [
            curve_of_samples(one, method=name, sizes=SIZES, repeats=REPEATS, seed=k) for k, one in enumerate(drawn)
        ]
        sections.append(section(name, curves, population))
        print(sections[-1], flush=True)
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text("\n\n".join(sections) + "\n", encoding="utf-8")


def samples(data: Path) -> list[CaseSample]:
    """Read the population."""
    cases = [case for split in ("calibration", "test") for case in lidc2d.cohort(data, split)]
    return [CaseSample.of(case, case.read()) for case in cases if len(case.raters) == RATERS]


def cohorts(population: list[CaseSample], seed: int) -> list[list[CaseSample]]:
    """Draw patients, without replacement within a cohort; cohorts with too few cases for `SIZES` are drawn again."""
    patients = sorted({sample.patient for sample in population})
    drawn: list[list[CaseSample]] = []
    rng = np.random.default_rng(seed)
    while len(drawn) < COHORTS:
        chosen = set(rng.permutation(patients)[:PATIENTS])
        cohort = [sample for sample in population if sample.patient in chosen]
        if 1.3 * max(SIZES) <= len(cohort) <= 2 * max(SIZES):
            drawn.append(cohort)
    return drawn


def introduction(population: list[CaseSample]) -> str:
    """Say what was done."""
    n_patients = len({sample.patient for sample in population})
    return f"""<!-- written by experiments/learning_curve.py -->

# What the intervals of a learning curve cover

{COHORTS} cohorts of {PATIENTS} patients, drawn from {len(population)} nodules of {n_patients} patients with {RATERS}
radiologists each; every cohort's curve is measured as if it were all there is. "Between cohorts" is the standard
deviation of what the cohorts found, corrected for the patients they share; "claimed" the mean width of their 95 %
intervals over {WIDTH}; "held" the share of intervals that hold the mean of all cohorts."""


def section(name: str, curves: list[LearningCurve], population: list[CaseSample]) -> str:
    """Compare what the cohorts found with what each claimed."""
    sampled = PATIENTS / len({sample.patient for sample in population})
    rows = [
        [f"criterion, {n} cases", *compared([curve.sizes[k].criterion for curve in curves], sampled)]
        for k, n in enumerate(SIZES)
    ]
    told = [curve for curve in curves if curve.answer.forecasts]
    rows.append(["gain of twice as many", *compared([curve.answer.forecasts[-1].gain for curve in told], sampled)])
    n = round(float(np.mean([curve.n_cases for curve in curves])))
    whole = curve_of_samples(population, method=name, sizes=(n, 2 * n), repeats=TRUE_REPEATS)
    once, twice = (point.criterion.value for point in whole.sizes)
    gains = np.array([[curve.answer.forecasts[-1].gain.low, curve.answer.forecasts[-1].gain.high] for curve in told])
    return "\n\n".join(
        [
            f"## {name}",
            as_markdown(["", "mean", "between cohorts", "claimed", "held"], rows),
            f"From {n} to {2 * n} cases the whole population gains {once - twice:.4f}; "
            f"{100 * share(gains, once - twice):.0f} % of the cohorts' intervals hold it, and {len(told)} of "
            f"{len(curves)} cohorts gave one.",
        ]
    )


def compared(found: list[Estimate], sampled: float) -> list[str]:
    """Give mean, standard deviation between cohorts, the claimed one, and the share of intervals that hold the mean."""
    values = np.array([one.value for one in found])
    bounds = np.array([[one.low, one.high] for one in found])
    between = values.std(ddof=1) / np.sqrt(1 - sampled)
    claimed = float(np.diff(bounds, axis=1).mean()) / WIDTH
    held = share(bounds, float(values.mean()))
    return [f"{values.mean():.4f}", f"{between:.4f}", f"{claimed:.4f}", f"{100 * held:.0f} %"]


def share(bounds: NDArray[np.float64], value: float) -> float:
    """Give the share of intervals (n, 2) that hold a value."""
    return float(np.mean((bounds[:, 0] <= value) & (value <= bounds[:, 1])))


if __name__ == "__main__":
    typer.run(main)
