"""How much memory fitting, applying and scoring take beside the arrays of the case (Linux).

Makes a case of 512 × 512 × 300 voxels with three members and five raters in memory, and reports by how much the peak
resident memory of the process grows over the memory before. numba and the kernels are loaded first on a small case.

Run: python benchmarks/fit_memory.py [--shape 300 512 512]
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import numpy as np
from process_memory import peak_growth

import twintrack as tt

MIB = 1 << 20


def make_case(shape: tuple[int, ...], *, seed: int = 0) -> tt.Case:
    """Make smooth members and nested raters."""
    rng = np.random.default_rng(seed)
    z, y, x = (np.linspace(-1, 1, size, dtype=np.float32) for size in shape)
    distance = np.sqrt(z[:, None, None] ** 2 + y[None, :, None] ** 2 + x[None, None, :] ** 2)
    members = []
    for _ in range(3):
        p = 1 / (1 + np.exp(20 * (distance - np.float32(rng.uniform(0.25, 0.35)))))
        members.append(p.astype(np.float32))
    raters = [(distance < radius).view(np.uint8) for radius in (0.24, 0.27, 0.3, 0.33, 0.36)]
    return tt.Case("large", members=members, raters=raters, spacing=(1.0, 0.7, 0.7))


def measure(label: str, call: Callable[[], object]) -> None:
    """Run something and print its time and by how much the peak memory exceeds the memory before."""
    start = time.perf_counter()
    growth = peak_growth(call)
    print(f"{label:32} {time.perf_counter() - start:7.2f} s   peak +{growth / MIB:7.1f} MiB")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shape", type=int, nargs=3, default=(300, 512, 512))
    shape = tuple(parser.parse_args().shape)
    small = make_case((8, 16, 16))
    calibration = tt.fit([small], method="isotonic")
    tt.evaluate([small], calibration=calibration, repeats=2)
    tt.fit([small], exact=True, method="isotonic")
    case = make_case(shape)
    members, raters = case.members, case.raters.values()
    arrays = sum(source.read().array.nbytes for source in (*members, *raters))
    volume = members[0].read().array.nbytes
    print(f"{shape}: arrays {arrays / MIB:.0f} MiB, one float32 volume {volume / MIB:.0f} MiB")
    measure("fit", lambda: tt.fit([case], method="isotonic"))
    measure("fit, exact", lambda: tt.fit([case], exact=True, method="isotonic"))
    measure("apply (gives a new volume)", lambda: calibration.apply(case))
    measure("evaluate (holds two volumes)", lambda: tt.evaluate([case], calibration=calibration, repeats=2))


if __name__ == "__main__":
    main()
