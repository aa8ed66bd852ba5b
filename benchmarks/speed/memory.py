"""What fitting and applying add to the resident memory beside the case's own arrays, at two sizes (Linux)."""

from __future__ import annotations

import os

import numpy as np
from benchmarks.process_memory import peak_growth
from benchmarks.speed import data
from benchmarks.speed.harness import Row

import twintrack as tt
from twintrack.calibration.methods.isotonic import IsotonicMap
from twintrack.calibration.respond import respond_in_place
from twintrack.calibration.table import ResponseTable, count_votes

MIB = 1 << 20
SIZES = (10_000_000, 50_000_000)


def rows(*, large: bool) -> list[Row]:
    """Measure, in one thread as a worker among several works; each further thread has a table of its own, 1.3 MiB."""
    os.environ["OMP_NUM_THREADS"] = "1"
    small = data.case(data.cube(8000), members=3)
    fitted = tt.fit([small], method="isotonic").map
    assert isinstance(fitted, IsotonicMap)
    respond_in_place(small.read().probability(), fitted, pin_zero=True, roi=None)
    found = []
    for voxels in (*SIZES, *((200_000_000,) if large else ())):
        case = data.case(data.cube(voxels), members=3)
        read = case.read()
        what = f"{voxels:.0e} voxels, 3 members, 5 raters".replace("e+0", "e")
        masks = [mask.reshape(-1) for mask in read.raters.values()]
        probability = read.probability()
        found += [
            growth(f"memory of a fit, {what}", "table and map", 8, lambda r=read, m=masks: fit(r, m)),
            growth(f"memory of a fit, {what}", "`tt.fit`", None, lambda c=case: tt.fit([c], method="isotonic")),
            growth(
                f"memory of applying in place, {voxels:.0e} voxels".replace("e+0", "e"),
                "`respond_in_place`",
                8,
                lambda p=probability: respond_in_place(p, fitted, pin_zero=True, roi=None),
            ),
        ]
    return found


def fit(read: tt.CaseData, masks: list[np.ndarray]) -> None:
    """Fill a table and fit."""
    IsotonicMap.fit(ResponseTable({len(masks): count_votes(read, masks)}).curve())


def growth(claim: str, ours: str, bar: float | None, call: object) -> Row:
    """Say by how much the peak exceeds what was resident before."""
    assert callable(call)
    return Row(claim, ours, "resident before", peak_growth(call) / MIB, bar=bar, at_least=False, unit=" MiB")
