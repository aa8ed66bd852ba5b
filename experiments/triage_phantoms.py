"""The same in 3-D as triage.py on CT phantoms: minutes of reading, and how well contact with vessels is foretold.

Calibrations are fitted to 24 phantoms with five simulated raters and three simulated members, and measured on 24
others.
Phantoms: the figures show whether things are as on the nodules, not how well they do on patients.

Run: python experiments/triage_phantoms.py [--out docs/evidence/triage_phantoms.md]
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import triage
import typer

import twintrack as tt
from twintrack.errors import TwinTrackWarning
from twintrack.evaluation.tables import as_markdown
from twintrack.evaluation.triage import measure
from twintrack.evaluation.triage.targets import CASE_TARGETS
from twintrack.evaluation.triage.vessels import Vessels, default_vessels
from twintrack.synthetic import phantom_case

FIRST = {"calibration": 51_000, "test": 52_000}
"""First seed of the phantoms; no other experiment uses these."""
N_PHANTOMS = 24
PERSONS = 51
"""Seed of who the raters are, and of the members' habits."""
N_FIELD = 6
"""Phantoms by which the rater field is fitted: in 3-D that takes longer than all else."""
N_MASKS = 100


def main(
    out: Annotated[Path, typer.Option(help="The page to write.")] = Path("docs/evidence/triage_phantoms.md"),
) -> None:
    """Simulate, fit, measure and write the page."""
    warnings.simplefilter("ignore", TwinTrackWarning)
    calibration, test = (phantoms(split) for split in FIRST)
    field = tt.fit(calibration[:N_FIELD], method="isotonic", replicates=0, masks=True).rater_field
    names = default_vessels().names
    ways = {"nested": Vessels(names), "drawn": Vessels(names, field=field, n_masks=N_MASKS)}
    sections, vessels = [INTRODUCTION], {}
    for method in triage.METHODS:
        fitted = tt.fit(calibration, method=method, replicates=0)
        found = {name: measure(fitted, test, vessels=way) for name, way in ways.items()}
        sections += [
            f"## {method}: found by minutes of reading",
            triage.gains(found["nested"], "minutes", CASE_TARGETS),
        ]
        vessels |= {f"{method}, {name}": one.summary["vessels"] for name, one in found.items()}
        print(f"{method} done", flush=True)
    sections += ["## Contact with vessels", VESSELS, vessel_table(vessels)]
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text("\n\n".join(sections) + "\n", encoding="utf-8")
    print(out.read_text(encoding="utf-8"))


INTRODUCTION = f"""\
<!-- written by experiments/triage_phantoms.py -->

# Triage, in 3-D

CT phantoms with five simulated raters and three simulated members; calibrations of {N_PHANTOMS}, measured on
{N_PHANTOMS} others. They show whether things are as on the [nodules](triage.md), not how well they do on patients.
Minutes are counted as 1 for a case and 0.1 for a slice with an uncertain voxel. Words and numbers are those of the
nodules' page."""

VESSELS = f"""\
The probability that a rater's tumour touches more than 90° and more than 180° of a vessel, from the raw probability and
from the calibrated response, scored against the raters (Brier score × 10³, mean over a case's five vessels, then over
cases). *Nested* takes raters' masks for nested; *drawn* counts {N_MASKS} masks drawn by a rater field that was fitted
to {N_FIELD} phantoms. *Least* is what the raters' own shares would score."""


def phantoms(split: str) -> tt.Cohort:
    """Simulate the phantoms of a split."""
    return tt.Cohort(phantom_case(FIRST[split] + k, personality_seed=PERSONS) for k in range(N_PHANTOMS))


def vessel_table(found: Mapping[str, Mapping[str, Any]]) -> str:
    """One row per method, way and cut-off."""
    rows = [
        [
            f"{way}, above {cutoff}°",
            f"{one['reached']} of {one['pairs']}",
            *(triage.interval(one[key], scale=1000, digits=1) for key in ("raw", "calibrated", "difference", "least")),
        ]
        for way, cutoffs in found.items()
        for cutoff, one in cutoffs.items()
    ]
    return as_markdown(["", "vessels that any rater reaches", "raw", "calibrated", "calibrated − raw", "least"], rows)


if __name__ == "__main__":
    typer.run(main)
