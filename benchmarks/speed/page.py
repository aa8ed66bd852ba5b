"""Turns measured rows into the page of the docs."""

from __future__ import annotations

from typing import Any

HEAD = """<!-- written by `make bench` (benchmarks/speed) -->

# Speed

Each line compares two things that ran in turn in one run: the median of the ratios of their times, the quartiles over
repeats in brackets, the ratio of processor seconds, and what was aimed at. Ratios depend little on the machine; the
seconds are there for orientation. The data are made up: a ball with a blurred border, noisy members whose
probabilities are nearly all distinct, five raters.
"""

MISSED = """
## What is missed

Notes on one run on two busy cores, from separate measurements; they are not made anew with the table.

* **Fit.** By itself, finding a voxel's level and counting it took about 1.2 ns, adding five masks 0.6 to 0.9 ns, and
  averaging three members in double precision 3.4 to 5.7 ns; the largest value of the same nine bytes took 0.35 ns.
  It is not the order of the voxels that makes scikit-learn fast here: shuffled, the ratio was 94 instead of 76,
  and 101 without the voxels of probability 0.
* **Exact fit.** All voxels are counted once and walked through once more; 5 to 8 % of them are then sorted.
* **Memory copy, random order.** An earlier run of the same code had 3.68 (3.3 to 3.69): it lies at the aim, within what
  runs differ by.
* **Beta calibration.** The fit to the table costs nearly the same for any number of voxels (1.6 s for 1e5, 1.3 s for
  1e6): its optimiser is asked for the last digit, over tens of thousands of levels. Below 1e6 voxels betacal is
  faster, with a cross-entropy 1e-5 higher; netcal stops earlier.
* **Files.** Of 6.1 processor seconds, inflating the members with their checksums took 3.5, starting (imports, compiled
  code) 1.4, averaging, checking, mapping and summing the voxels about 1, compressing the map 0.1. Inflating alone is
  the bound: both classes must be inflated, since they are one stream. No volume is ever whole in memory: of the peak of
  315 MiB, 275 are there before the first voxel.
"""

TABLE = """
| claim | ours | compared with | figure | processor | seconds | aim | |
|---|---|---|---:|---:|---:|---:|---|
"""


def page(described: dict[str, str], rows: list[dict[str, Any]]) -> str:
    """Write the page."""
    machine = ", ".join(f"{name} {value}" for name, value in described.items())
    return HEAD + f"\nMachine: {machine}.\n" + TABLE + "".join(map(line, rows)) + MISSED


def line(row: dict[str, Any]) -> str:
    """Write a line of the table."""
    unit = row["unit"]
    figure = f"**{number(row['value'])}{unit}**"
    if row["low"] is not None:
        figure += f" ({number(row['low'])}–{number(row['high'])})"
    cpu = "" if row["cpu"] is None else f"{number(row['cpu'])}{unit}"
    seconds = "" if row["seconds"] is None else " / ".join(f"{one:.3g}" for one in row["seconds"])
    sign = "≥" if row["at_least"] else "≤"
    aim = "" if row["bar"] is None else f"{sign} {number(row['bar'])}{unit}"
    reached = {None: "", True: "reached", False: "**not reached**"}[row["reached"]]
    return f"| {row['claim']} | {row['ours']} | {row['peer']} | {figure} | {cpu} | {seconds} | {aim} | {reached} |\n"


def number(value: float) -> str:
    """Write a number with two or three digits."""
    if value and abs(value) < 1e-3:
        return f"{value:.1e}"
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"
