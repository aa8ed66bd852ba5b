"""From nnU-Net's files to a response map on disk: `twintrack apply` beside the obvious route, each in its own process.

The obvious route is what a script of twenty lines does: numpy loads the arrays, averages the members, scikit-learn
predicts, nibabel saves. What inflating alone takes, in threads, is a bound for both. Peak memory is the process's own
(Linux).
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import nibabel
import numpy as np
from benchmarks.speed import data
from benchmarks.speed.harness import Row, Spent, Timings

import twintrack as tt

SHAPE = (300, 512, 512)
MEMBERS = 3
REPEATS = 3
LEARNT = 1_000_000
OURS, PEER, BOUND = "`twintrack apply`", "numpy, scikit-learn, nibabel", "inflating alone, in threads"
GIB = 1 << 30


@dataclass(frozen=True)
class Used:
    """What a process took."""

    spent: Spent
    peak: int


def rows(*, large: bool) -> list[Row]:  # noqa: ARG001  (one size)
    """Measure both routes in turn."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        commands = prepare(folder)
        used: dict[str, list[Used]] = {route: [] for route in commands}
        for _ in range(REPEATS):
            for route, command in commands.items():
                used[route].append(run(command))
        apart = difference(folder)
    timings = Timings({route: [one.spent for one in several] for route, several in used.items()})
    peaks = {route: statistics.median(one.peak for one in several) / GIB for route, several in used.items()}
    what = "files, 3 members of 512×512×300"
    return [
        timings.faster(f"{what}, time", OURS, PEER, bar=5),
        timings.costs(f"{what}, time", OURS, BOUND, bar=None),
        Row(f"{what}, peak memory", OURS, PEER, peaks[OURS] / peaks[PEER], bar=0.5, at_least=False),
        Row(f"{what}, peak memory", OURS, "", peaks[OURS], unit=" GiB"),
        Row(f"{what}, peak memory", PEER, "", peaks[PEER], unit=" GiB"),
        Row(f"{what}, largest difference of the maps", OURS, PEER, apart, unit=""),
    ]


def prepare(folder: Path) -> dict[str, list[str]]:
    """Write the members, the calibration and what scikit-learn learns from; give both commands."""
    members = [write_member(folder / f"member_{k}", seed=k) for k in range(MEMBERS)]
    case = data.case(data.cube(LEARNT), members=MEMBERS)
    calibration = tt.fit([case], method="isotonic")
    calibration.save(folder / "calibration.json")
    knots = calibration.map
    np.savez(folder / "knots.npz", probability=knots.probability, response=knots.response)
    ours = [str(Path(sys.executable).with_name("twintrack")), "apply", str(folder / "calibration.json")]
    ours += ["--members", *map(str, members), "--out", str(folder / "ours")]
    theirs = [sys.executable, str(Path(__file__).with_name("obvious_route.py")), str(folder / "knots.npz")]
    files = [str(member / "case.npz") for member in members]
    theirs += [str(folder / "theirs.nii.gz"), *files]
    bound = [sys.executable, str(Path(__file__).with_name("inflating.py")), *files]
    return {OURS: ours, PEER: theirs, BOUND: bound}


def write_member(folder: Path, *, seed: int) -> Path:
    """Write a member as nnU-Net does: probabilities, the segmentation that has the geometry, the labels."""
    folder.mkdir()
    p = data.member(SHAPE, seed=seed)
    np.savez_compressed(folder / "case.npz", probabilities=np.stack([1 - p, p]))
    image = nibabel.Nifti1Image((p > 0.5).astype(np.uint8).T, np.diag([0.7, 0.7, 1.0, 1.0]))
    nibabel.save(image, folder / "case.nii.gz")
    content = {"labels": {"background": 0, "tumour": 1}, "file_ending": ".nii.gz"}
    (folder / "dataset.json").write_text(json.dumps(content), encoding="utf-8")
    return folder


def run(command: list[str]) -> Used:
    """Run a route to its end; give its time, its processor seconds and its peak resident memory."""
    start, before, peak = time.perf_counter(), os.times(), 0
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        status = Path(f"/proc/{process.pid}/status")
        while process.poll() is None:
            peak = max(peak, peak_of(status))
            time.sleep(0.01)
    wall, after = time.perf_counter() - start, os.times()
    if process.returncode:
        raise SystemExit(f"failed: {' '.join(command)}")
    cpu = after.children_user - before.children_user + after.children_system - before.children_system
    return Used(Spent(wall, cpu), peak)


def peak_of(status: Path) -> int:
    """Give a process's largest resident memory so far, in bytes; 0 once it has ended."""
    try:
        lines = status.read_text(encoding="ascii").splitlines()
    except OSError:
        return 0
    return next((1024 * int(line.split()[1]) for line in lines if line.startswith("VmHWM")), 0)


def difference(folder: Path) -> float:
    """Give how far the two maps lie apart, at most."""
    ours, theirs = (
        nibabel.load(folder / name).get_fdata(dtype=np.float32) for name in ("ours/case.nii.gz", "theirs.nii.gz")
    )
    return float(np.abs(ours - theirs).max())
