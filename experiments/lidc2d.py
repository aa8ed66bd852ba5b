"""Scores every method on real radiologists and real networks, and writes the tables of docs/evidence.md.

Lung nodules of LIDC-IDRI (2-D crops, 2 to 4 radiologists each) with three small networks trained on one radiologist.
Calibrations are fitted on the calibration split and scored on the test split; no patient is in both, and nothing
here is chosen by looking at the test split.

Run: python experiments/lidc2d.py [--data DIR] [--out docs/evidence/lidc2d.md]
DIR holds lidc2d/ and lidc2d_predictions/; by default the environment variable TWINTRACK_DATA, or ../shared/data.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from numpy.typing import NDArray

import twintrack as tt
from twintrack.evaluation.protocols.response import POOLED, SCORES
from twintrack.evaluation.tables import as_markdown

VARIANTS: dict[str, dict[str, Any]] = {
    "temperature": {"method": "temperature"},
    "platt": {"method": "platt"},
    "beta": {"method": "beta"},
    "histogram": {"method": "histogram"},
    "isotonic": {"method": "isotonic"},
    "isotonic, exact": {"method": "isotonic", "exact": True},
    "centered-isotonic": {"method": "centered-isotonic"},
    "isotonic, cases alike": {"method": "isotonic", "weighting": "cases"},
    "isotonic to the majority": {"method": "isotonic", "target": "majority"},
    "isotonic to STAPLE": {"method": "isotonic", "target": "staple"},
    "isotonic to rater 1": {"method": "isotonic", "target": "rater:1"},
}
SHOWN = [score for score in (*SCORES, *POOLED) if score.name != "volume_error"]
SCALE = {
    "mse": 1e3,
    "mhr_ece": 100,
    "mhr_ece_mass": 100,
    "rater_ece": 100,
    "pooled_mhr_ece": 100,
    "pooled_mhr_ece_mass": 100,
}
UNIT = {"mse": "×10³", "crps_gaussian": "mm³", "crps_empirical": "mm³"}
DEFAULT_DATA = Path(os.environ.get("TWINTRACK_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))


def main(
    data: Annotated[Path, typer.Option(help="Folder with lidc2d and lidc2d_predictions.")] = DEFAULT_DATA,
    out: Annotated[Path, typer.Option(help="The page to write.")] = Path("docs/evidence/lidc2d.md"),
) -> None:
    """Fit on the calibration split, score on the test split, write the page."""
    calibration, test = cohort(data, "calibration"), cohort(data, "test")
    four = tt.Cohort(case for case in test if len(case.raters) == 4)
    four_fit = tt.Cohort(case for case in calibration if len(case.raters) == 4)
    sections = [
        section("All cases", calibration, test),
        section("Cases with four radiologists", four_fit, four),
    ]
    sections.append(quantisation(four_fit))
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text("\n\n".join(["<!-- written by experiments/lidc2d.py -->", *sections]) + "\n", encoding="utf-8")
    print(out.read_text(encoding="utf-8"))


def cohort(data: Path, split: str) -> tt.Cohort:
    """Find one split."""
    return tt.find_cohort(
        raters=[data / "lidc2d"],
        members=[data / "lidc2d_predictions"],
        cases=data / "lidc2d" / "cases.csv",
        split=split,
    )


def patient_groups(cases: Sequence[tt.Case], n: int) -> NDArray[np.intp]:
    """Divide the patients into n groups at random; give the group of each case."""
    names, patient = np.unique([case.patient for case in cases], return_inverse=True)
    of_name = np.empty(names.size, np.intp)
    of_name[np.random.default_rng(0).permutation(names.size)] = np.arange(names.size) % n
    return of_name[patient]


def section(title: str, fitted_on: tt.Cohort, scored_on: tt.Cohort) -> str:
    """Fit and score every variant; give the tables in Markdown."""
    found = {
        name: tt.evaluate(scored_on, calibration=tt.fit(fitted_on, **options)).summary
        for name, options in VARIANTS.items()
    }
    patients = next(iter(found.values()))["n_patients"]
    lines = [
        f"## {title}",
        f"Fitted on {len(fitted_on)} cases, scored on {len(scored_on)} cases of {patients} patients. In bold: better "
        "than raw with the 95 % interval of the paired difference (bootstrap over patients) on one side of 0; in "
        "italics: worse likewise.",
        table(found),
        "Paired differences to raw with their intervals, and the share of cases that improved:",
        difference_table(found),
    ]
    return "\n\n".join(lines)


def quantisation(fitted_on: tt.Cohort) -> str:
    """Say how far isotonic on levels is from isotonic on single probabilities."""
    levels, single = (tt.fit(fitted_on, method="isotonic", exact=exact) for exact in (False, True))
    p = np.concatenate([case.read().probability().ravel() for case in fitted_on])
    gap = float(np.sqrt(np.mean((levels.map(p) - single.map(p)) ** 2)))
    return (
        "## Levels and single probabilities\n\nIsotonic on levels differs from isotonic on single probabilities by "
        f"{gap:.1e} (root mean square over the {p.size:,} voxels of the {len(fitted_on)} calibration cases with four "
        "radiologists)."
    )


def table(found: dict[str, dict[str, Any]]) -> str:
    """One row per variant, one column per score."""
    names = [f"{score.label} {unit(score.name)}".strip() for score in SHOWN]
    rows = [
        [
            "raw ensemble",
            *(number(score.name, first(found)["scores"][score.name]["predictions"]["raw"]["value"]) for score in SHOWN),
        ]
    ]
    for name, summary in found.items():
        rows.append([name, *(marked(score.name, summary["scores"][score.name]) for score in SHOWN)])
    return as_markdown(["", *names], rows)


def difference_table(found: dict[str, dict[str, Any]]) -> str:
    """The differences of isotonic and temperature in full."""
    rows = []
    for score in SHOWN:
        row = [f"{score.label} {unit(score.name)}".strip()]
        for name in ("isotonic", "temperature"):
            (entry,) = found[name]["scores"][score.name]["differences"]
            text = " to ".join(number(score.name, entry[end]) for end in ("low", "high"))
            share = ""
            if "cases_improved" in entry:
                share = f"; {100 * entry['cases_improved'] / found[name]['n_cases']:.0f} %"
            row.append(f"{number(score.name, entry['value'])} ({text}){share}")
        rows.append(row)
    return as_markdown(["score", "isotonic − raw", "temperature − raw"], rows)


def marked(name: str, entry: dict[str, Any]) -> str:
    """Mark a difference that the interval puts on one side of 0."""
    text = number(name, entry["predictions"]["calibrated"]["value"])
    (gap,) = entry["differences"]
    low, high = gap["low"], gap["high"]
    if low <= 0 <= high:
        return text
    better = (high < 0) == (entry["better"] == "lower")
    return f"**{text}**" if better else f"*{text}*"


def number(name: str, value: float) -> str:
    """Scale and round."""
    return f"{value * SCALE.get(name, 1):.3f}"


def unit(name: str) -> str:
    """Say the unit of the scaled number."""
    return UNIT.get(name, "(%)" if name in SCALE else "")


def first(found: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Give any summary; raw is the same in all."""
    return next(iter(found.values()))


if __name__ == "__main__":
    typer.run(main)
