"""Trains three 2-D nnU-Nets on single radiologists, calibrates and scores them, and writes the page of the result.

Lung nodules of LIDC-IDRI (2-D crops, 2 to 4 radiologists each), as in lidc2d.py, but with real nnU-Nets: three members,
each taught by another radiologist of every case, trained with the preset tiny-cpu-2d on the train split; calibrations
are fitted on the calibration split and everything is scored on the test split. No patient is in two splits, and nothing
here is chosen by looking at the test split.

Run: python experiments/lidc2d_nnunet.py [--data DIR] [--work lidc2d-nnunet] [--out docs/evidence/lidc2d_nnunet.md]
DIR holds lidc2d/ and lidc2d_predictions/; by default the environment variable TWINTRACK_DATA, or ../shared/data.
What is trained and predicted stays in --work; an interrupted run goes on where it stopped.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from time import perf_counter
from typing import Annotated, Any

import lidc2d
import numpy as np
import typer

import twintrack as tt
from twintrack.evaluation.bootstrap import REPEATS, Interval, patient_weights
from twintrack.evaluation.scores.overlap import thresholded_dice
from twintrack.evaluation.summary import Values
from twintrack.evaluation.tables import as_markdown
from twintrack.segmentation.bundle_files import load_bundle
from twintrack.segmentation.create import create_bundle
from twintrack.segmentation.cts import Ct, find_cts
from twintrack.segmentation.segmenter import Segmenter
from twintrack.segmentation.stream import segment_cts

PRESET = "tiny-cpu-2d"
N_MEMBERS = 3
TEACH = "each"
SEED = 0


def main(
    data: Annotated[Path, typer.Option(help="Folder with lidc2d and lidc2d_predictions.")] = lidc2d.DEFAULT_DATA,
    work: Annotated[Path, typer.Option(help="Folder for networks and predictions.")] = Path("lidc2d-nnunet"),
    out: Annotated[Path, typer.Option(help="The page to write.")] = Path("docs/evidence/lidc2d_nnunet.md"),
    threads: Annotated[int | None, typer.Option(help="Threads on the CPU.")] = None,
) -> None:
    """Train, predict, fit on the calibration split, score on the test split, write the page."""
    training = train(data, work, threads)
    predict(data, work, threads)
    calibration, test = (cohort(data, work / "segmentation" / "members", split) for split in ("calibration", "test"))
    four, four_fit = (tt.Cohort(case for case in cases if len(case.raters) == 4) for cases in (test, calibration))
    sections = [
        "<!-- written by experiments/lidc2d_nnunet.py -->",
        about(training),
        dice_table(test, cohort(data, data / "lidc2d_predictions", "test")),
        lidc2d.section("All cases", calibration, test),
        lidc2d.section("Cases with four radiologists", four_fit, four),
    ]
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text("\n\n".join(sections) + "\n", encoding="utf-8")
    print(out.read_text(encoding="utf-8"))


def cohort(data: Path, members: Path, split: str) -> tt.Cohort:
    """Find one split with the predictions of some members."""
    return tt.find_cohort(
        raters=[data / "lidc2d"], members=[members], cases=data / "lidc2d" / "cases.csv", split=split
    )


def dice_table(test: tt.Cohort, small: tt.Cohort) -> str:
    """Score each network and the ensembles by themselves."""
    rows = []
    for name, cases in (("nnU-Net", test), ("small U-Net", small)):
        found = dice(cases)
        weights = patient_weights([case.patient for case in cases], repeats=REPEATS, seed=0)
        for label, column in zip((*(f"{name} {k + 1}" for k in range(N_MEMBERS)), f"ensemble of {name}s"), found.T, strict=True):
            values = Values.of_cases(column, weights)
            interval = Interval.of(values.cohort, values.resampled)
            rows.append([label, f"{interval.value:.3f} ({interval.low:.3f} to {interval.high:.3f})"])
    text = (
        "## The networks by themselves\n\n"
        f"Dice of probability > 0.5 against the pixels that more than half of the radiologists label, mean over the {len(test)} "
        "cases of the test split with its 95 % interval (bootstrap over patients). The small U-Nets are those behind "
        "[lidc2d.md](lidc2d.md)."
    )
    return f"{text}\n\n{as_markdown(['network', 'Dice'], rows)}"


def dice(cases: tt.Cohort) -> Any:
    """Give the Dice of each member and of the ensemble, (cases, members + 1)."""
    return np.array([list(_dice(case.read())) for case in cases])


def _dice(data: Any) -> Iterator[float]:
    masks = list(data.raters.values())
    for probability in (*data.members, data.probability()):
        yield thresholded_dice(probability, masks, thresholds=(0.5,))


if __name__ == "__main__":
    typer.run(main)
