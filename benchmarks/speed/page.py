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

Notes from separate measurements on two cores; they are not made anew with the table.

* **Fit.** In one thread, finding a voxel's level and counting it takes about 1.0 ns, adding five masks 0.33 ns,
  averaging three members in double precision 1.0 ns; the largest value of the same nine bytes 0.3 ns. Curve and map
  take 1.5 ms, whatever the number of voxels. Two threads share a case; where the whole takes some milliseconds the
  second often comes too late. scikit-learn takes 140 ns a voxel at 1e6 and 300 ns at 2e8. Loading the arrays from
  files that are in memory takes longer than fitting to them; only sums and largest values of what lies there
  already are faster.
* **Exact fit.** All voxels are counted once and walked through once more; 5 to 8 % of them are then sorted, digit
  by digit.
* **Beta calibration.** The fit to the table costs the same for any number of voxels: its optimiser is asked for the
  last digit, over tens of thousands of levels. netcal's stops earlier, with a higher cross-entropy, and is faster
  at 1e6.
* **Files.** Inflating alone is the bound: both classes must be inflated, since they are one stream, and it takes
  half of the time. Of about 6 processor seconds it took 3.5, starting (imports, compiled code) 1.4, averaging,
  checking, mapping and summing the voxels about 1, compressing the map 0.1. No volume is ever whole in memory: most
  of the peak is there before the first voxel.
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
