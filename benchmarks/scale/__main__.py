"""Measures how everything grows, keeps the figures as JSON and writes docs/evidence/scale.md and its figure.

Run: make scale, or python -m benchmarks.scale
"""

from __future__ import annotations

import json
import time
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from benchmarks.scale import grow, joining, large
from benchmarks.scale.page import draw, page
from benchmarks.speed.machine import machine

RESULTS = Path("benchmarks/results")


def main(
    out: Annotated[Path, typer.Option(help="The page to write; its figure goes beside it.")] = Path(
        "docs/evidence/scale.md"
    ),
    here: Annotated[int | None, typer.Option(hidden=True, help="Measure one size in this process.")] = None,
    large_here: Annotated[Path | None, typer.Option(hidden=True, help="Fit to many voxels in this process.")] = None,
) -> None:
    """Measure."""
    if here is not None:
        grow.here(here)
        return
    if large_here is not None:
        large.here(large_here)
        return
    rows, kept, joined, found = grow.all_sizes(), joining.kept_of_a_ct(), joining.all_numbers(), large.measured()
    described = machine()
    RESULTS.mkdir(exist_ok=True)
    content = {
        "machine": described,
        "cases": [asdict(row) for row in rows],
        "kept": kept,
        "joined": [asdict(row) for row in joined],
        "large": asdict(found),
    }
    kept_at = RESULTS / f"scale-{time.strftime('%Y%m%d-%H%M%S')}.json"
    kept_at.write_text(json.dumps(content), encoding="utf-8")
    out.write_text(page(rows, kept, joined, found, described), encoding="utf-8")
    draw(found, out.with_name("scale_memory.png"))


if __name__ == "__main__":
    typer.run(main)
