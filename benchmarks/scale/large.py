"""A fit to a billion voxels, read from files, with the resident memory all along (Linux)."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.process_memory import resident
from benchmarks.scale.sizes import USUAL, write

import twintrack as tt
from twintrack.cohort.sources import PredictionSource

CASES = 13  # of 512 x 512 x 300: 1.02e9 voxels
EVERY = 0.1  # seconds


@dataclass(frozen=True)
class Large:
    """A fit to many voxels.

    Attributes:
        voxels: How many, over all cases.
        seconds: On the clock.
        cpu: Processor seconds.
        curve: Pairs of seconds and resident bytes.
        finished: Seconds at which each case was done.
    """

    voxels: int
    seconds: float
    cpu: float
    curve: list[tuple[float, int]]
    finished: list[float]


class Watch(threading.Thread):
    """Notes the resident memory again and again."""

    def __init__(self, start: float) -> None:
        super().__init__(daemon=True)
        self.start_time = start
        self.curve: list[tuple[float, int]] = []
        self._over = threading.Event()

    def run(self) -> None:
        """Note until stopped."""
        while not self._over.wait(EVERY):
            self.curve.append((time.perf_counter() - self.start_time, resident("VmRSS")))

    def stop(self) -> None:
        """End the noting."""
        self._over.set()
        self.join()


def measured() -> Large:
    """Fit in a process of its own: what this one holds would show in the curve."""
    with tempfile.TemporaryDirectory() as name:
        write(USUAL, Path(name))
        command = [sys.executable, "-m", "benchmarks.scale", "--large-here", name]
        done = subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True, encoding="utf-8")
    return Large(**json.loads(done.stdout.splitlines()[-1]))


def here(folder: Path) -> None:
    """Fit to the same files under many names, which are read anew for each, and print what was noted as JSON."""
    members = [PredictionSource(folder / f"member_{k}" / "case.npz") for k in range(USUAL.members)]
    raters = [folder / f"annotation_{k + 1}.nii.gz" for k in range(USUAL.raters)]
    cases = [tt.Case(f"case_{k}", members=members, raters=raters) for k in range(CASES)]
    start, cpu, finished = time.perf_counter(), time.process_time(), []
    watch = Watch(start)
    watch.start()

    def noting(walk: Sequence[tt.Case], label: str) -> Iterator[tt.Case]:  # noqa: ARG001  (as every progress)
        for case in walk:
            yield case
            finished.append(time.perf_counter() - start)

    tt.fit(cases, method="isotonic", progress=noting)
    watch.stop()
    spent = time.process_time() - cpu
    print(json.dumps(asdict(Large(CASES * USUAL.voxels, time.perf_counter() - start, spent, watch.curve, finished))))
