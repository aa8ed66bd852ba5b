"""The same question as few_cases.py in 3-D: CT phantoms with five simulated raters and three simulated members.

Calibrations are fitted to n of 32 phantoms, n = 8 (8 draws), 16 (4 draws) and all, and scored on 32 others. Phantoms:
the figures show whether the order of the methods is the same in 3-D, not how well they do on patients.

Run: python experiments/few_cases_phantoms.py [--out docs/evidence/few_cases_phantoms.md]
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Annotated

import few_cases
import numpy as np
import typer

import twintrack as tt
from twintrack.errors import TwinTrackWarning
from twintrack.synthetic import phantom_case

SIZES = {8: 8, 16: 4, 32: 1}
"""Number of calibration cases, and of draws."""
FIRST = {"calibration": 31_000, "test": 32_000}
"""First seed of the phantoms; no other experiment uses these."""
N_PHANTOMS = 32
PERSONS = 31
"""Seed of who the raters are, and of the members' habits."""


def main(
    out: Annotated[Path, typer.Option(help="The page to write.")] = Path("docs/evidence/few_cases_phantoms.md"),
    method: Annotated[list[str] | None, typer.Option(help="Method; may be given several times.")] = None,
    seed: Annotated[int, typer.Option(help="Seed of the draws.")] = 0,
) -> None:
    """Simulate, draw, fit, score and write the page."""
    warnings.simplefilter("ignore", TwinTrackWarning)
    calibration, test = (phantoms(split) for split in ("calibration", "test"))
    read = [case.read() for case in test]
    raw = few_cases.score(read, [one.probability() for one in read])
    sections = [
        "<!-- written by experiments/few_cases_phantoms.py -->\n\n# Calibrating on few cases, in 3-D\n\nCT phantoms "
        f"with five simulated raters and three simulated members; fitted to some of {len(calibration)}, scored on "
        f"{len(test)} others. Volumes are in voxels. They show whether methods are ordered as on the "
        "[nodules](few_cases.md), not how well they do on patients."
    ]
    for n, draws in SIZES.items():
        found = {}
        for name in method or few_cases.METHODS:
            found[name] = few_cases.draw(calibration, read, name, n=n, draws=draws, seed=seed)
            print(f"n = {n}, {name}: {np.round(found[name].scores.mean(axis=0), 4)}", flush=True)
        sections.append(few_cases.section(n, draws, raw, found))
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text("\n\n".join(sections) + "\n", encoding="utf-8")


def phantoms(split: str) -> list[tt.Case]:
    """Simulate the phantoms of a split."""
    return [phantom_case(FIRST[split] + k, personality_seed=PERSONS) for k in range(N_PHANTOMS)]


if __name__ == "__main__":
    typer.run(main)
