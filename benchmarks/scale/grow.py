"""Measures processor seconds and memory of each step for one case in files, in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.process_memory import peak_growth
from benchmarks.scale.sizes import MEASURED, Size, write

import twintrack as tt
from twintrack.calibration.writing.responses import write_responses
from twintrack.cohort.sources import PredictionSource

STEPS = ("fit", "apply", "evaluate")


@dataclass(frozen=True)
class Measured:
    """What a step took for a case of a size.

    Attributes:
        step: "fit", "apply" or "evaluate".
        voxels: Number of voxels.
        members: Number of members.
        raters: Number of raters.
        cpu: Processor seconds, of all threads.
        memory: Bytes that the peak lies above what was resident before.
        read: Bytes of the files.
    """

    step: str
    voxels: int
    members: int
    raters: int
    cpu: float
    memory: int
    read: int


def all_sizes() -> list[Measured]:
    """Measure every size in turn."""
    found = []
    for k, size in enumerate(MEASURED):
        command = [sys.executable, "-m", "benchmarks.scale", "--here", str(k)]
        done = subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True, encoding="utf-8")
        found += [Measured(**row) for row in json.loads(done.stdout.splitlines()[-1])]
        print(size, *(f"{row.step} {row.cpu:.2f} s" for row in found[-len(STEPS) :]), flush=True)
    return found


def here(number: int) -> None:
    """Measure one size and print it as JSON."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        warm = case_of(Size((8, 32, 32), 3, 5), folder / "warm")
        calibration = tt.fit([warm], method="isotonic")
        steps(calibration, warm, folder / "first")
        size = MEASURED[number]
        case = case_of(size, folder / "case")
        read = sum(file.stat().st_size for file in case.files)
        found = []
        for step, call in steps(calibration, case, folder / "out").items():
            call()
            start = time.process_time()
            memory = peak_growth(call)
            cpu = time.process_time() - start
            found.append(asdict(Measured(step, size.voxels, size.members, size.raters, cpu, memory, read)))
    print(json.dumps(found))


def case_of(size: Size, folder: Path) -> tt.Case:
    """Write a case and give it."""
    files = write(size, folder)
    return tt.Case("case", members=[PredictionSource(path) for path in files.members], raters=files.raters)


def steps(calibration: tt.Calibration, case: tt.Case, out: Path) -> dict[str, Callable[[], object]]:
    """Give what is done with a case."""
    return {
        "fit": lambda: tt.fit([case], method="isotonic"),
        "apply": lambda: write_responses(calibration, [case], folder=out),
        "evaluate": lambda: tt.evaluate([case], calibration=calibration, repeats=2),
    }
