"""The folder in which the commands of the pages are run: made-up files under the names that the pages use.

Names in capitals stand for what a reader has. `PRODUCTS` are what a page may use that another page shows how to make;
they are laid into the folder when a command names them and nothing before it made them.
"""

from __future__ import annotations

import contextlib
import csv
import json
import shutil
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import SimpleITK as sitk
import torch
from monai.data import MetaTensor
from numpy.typing import NDArray

import twintrack as tt
from twintrack.cli import main
from twintrack.errors import TwinTrackWarning
from twintrack.evaluation import write_evaluation
from twintrack.segmentation.bundle import Bundle, MemberEntry
from twintrack.segmentation.bundle_files import write_bundle

from ..images import dicom_maker  # noqa: TID252  (the maker of series)
from ..segmentation import tiny_nnunet  # noqa: TID252  (the maker of networks)

SHAPE, SPACING, ORIGIN = (6, 14, 16), (2.5, 0.8, 0.7), (-12.0, 7.0, 40.0)
"""The grid of everything: that of the series that `dicom_maker` writes."""
MEMBERS = ("MEMBER_1", "MEMBER_2", "MEMBER_3")
SPLITS = {"calibration": 6, "test": 3, "part_1": 2, "part_2": 2}
LABELS = {"background": 0, "tumour": 1}
RESULT_FOLDERS = {"COARSE": "pancreas", "FINE_1": "tumour", "FINE_2": "tumour", "FINE_3": "tumour"}


@dataclass(frozen=True)
class Simulated:
    """One case: a ball that members see through noise and raters draw more or less generously."""

    members: list[NDArray[np.float32]]
    raters: list[NDArray[np.uint8]]
    vessels: NDArray[np.uint8]
    ct: NDArray[np.int16]


def simulate(seed: int) -> Simulated:
    """Make up a case."""
    rng = np.random.default_rng(seed)
    places = np.meshgrid(*(np.arange(size) * step for size, step in zip(SHAPE, SPACING, strict=True)), indexing="ij")
    middle = [size * step / 2 + rng.normal(0, 0.5) for size, step in zip(SHAPE, SPACING, strict=True)]
    distance = np.sqrt(sum((place - centre) ** 2 for place, centre in zip(places, middle, strict=True)))
    radius = rng.uniform(3.0, 5.0)
    logits = [2.0 * (radius - distance) + rng.normal(0, 1, SHAPE) for _ in MEMBERS]
    raters = [distance + rng.normal(0, 0.3, SHAPE) < radius + drift for drift in (-0.5, 0.0, 0.5, 1.0)]
    vessels = np.zeros(SHAPE, np.uint8)
    for label, column in enumerate((1, 4, 7, 10, 13), start=1):
        vessels[:, 4:7, column : column + 2] = label
    return Simulated(
        [(1 / (1 + np.exp(-logit))).astype(np.float32) for logit in logits],
        [rater.astype(np.uint8) for rater in raters],
        vessels,
        (40 + 60 * (distance < radius) + rng.normal(0, 20, SHAPE)).round().astype(np.int16),
    )


def write_image(path: Path, array: NDArray[np.generic]) -> None:
    """Write an image on the world's grid."""
    image = sitk.GetImageFromArray(array)
    image.SetSpacing(SPACING[::-1])
    image.SetOrigin(ORIGIN)
    path.parent.mkdir(parents=True, exist_ok=True)
    sitk.WriteImage(image, str(path))


