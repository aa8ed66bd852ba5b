"""A tiny cohort on disk, two members in nnU-Net's layout and three raters, and ways to run the command line on it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk
from numpy.typing import NDArray

from twintrack.calibration import fit
from twintrack.cli import main
from twintrack.cohort.find import find_cohort

TWINTRACK = Path(sys.executable).with_name("twintrack")
CASES = ("c1", "c2", "c3", "c4", "c5")
SHAPE = (6, 12, 12)
SPACING = (0.7, 0.8, 2.5)
"""In SimpleITK's order, (x, y, z)."""
ORIGIN = (-20.5, 13.25, 400.0)
LABELS = {"background": 0, "pancreas": 1, "tumour": 2}


def write(path: Path, array: NDArray[Any], *, origin: tuple[float, ...] = ORIGIN) -> None:
    """Write an image with SimpleITK, so that what is read was not written by the code under test."""
    image = sitk.GetImageFromArray(array)
    image.SetSpacing(SPACING)
    image.SetOrigin(origin)
    path.parent.mkdir(parents=True, exist_ok=True)
    sitk.WriteImage(image, str(path))


@dataclass(frozen=True)
class Files:
    """The cohort's folder, and how to name what is in it."""

    root: Path

    @property
    def members(self) -> list[str]:
        return [str(self.root / "members" / name) for name in ("a", "b")]

    @property
    def predicted(self) -> list[str]:
        return ["--members", *self.members, "--foreground", "tumour"]

    @property
    def drawn(self) -> list[str]:
        return ["--raters", str(self.root / "raters")]

    @property
    def calibration(self) -> Path:
        """Fitted to all cases."""
        return self.root / "calibration.json"

    def npz(self, member: str, case: str) -> Path:
        return self.root / "members" / member / f"{case}.npz"

    def mask(self, case: str, rater: int) -> Path:
        return self.root / "raters" / case / f"annotation_{rater}.nii.gz"

    def case_list(self, **splits: str) -> Path:
        """Write a list of cases with the split of each."""
        path = self.root / "cases.csv"
        path.write_text("case,patient,split\n" + "".join(f"{c},p{c},{s}\n" for c, s in splits.items()))
        return path

    def change(self, member: str, case: str, change: Callable[[NDArray[np.float32]], object]) -> None:
        """Change a saved softmax in place."""
        with np.load(self.npz(member, case)) as stored:
            softmax = stored["probabilities"]
        change(softmax)
        np.savez_compressed(self.npz(member, case), probabilities=softmax)

    def tumour(self, member: str, case: str) -> NDArray[np.float32]:
        with np.load(self.npz(member, case)) as stored:
            return np.asarray(stored["probabilities"][2])

    def tree(self) -> dict[str, bytes]:
        """Every file with its content, to see what a run changed; hidden ones and temporaries too."""
        paths = sorted(path for path in self.root.rglob("*") if path.is_file())
        return {str(path.relative_to(self.root)): path.read_bytes() for path in paths}

    def new_since(self, before: dict[str, bytes]) -> set[str]:
        """Names of the files a run added, after checking that it touched no other and left no temporary folder."""
        after = self.tree()
        assert {name: after.get(name) for name in before} == before
        assert not list((self.root / "scratch").iterdir())
        return set(after) - set(before)


def softmax_of(score: NDArray[np.float64]) -> NDArray[np.float32]:
    """Softmax of three channels: background 0, pancreas constant, tumour by score."""
    logits = np.stack([np.zeros_like(score), np.full_like(score, -1.0), score])
    odds = np.exp(logits)
    return (odds / odds.sum(axis=0)).astype(np.float32)


def make_cohort(root: Path) -> Files:
    """Five cases of 6 × 12 × 12 voxels; c2 was drawn by raters 1 and 3 only, and c4 by rater 2 as empty."""
    for folder in ("scratch", "members/a", "members/b"):
        (root / folder).mkdir(parents=True)
    for name in ("a", "b"):
        (root / "members" / name / "dataset.json").write_text(json.dumps({"labels": LABELS, "file_ending": ".nii.gz"}))
    z, y, x = np.mgrid[tuple(slice(size) for size in SHAPE)]
    for number, case in enumerate(CASES):
        rng = np.random.default_rng(number)
        distance = np.sqrt((2 * (z - 2.5)) ** 2 + (y - 5.5 + 0.3 * number) ** 2 + (x - 5.5) ** 2)
        for name in ("a", "b"):
            softmax = softmax_of(2.0 * (3.5 - distance) + rng.normal(size=SHAPE))
            np.savez_compressed(root / "members" / name / f"{case}.npz", probabilities=softmax)
            write(root / "members" / name / f"{case}.nii.gz", softmax.argmax(axis=0).astype(np.uint8))
        for rater, radius in enumerate((3.0, 3.6, 4.2), start=1):
            mask = (distance + 0.3 * rng.normal(size=SHAPE) < radius).astype(np.uint8)
            if (case, rater) == ("c4", 2):
                mask[:] = 0
            if (case, rater) != ("c2", 2):
                write(root / "raters" / case / f"annotation_{rater}.nii.gz", mask)
    return Files(root)


@pytest.fixture(scope="session")
def write_image() -> Callable[..., None]:
    """Give `write`."""
    return write


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Files:
    """The cohort as it is made, with a calibration fitted to it, for each test to copy."""
    files = make_cohort(tmp_path_factory.mktemp("cohort") / "template")
    folders = [Path(folder) for folder in files.members]
    cohort = find_cohort(raters=[files.root / "raters"], members=folders, foreground=["tumour"])
    fit(cohort, method="isotonic").save(files.calibration)
    return files


@pytest.fixture
def files(template: Files, tmp_path: Path) -> Files:
    """A cohort to use and to spoil."""
    return Files(Path(shutil.copytree(template.root, tmp_path / "cohort")))


@dataclass(frozen=True)
class Result:
    """What a run left behind besides files."""

    code: int
    out: str
    err: str

    def __post_init__(self) -> None:
        assert "Traceback" not in self.err + self.out


def surroundings(files: Files) -> dict[str, str]:
    """The environment of a process: temporaries where they can be counted, lines that are not broken."""
    return {**os.environ, "TMPDIR": str(files.root / "scratch"), "COLUMNS": "200"}


@pytest.fixture
def start(files: Files) -> Callable[..., subprocess.Popen[str]]:
    """Start the real entry point in a process of its own."""

    def popen(*arguments: object, **options: Any) -> subprocess.Popen[str]:
        command = [TWINTRACK, *map(str, arguments)]
        environment = {**surroundings(files), **options.pop("env", {})}
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, "encoding": "utf-8"}
        return subprocess.Popen(command, env=environment, **pipes, **options)

    return popen


@pytest.fixture
def process(start: Callable[..., subprocess.Popen[str]]) -> Callable[..., Result]:
    """Run the real entry point in a process of its own, to its end."""

    def run(*arguments: object, **options: Any) -> Result:
        with start(*arguments, **options) as running:
            out, err = running.communicate(timeout=120)
        return Result(running.returncode, out, err)

    return run


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Callable[..., Result]:
    """Run the entry point in this process."""

    def call(*arguments: object) -> Result:
        capsys.readouterr()
        with pytest.raises(SystemExit) as stopped:
            main([str(argument) for argument in arguments])
        printed = capsys.readouterr()
        return Result(int(stopped.value.code or 0), printed.out, printed.err)

    return call
