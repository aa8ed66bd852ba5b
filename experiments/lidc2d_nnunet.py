"""Trains three 2-D nnU-Nets on single radiologists, calibrates and scores them, and writes the page of the result.

Lung nodules of LIDC-IDRI (2-D crops, 2 to 4 radiologists each), as in lidc2d.py, but with real nnU-Nets: three members
are trained with the preset tiny-cpu-2d on the train split, each taught by a single radiologist of every case;
calibrations are fitted on the calibration split and everything is scored on the test split. No patient is in two
splits, and nothing here is chosen by looking at the test split.

Run: python experiments/lidc2d_nnunet.py [--data DIR] [--work lidc2d-nnunet] [--out docs/evidence/lidc2d_nnunet.md]
DIR holds lidc2d/ and lidc2d_predictions/; by default the environment variable TWINTRACK_DATA, or ../shared/data.
What is trained and predicted stays in --work; an interrupted run goes on where it stopped.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import lidc2d
import numpy as np
import typer

import twintrack as tt
from twintrack.errors import TwinTrackWarning
from twintrack.evaluation.bootstrap import REPEATS, Interval, patient_weights
from twintrack.evaluation.scores.overlap import thresholded_dice
from twintrack.evaluation.summary import Values
from twintrack.evaluation.tables import as_markdown
from twintrack.pipeline.train import Watching, train_bundle, training_cases
from twintrack.segmentation.bundle_files import load_bundle
from twintrack.segmentation.cts import find_cts
from twintrack.segmentation.segmenter import Segmenter
from twintrack.segmentation.stream import segment_cts
from twintrack.segmentation.training.presets import preset_named
from twintrack.segmentation.training.train import Settings

SETTINGS = Settings(
    preset=preset_named("tiny-cpu-2d"),
    n_members=3,
    coarse=False,
    # The numbers of the radiologists are not persons here, and one case in four was drawn by two of them only: a member
    # taught by everyone's number 3 would never see a nodule that a third radiologist did not find.
    teach="random",
    structure="nodule",
    seed=0,
)
USED = ("calibration", "test")


def main(
    data: Annotated[Path, typer.Option(help="Folder with lidc2d and lidc2d_predictions.")] = lidc2d.DEFAULT_DATA,
    work: Annotated[Path, typer.Option(help="Folder for networks and predictions.")] = Path("lidc2d-nnunet"),
    out: Annotated[Path, typer.Option(help="The page to write.")] = Path("docs/evidence/lidc2d_nnunet.md"),
    threads: Annotated[int | None, typer.Option(help="Threads on the CPU.")] = None,
) -> None:
    """Train, predict, fit on the calibration split, score on the test split, write the page."""
    # Crops within the lung hold little but air, and each is asked whether it is a CT.
    warnings.simplefilter("ignore", TwinTrackWarning)
    segmenter = Segmenter(load_bundle(train(data, work)), threads=threads)
    predicted = predict(segmenter, data, work / "segmentation")
    calibration, test = (cohort(data, split, members=predicted) for split in USED)
    four, four_fit = (tt.Cohort(case for case in cases if len(case.raters) == 4) for cases in (test, calibration))
    sections = [
        "<!-- written by experiments/lidc2d_nnunet.py -->",
        about(segmenter.bundle.bundle.training or {}),
        dice_table(test, cohort(data, "test", members=data / "lidc2d_predictions")),
        lidc2d.section("All cases", calibration, test),
        lidc2d.section("Cases with four radiologists", four_fit, four),
    ]
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text("\n\n".join(sections) + "\n", encoding="utf-8")
    print(out.read_text(encoding="utf-8"))


def cohort(data: Path, split: str, *, members: Path | None = None) -> tt.Cohort:
    """Find one split, with the predictions of some members."""
    return tt.find_cohort(
        raters=[data / "lidc2d"],
        members=[] if members is None else [members],
        cases=data / "lidc2d" / "cases.csv",
        split=split,
    )


def train(data: Path, work: Path) -> Path:
    """Train the networks on the train split, unless an earlier run did; give their bundle."""
    bundle = work / "bundle"
    if not (bundle / "bundle.json").is_file():
        watching = Watching(say=print, on_event=lambda event: print(event.line()))
        train_bundle(bundle, training_cases(cohort(data, "train")), SETTINGS, work=work / "training", watching=watching)
    return bundle


def predict(segmenter: Segmenter, data: Path, folder: Path) -> Path:
    """Run the networks on both splits that were not trained on; give the members' folder."""
    wanted = {case.id for split in USED for case in cohort(data, split)}
    cts = [ct for ct in find_cts([data / "lidc2d"]) if ct.case_id in wanted]
    segment_cts(cts, segmenter=segmenter, folder=folder)
    return folder / "members"


def about(training: dict[str, Any]) -> str:
    """Say how the networks were trained, and how they did on the cases held out."""
    schedule = training["preset"]["fine"]["schedule"]
    rows = [
        [name, str(one["seed"]), str(one["attempt"]), str(one["cases_learnt_from"]), f"{one['held_out']['mean']:.3f}"]
        for name, one in training["networks"].items()
    ]
    n_held_out, minutes = len(training["held_out_cases"]), training["seconds"] / 60
    text = f"""# Three 2-D nnU-Nets on lung nodules

Preset {training["preset"]["name"]}: {schedule["epochs"]} epochs of {schedule["iterations"]} iterations. Every
member learns each case from one of the radiologists who drew it, drawn at random for each member and case (the
numbers of the radiologists are not persons). Nothing was chosen by looking at the test split, and the preset's
numbers were not tuned on these data. Of the {training["n_cases"]} cases of the train split {n_held_out}, of
other patients, were held out to check that each member learnt: its Dice there, against one radiologist, is in
the table. Preparing, training and checking took {minutes:.0f} minutes, two networks at a time with one thread each."""
    return f"{text}\n\n{as_markdown(['member', 'seed', 'attempts', 'cases learnt from', 'Dice, held out'], rows)}"


def dice_table(test: tt.Cohort, small: tt.Cohort) -> str:
    """Score each network and the ensembles by themselves."""
    rows = []
    for name, cases in (("nnU-Net", test), ("small U-Net", small)):
        found = dice(cases)
        weights = patient_weights([case.patient for case in cases], repeats=REPEATS, seed=0)
        labels = [*(f"{name} {k}" for k in range(1, found.shape[1])), f"ensemble of {name}s"]
        for label, column in zip(labels, found.T, strict=True):
            values = Values.of_cases(column, weights)
            interval = Interval.of(values.cohort, values.resampled)
            rows.append([label, f"{interval.value:.3f} ({interval.low:.3f} to {interval.high:.3f})"])
    text = f"""## The networks by themselves

Dice of probability > 0.5 against the pixels that more than half of the radiologists label, mean over the
{len(test)} cases of the test split with its 95 % interval (bootstrap over patients). The small U-Nets are those
behind [lidc2d.md](lidc2d.md)."""
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
