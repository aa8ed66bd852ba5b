"""Trains the four small networks that come with the package, on CT phantoms, and measures them on other phantoms.

Writes src/twintrack/embedded/phantom (the bundle, with a model card) and docs/evidence/phantom_bundle.md. The networks
learn from 80 phantoms (of which 16 judge them), are calibrated on 16 others and measured on 20 others, by which nothing
was chosen.

Run: python experiments/embedded_bundle.py [--work DIR] [--out DIR] [--page FILE]
An interrupted run goes on from what is in the work folder. Under an hour on two cores.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from time import perf_counter
from typing import Annotated, Any

import numpy as np
import typer

import twintrack as tt
from twintrack.evaluation.tables import as_markdown
from twintrack.images import Volume, write_volume
from twintrack.pipeline.train import TrainedBundle, Watching, find_regions, train_bundle, training_cases
from twintrack.raters.majority import majority
from twintrack.segmentation.bundle_files import load_bundle
from twintrack.segmentation.cts import find_cts
from twintrack.segmentation.roi import Roi, recall
from twintrack.segmentation.segmenter import Segmenter
from twintrack.segmentation.training.gate import dice
from twintrack.segmentation.training.job import Event
from twintrack.segmentation.training.presets import preset_named
from twintrack.segmentation.training.train import Settings
from twintrack.synthetic import make_phantom, simulate_raters

ROOT = Path(__file__).resolve().parents[1]
SEED = 20_260_400
"""Of the networks, of who the raters are, and the first of the training phantoms."""
SETS = {"train": (SEED, 80), "calibration": (SEED + 1_000, 16), "test": (SEED + 2_000, 20)}
"""First seed and number of the phantoms of each set. The demo, the tests and the docs use seeds below 10,000."""
PROTOCOLS = ("pdacvi-official", "response")


def main(
    work: Annotated[Path, typer.Option(help="Folder for phantoms and networks; kept.")] = ROOT / "build" / "embedded",
    out: Annotated[Path, typer.Option(help="The bundle.")] = ROOT / "src" / "twintrack" / "embedded" / "phantom",
    page: Annotated[Path, typer.Option(help="The page.")] = ROOT / "docs" / "evidence" / "phantom_bundle.md",
) -> None:
    """Make phantoms, train, calibrate, measure, write the bundle and the page."""
    for name, (first, n) in SETS.items():
        write_phantoms(work / "phantoms" / name, first, n)
    with tempfile.TemporaryDirectory(dir=work) as scratch:
        draft = Path(scratch) / "bundle"
        card = Path(scratch) / "MODEL_CARD.md"
        trained = train(draft, work, card)
        measured = measure(draft, work)
        shutil.rmtree(out, ignore_errors=True)
        out.parent.mkdir(parents=True, exist_ok=True)
        shutil.copytree(draft, out)
    page.parent.mkdir(parents=True, exist_ok=True)
    page.write_text(page_of(trained, measured), encoding="utf-8")
    print(page.read_text(encoding="utf-8"))


def write_phantoms(folder: Path, first: int, n: int) -> None:
    """Write phantoms as CURVAS case folders, with the pancreas as region; those that are there are kept."""
    for seed in range(first, first + n):
        case = folder / f"phantom_{seed}"
        if case.is_dir():
            continue
        phantom = make_phantom(seed)
        drawn = simulate_raters(phantom, n_raters=5, seed=seed, personality_seed=SEED)
        arrays: dict[str, Any] = {"image": phantom.ct, "vessels": phantom.vessels, "region": phantom.pancreas}
        arrays |= {f"annotation_{k}": mask for k, mask in enumerate(drawn, start=1)}
        unfinished = folder / f".{case.name}"
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(parents=True)
        for name, array in arrays.items():
            write_volume(unfinished / f"{name}.nii.gz", Volume(np.asarray(array), phantom.grid, name))
        unfinished.rename(case)


def train(draft: Path, work: Path, card: Path) -> TrainedBundle:
    """Train, calibrate and bundle."""
    folder = work / "phantoms" / "train"
    cases = training_cases(tt.find_cohort(raters=folder), regions=find_regions(folder))
    card.write_text(CARD, encoding="utf-8")
    return train_bundle(
        draft,
        cases,
        Settings(preset_named("tiny-cpu"), teach="random", structure="tumour", seed=SEED),
        calibration=tt.find_cohort(raters=work / "phantoms" / "calibration"),
        work=work / "training",
        name="phantom",
        intended_use="Demonstration on TwinTrack's own CT phantoms only. Useless on patients.",
        extra_files={"MODEL_CARD.md": card},
        watching=Watching(say=print, on_event=show),
    )


def show(event: Event) -> None:
    """Print what the children say."""
    if event.stage is not None:
        print(f"{event.network}: {event.stage}", flush=True)
    else:
        print(f"{event.network}: epoch {event.epoch} of {event.epochs}, loss {event.loss}", flush=True)


def measure(bundle: Path, work: Path) -> dict[str, Any]:
    """Run the bundle on the test phantoms; give its figures."""
    folder = work / "phantoms" / "test"
    loaded = load_bundle(bundle)
    assert loaded.calibration_path is not None
    segmenter, calibration = Segmenter(loaded, threads=1), tt.load_calibration(loaded.calibration_path)
    truths = {case.id: case for case in tt.find_cohort(raters=folder, vessels=folder)}
    names = [member.name for member in segmenter.networks.members]
    found: dict[str, list[float]] = {name: [] for name in [*names, "ensemble", "recall", "seconds"]}
    cases = []
    for ct in find_cts([folder]):
        image, began = ct.read(), perf_counter()
        segmentation = segmenter.segment(image, case_id=ct.case_id)
        found["seconds"].append(perf_counter() - began)
        case = truths[ct.case_id]
        masks = [source.read().array != 0 for source in case.raters.values()]
        truth = majority(masks) != 0
        mean = np.mean(segmentation.members, axis=0)
        for name, part in [*zip(names, segmentation.members, strict=True), ("ensemble", mean)]:
            found[name].append(dice(segmentation.whole(part).array > 0.5, truth))
        inside = recall(Roi(segmentation.roi, segmentation.box), np.logical_or.reduce(masks))
        found["recall"].append(float("nan") if inside is None else inside)
        cases.append(
            tt.Case(
                ct.case_id,
                members=[segmentation.whole(part) for part in segmentation.members],
                roi=segmentation.whole(segmentation.roi),
                raters=case.raters,
                vessels=case.vessels,
                foreground=segmentation.foreground,
            )
        )
    scores = {
        name: tt.evaluate(tt.Cohort(cases), calibration=calibration, protocol=name, seed=0).summary
        for name in PROTOCOLS
    }
    return {"figures": found, "names": names, "scores": scores}


def page_of(trained: TrainedBundle, measured: dict[str, Any]) -> str:
    """Write the page."""
    figures = measured["figures"]
    rows = [[name, *spread(figures[name])] for name in [*measured["names"], "ensemble"]]
    report = trained.networks.report
    judged = [
        [name, str(one["attempt"]), one["measured"], *(f"{one['held_out'][key]:.3f}" for key in ("mean", "min"))]
        for name, one in report["networks"].items()
    ]
    parts = [
        "<!-- written by experiments/embedded_bundle.py -->",
        "# The embedded bundle on phantoms it never saw",
        f"A coarse network and {len(measured['names'])} members, trained on {report['n_cases']} CT phantoms with five "
        f"simulated raters each (preset {report['preset']['name']}, each member on one random rater per case), "
        f"calibrated ({method_of(trained)}) on {SETS['calibration'][1]} others, measured on {SETS['test'][1]} others. "
        "Phantoms and simulated raters: these figures show that the way from CT to calibrated map works, not how well "
        "on patients.",
        f"A CT of 48 × 128 × 128 voxels takes {np.median(figures['seconds']):.1f} s (median; coarse network and "
        "members, one thread, no GPU).",
        "## Dice to the raters' majority, at p > 0.5",
        as_markdown(["", "mean", "median", "min"], rows),
        "## The region of interest",
        f"Fraction of what any rater drew inside it: mean {np.nanmean(figures['recall']):.4f}, minimum "
        f"{np.nanmin(figures['recall']):.4f} (margin {trained.bundle.roi.margin:g} mm).",
        "## On the held-out training phantoms, by which networks are accepted",
        as_markdown(["network", "attempts", "measured", "mean", "min"], judged),
        *(part for name in PROTOCOLS for part in (f"## Protocol {name}", table(measured["scores"][name]))),
    ]
    return "\n\n".join(parts) + "\n"


def method_of(trained: TrainedBundle) -> str:
    """Say what the calibration is."""
    assert trained.calibration is not None
    selection = trained.calibration.selection
    return trained.calibration.method if selection is None else f"auto: {selection.chosen}"


def spread(values: Sequence[float]) -> Iterable[str]:
    """Mean, median and minimum."""
    return (f"{value:.3f}" for value in (np.mean(values), np.median(values), np.min(values)))


def table(summary: dict[str, Any]) -> str:
    """Raw and calibrated, and the difference with its interval."""
    rows = []
    for name, entry in summary["scores"].items():
        (gap,) = entry["differences"]
        values = [entry["predictions"][which]["value"] for which in ("raw", "calibrated")]
        rows.append(
            [name, *(f"{value:.4g}" for value in values), f"{gap['value']:.3g} ({gap['low']:.3g} to {gap['high']:.3g})"]
        )
    return as_markdown(["score", "raw", "calibrated", "difference (95 %)"], rows)


CARD = f"""# Model card: the embedded bundle

**For demonstration only.** These networks learnt from computer-made CT phantoms with simulated raters, and have never
seen a patient. On a real CT they are useless.

- What: one coarse and three fine nnU-Nets (preset `tiny-cpu`, about 0.35 M parameters each, half precision), averaged,
  and an isotonic calibration to the mean human response.
- Learnt from: {SETS["train"][1]} phantoms (`twintrack.synthetic`, seeds {SETS["train"][0]} and on), each member from
  one random rater of five per phantom; a fifth of the phantoms judged the networks.
- Calibrated on: {SETS["calibration"][1]} other phantoms (seeds {SETS["calibration"][0]} and on).
- Held-out figures: `bundle.json` (`training`) has those of each network; docs/evidence/phantom_bundle.md those of the
  whole on {SETS["test"][1]} further phantoms.
- Made by: `python experiments/embedded_bundle.py`.
- Intended use: trying the software, its tests and its documentation. Not for diagnosis, treatment or research on
  patients.
"""

if __name__ == "__main__":
    typer.run(main)