def write_prediction(folder: Path, name: str, probability: NDArray[np.float32]) -> None:
    """Write a member's prediction as nnU-Net v2 does."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "dataset.json").write_text(json.dumps({"labels": LABELS, "file_ending": ".nii.gz"}))
    np.savez_compressed(folder / f"{name}.npz", probabilities=np.stack([1 - probability, probability]))
    write_image(folder / f"{name}.nii.gz", (probability > 0.5).astype(np.uint8))


def make_world(root: Path) -> None:
    """Write what a reader has."""
    rows = []
    for split, number in SPLITS.items():
        for _ in range(number):
            name = f"case_{len(rows) + 1:02d}"
            case = simulate(len(rows))
            for k, mask in enumerate(case.raters, start=1):
                write_image(root / "RATERS" / name / f"annotation_{k}.nii.gz", mask)
            write_image(root / "RATERS" / name / "vessels.nii.gz", case.vessels)
            write_image(root / "RATERS" / name / "image.nii.gz", case.ct)
            for folder, member in zip(MEMBERS, case.members, strict=True):
                write_prediction(root / folder, name, member)
            write_image(root / "OTHER_MAPS" / f"{name}.nii.gz", case.members[0])
            rows.append({"case": name, "patient": f"p{name}", "split": split})
    with (root / "cases.csv").open("w", newline="") as file:
        table = csv.DictWriter(file, ["case", "patient", "split"])
        table.writeheader()
        table.writerows(rows)
    fitted("calibration", root).save(root / "calibration.json")
    fitted("calibration", root, "isotonic").save(root / "isotonic.json")
    _make_models(root)


def _make_models(root: Path) -> None:
    """Write a CT, also as a DICOM series, a bundle of what was predicted elsewhere, and networks of random weights."""
    case = simulate(99)
    write_image(root / "ct.nii.gz", case.ct)
    write_image(root / "CTS" / "ct.nii.gz", case.ct)
    dicom_maker.write_series(root / "ct_series", case.ct, tags={"0020|0052": "1.2.826.0.1.3680043.2.1125.3"})
    for name, member in zip(MEMBERS, case.members, strict=True):
        write_prediction(root / "elsewhere" / name, "ct", member)
        write_prediction(root / "elsewhere" / name, "ct_series", member)
    write_image(root / "response.nii.gz", np.mean(case.members, axis=0))
    _write_total_segmentator(root / "TOTAL")
    (root / "PANCREAS_MEMBER").mkdir()
    for k in range(1, 4):
        (root / f"PROMPT_{k}").mkdir()
    (root / "BUNDLE").mkdir()
    # Absolute: the world is copied, and a bundle's predictions lie outside it.
    members = tuple(MemberEntry(name=name, kind="precomputed", path=str(root / "elsewhere" / name)) for name in MEMBERS)
    shutil.copy(root / "calibration.json", root / "BUNDLE")
    bundle = Bundle(name="b", structure="s", members=members, foreground=("tumour",), calibration="calibration.json")
    write_bundle(root / "BUNDLE", bundle)
    for number, (folder, label) in enumerate(RESULT_FOLDERS.items()):
        dataset = tiny_nnunet.make_dataset({"background": 0, label: 1})
        tiny_nnunet.write_result_folder(root / folder, dataset=dataset, seed=number)


def _write_total_segmentator(folder: Path) -> None:
    """Write what TotalSegmentator saves of a CT in RAS: on a coarser grid, softmax and the labels it gives."""
    logits = np.random.default_rng(5).normal(size=(9, 5, 6, 5))
    softmax = (np.exp(logits) / np.exp(logits).sum(axis=0)).astype(np.float32)
    labels = sitk.GetImageFromArray(softmax.argmax(axis=0).astype(np.uint8))
    labels.SetSpacing((3.0, 3.0, 3.0))
    labels.SetOrigin((0.0, 18.0, 40.0))
    labels.SetDirection((-1, 0, 0, 0, -1, 0, 0, 0, 1))
    folder.mkdir()
    np.savez_compressed(folder / "ct.npz", probabilities=softmax)
    sitk.WriteImage(labels, str(folder / "ct.nii.gz"))


class Session:
    """Stands in for nnInteractive's: marks a ball around each point in its target buffer."""

    def __init__(self) -> None:
        self.target_buffer = np.zeros(SHAPE, np.uint8)

    def reset_interactions(self) -> None:
        """Empty the buffer, as it does."""
        self.target_buffer[:] = 0

    def add_point_interaction(self, point: tuple[int, int, int], *, include_interaction: bool) -> None:
        """Mark what lies near."""
        places = np.meshgrid(*(np.arange(size) for size in SHAPE), indexing="ij")
        distance = sum((place - centre) ** 2 for place, centre in zip(places, point, strict=True))
        self.target_buffer[distance < 9] = int(include_interaction)


