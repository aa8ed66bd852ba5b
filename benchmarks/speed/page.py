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

TABLE = """
| claim | ours | compared with | figure | processor | seconds | aim | |
|---|---|---|---:|---:|---:|---:|---|
"""


def page(described: dict[str, str], rows: list[dict[str, Any]]) -> str:
    """Write the page."""
    machine = ", ".join(f"{name} {value}" for name, value in described.items())
    return HEAD + f"\nMachine: {machine}.\n" + TABLE + "".join(map(line, rows))


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
