"""Measures every claim, keeps the figures as JSON and writes docs/evidence/speed.md.

Run: make bench, or python -m benchmarks.speed [--large] [--only fit --only apply]
"""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Annotated

import typer
from benchmarks.speed.machine import machine
from benchmarks.speed.page import page

CLAIMS = ("fit", "memory", "apply", "case_aware", "peers", "files")
RESULTS = Path("benchmarks/results")


def main(
    only: Annotated[list[str] | None, typer.Option(help="Claims to measure; may be given several times.")] = None,
    large: Annotated[bool, typer.Option(help="Also fit 2e8 voxels (20 GB of memory, an hour).")] = False,
    out: Annotated[Path, typer.Option(help="The page to write; a selection of claims writes none.")] = Path(
        "docs/evidence/speed.md"
    ),
    here: Annotated[bool, typer.Option(hidden=True, help="Measure in this process and print JSON.")] = False,
) -> None:
    """Measure."""
    claims = only or list(CLAIMS)
    if here:
        for claim in claims:
            rows = importlib.import_module(f"benchmarks.speed.{claim}").rows(large=large)
            print(json.dumps([row.plain() for row in rows]))
        return
    found = [row for claim in claims for row in measured(claim, large=large)]
    described = machine()
    RESULTS.mkdir(exist_ok=True)
    kept = RESULTS / f"speed-{time.strftime('%Y%m%d-%H%M%S')}.json"
    kept.write_text(json.dumps({"machine": described, "rows": found}, indent=1), encoding="utf-8")
    text = page(described, found)
    print(text)
    if only is None:
        out.write_text(text, encoding="utf-8")


def measured(claim: str, *, large: bool) -> list[dict[str, object]]:
    """Measure a claim in a process of its own: memory that an earlier one keeps would hide what a later one takes."""
    command = [sys.executable, "-m", "benchmarks.speed", "--here", "--only", claim, *(["--large"] if large else [])]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True)
    rows: list[dict[str, object]] = json.loads(done.stdout.splitlines()[-1])
    return rows


if __name__ == "__main__":
    typer.run(main)