def cohort(split: str, root: Path) -> tt.Cohort:
    """Find the cases of a split."""
    members = [root / name for name in MEMBERS]
    return tt.find_cohort(raters=root / "RATERS", members=members, cases=root / "cases.csv", split=split)


def fitted(split: str, root: Path, method: str | None = None) -> tt.Calibration:
    """Fit to a split."""
    return tt.fit(cohort(split, root), method=method, replicates=5)


def _site_b(root: Path, path: Path) -> None:
    cases = [simulate(seed) for seed in range(200, 203)]
    tt.save_table(
        tt.tabulate(
            tt.Case(f"b{k}", members=case.members, raters=case.raters, spacing=SPACING, foreground=("tumour",))
            for k, case in enumerate(cases)
        ),
        path,
    )


def _scores(root: Path, path: Path, method: str = "isotonic") -> None:
    write_evaluation(tt.evaluate(cohort("test", root), calibration=fitted("calibration", root, method)), path)


def _responses(root: Path, path: Path) -> None:
    """Apply to the CT and to the series."""
    members = [str(root / "elsewhere" / name) for name in MEMBERS]
    with contextlib.suppress(SystemExit):
        main(["apply", str(root / "calibration.json"), "--members", *members, "--out", str(path)])


PRODUCTS = {
    "part_2.table": lambda root, path: tt.save_table(tt.tabulate(cohort("part_2", root)), path),
    "site_b.table": _site_b,
    "scores": _scores,
    "scores-of-one-method": _scores,
    "scores-of-another": lambda root, path: _scores(root, path, "platt"),
    "responses": _responses,
}
"""What a page may name that another one shows how to make: given the world and where to."""


def variables(root: Path) -> dict[str, object]:
    """What the snippets call by a name and do not make: cases, arrays of one, and the same as other tools have them."""
    case = simulate(77)
    affine = torch.diag(torch.tensor([*SPACING[::-1], 1.0], dtype=torch.float64))
    softmax = [np.stack([1 - member, member]).transpose(0, 3, 2, 1).copy() for member in case.members]
    ct = sitk.GetImageFromArray(case.ct)
    ct.SetSpacing(SPACING[::-1])
    ct.SetOrigin(ORIGIN)
    return {
        "tt": tt,
        "cases": cohort("calibration", root),
        "calibration_cases": cohort("calibration", root),
        "test_cases": cohort("test", root),
        "new_cases": cohort("part_1", root),
        "case": next(iter(cohort("test", root))),
        "calibration": tt.load_calibration(root / "calibration.json"),
        "item": {f"pred_{k}": MetaTensor(torch.from_numpy(p), affine=affine) for k, p in enumerate(softmax, start=1)},
        "probability": torch.from_numpy(case.members[0]),
        "p_of_voxels": case.members[0].reshape(-1, 1),
        "r_of_voxels": np.mean(case.raters, axis=0).ravel(),
        "patients": np.arange(case.ct.size) % 5,
        "session": Session(),
        "prompts": [(3, 6, 7), (3, 7, 7), (2, 7, 8)],
        "ct": ct,
        **{f"p{k}": member for k, member in enumerate(case.members, start=1)},
        **{f"m{k}": mask for k, mask in enumerate(case.raters, start=1)},
    }


def lay(word: str, world: Path, template: Path) -> None:
    """Lay a product into a world where a command names it, or a file in it, and nothing made it."""
    name = word.partition("/")[0]
    if name not in PRODUCTS or (world / name).exists():
        return
    kept = template.parent / "products" / name
    if not kept.exists():
        kept.parent.mkdir(exist_ok=True)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", TwinTrackWarning)  # made-up cases are few and unlike each other
            PRODUCTS[name](template, kept)
    (shutil.copytree if kept.is_dir() else shutil.copy)(kept, world / name)
