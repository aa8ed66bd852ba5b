"""How much memory a worker process takes at most, all in all, for one large case in files (Linux).

Writes the case of `fit_memory` (512 × 512 × 300 voxels, three members, five raters) as .nii.gz and lets one worker
process count, sample, apply and score it, with `--workers 1`'s executor. What is reported is the worker's peak resident
memory, with Python and all libraries.

Run: python benchmarks/worker_memory.py [--shape 300 512 512]
"""

from __future__ import annotations

import argparse
import contextlib
import multiprocessing
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

from fit_memory import MIB, make_case

import twintrack as tt
from twintrack.calibration.writing.responses import write_responses


def write_case(case: tt.Case, folder: Path) -> tt.Case:
    """Write a case that is in memory, and give it as files."""
    files: dict[str, list[Path]] = {}
    for kind, sources in (("member", case.members), ("rater", tuple(case.raters.values()))):
        files[kind] = [folder / f"{kind}_{k}.nii.gz" for k in range(len(sources))]
        for path, source in zip(files[kind], sources, strict=True):
            tt.write_volume(path, source.read())
    return tt.Case(case.id, members=files["member"], raters=files["rater"])


def named(case: tt.Case, name: str) -> tt.Case:
    """Give a case under another name."""
    arrays = [[source.read() for source in sources] for sources in (case.members, case.raters.values())]
    return tt.Case(name, members=arrays[0], raters=arrays[1])


class Watch(threading.Thread):
    """Looks at the peak memory of this process's children until it is stopped."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.peak = 0
        self._over = threading.Event()

    def run(self) -> None:
        """Look every few milliseconds; a child's peak only grows, so the last look counts."""
        while not self._over.wait(0.005):
            for child in multiprocessing.active_children():
                with contextlib.suppress(OSError, StopIteration):
                    lines = Path(f"/proc/{child.pid}/status").read_text(encoding="ascii").splitlines()
                    peak = next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))
                    self.peak = max(self.peak, 1024 * peak)

    def stop(self) -> None:
        """End the looking."""
        self._over.set()
        self.join()


def measure(label: str, call: Callable[[], object]) -> None:
    """Run something and print its time and the peak memory of its worker."""
    watch, start = Watch(), time.perf_counter()
    watch.start()
    call()
    watch.stop()
    print(f"{label:32} {time.perf_counter() - start:7.2f} s   worker's peak {watch.peak / MIB:7.0f} MiB")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shape", type=int, nargs=3, default=(300, 512, 512))
    shape = tuple(parser.parse_args().shape)
    one = tt.Processes(1)
    small = [named(make_case((8, 16, 16)), "small")]
    calibration = tt.fit(small, method="isotonic")
    measure("nothing but a case of 2048 voxels", lambda: tt.tabulate(small, executor=one))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        case = write_case(make_case(shape), folder)
        print(f"{shape}: one float32 volume {4 * shape[0] * shape[1] * shape[2] / MIB:.0f} MiB")
        measure("fit, isotonic", lambda: tt.fit([case], method="isotonic", executor=one))
        measure("fit, case-aware", lambda: tt.fit([case, *small], method="conditional", executor=one))
        measure("fit, exact", lambda: tt.fit([case], method="isotonic", exact=True, executor=one))
        measure("apply", lambda: write_responses(calibration, [case], folder=folder / "out", executor=one))
        measure("evaluate", lambda: tt.evaluate([case], calibration=calibration, repeats=2, executor=one))


if __name__ == "__main__":
    main()
