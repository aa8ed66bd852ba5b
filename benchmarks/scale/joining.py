"""Measures what the process that joins the cases keeps of each, and how long a fit to what it keeps takes."""

from __future__ import annotations

import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from benchmarks.process_memory import peak_growth, resident
from benchmarks.scale.sizes import USUAL
from benchmarks.speed import data

import twintrack as tt

NUMBERS = (100, 200, 400, 800)
SHAPE = (48, 48, 48)


@dataclass(frozen=True)
class Joined:
    """What joining a number of cases took.

    Attributes:
        cases: How many.
        kept: Bytes of memory that their table takes.
        cpu: Processor seconds of the isotonic fit to it, with its bands, volumes and guard.
        memory: Bytes that the fit took at its peak.
        table: Bytes of the table's file.
        calibration: Bytes of the calibration's file.
    """

    cases: int
    kept: int
    cpu: float
    memory: int
    table: int
    calibration: int


def all_numbers() -> list[Joined]:
    """Join more and more cases, each counted on its own before."""
    tables, found = [], []
    before = resident("VmRSS")
    joined: tt.ResponseTable | None = None
    for n in NUMBERS:
        for k in range(len(tables), n):
            one = tt.tabulate([case(SHAPE, seed=k)])
            tables.append(k)
            joined = one if joined is None else joined + one
        assert joined is not None
        found.append(measured(joined, kept=resident("VmRSS") - before))
        print(found[-1], flush=True)
    return found


def measured(table: tt.ResponseTable, *, kept: int) -> Joined:
    """Fit to a table and write everything."""
    fitted: list[tt.Calibration] = []
    start = time.process_time()
    memory = peak_growth(lambda: fitted.append(tt.fit(table, method="isotonic")))
    cpu = time.process_time() - start
    with tempfile.TemporaryDirectory() as name:
        saved, written = Path(name) / "calibration.json", Path(name) / "site.table"
        fitted[0].save(saved)
        tt.save_table(table, written)
        return Joined(table.n_cases, kept, cpu, memory, written.stat().st_size, saved.stat().st_size)


def kept_of_a_ct() -> int:
    """Give the bytes that are kept of one case of the usual size."""
    tally = tt.tabulate([case(USUAL.shape, seed=0)]).cases[0].tally
    return tally.group.nbytes + tally.probability.nbytes + tally.votes.nbytes


def case(shape: tuple[int, int, int], *, seed: int) -> tt.Case:
    """Make a case in memory that no other seed gives."""
    return tt.Case(
        f"case_{seed}",
        members=[data.member(shape, seed=10 * seed + k) for k in range(USUAL.members)],
        raters=[data.rater(shape, seed=10 * seed + k) for k in range(USUAL.raters)],
        spacing=(1.0, 0.7, 0.7),
    )
