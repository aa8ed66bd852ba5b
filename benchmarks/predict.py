"""Time and peak memory of `twintrack predict` on a large CT, stage by stage; writes docs/evidence/predict_time.md.

A CT phantom of the size of a patient's scan is predicted by the embedded networks, each run in a process of its own:
with the ROI that the coarse network finds, and with the whole volume searched, as when it finds nothing.

Run: python benchmarks/predict.py [--slices 300] [--slices 400] [--out docs/evidence/predict_time.md]
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from twintrack.images import Volume, write_volume
from twintrack.synthetic import make_phantom

SPACING = (1.0, 0.75, 0.75)
FIELD = 512
SEED = 77_001


def main(
    slices: Annotated[list[int] | None, typer.Option(help="Number of slices; may be given several times.")] = None,
    out: Annotated[Path, typer.Option(help="The page to write.")] = Path("docs/evidence/predict_time.md"),
    whole: Annotated[bool, typer.Option(help="Also search the whole volume.")] = True,
) -> None:
    """Measure and write the page."""
    rows = []
    with tempfile.TemporaryDirectory() as scratch:
        for n in slices or [300, 400]:
            ct = Path(scratch) / f"phantom_{n}.nii.gz"
            make_ct(ct, n)
            rows.append(measure(ct, Path(scratch), f"{FIELD}×{FIELD}×{n}, ROI found"))
            if whole:
                everywhere = Path(scratch) / f"whole_{n}.nii.gz"
                write_volume(everywhere, Volume(np.ones((n, FIELD, FIELD), np.uint8), grid_of(n)))
                rows.append(measure(ct, Path(scratch), f"{FIELD}×{FIELD}×{n}, whole volume", "--roi", str(everywhere)))
    out.write_text(page(rows), encoding="utf-8")
    print(out.read_text(encoding="utf-8"))


def grid_of(n_slices: int) -> Any:
    """Give the phantom's grid."""
    from twintrack.synthetic.phantom import phantom_grid  # noqa: PLC0415

    return phantom_grid((n_slices, FIELD, FIELD), SPACING)


def make_ct(path: Path, n_slices: int) -> None:
    """Write a phantom."""
    phantom = make_phantom(SEED, shape=(n_slices, FIELD, FIELD), spacing=SPACING)
    write_volume(path, Volume(phantom.ct, phantom.grid, path.name))


def measure(ct: Path, scratch: Path, title: str, *options: str) -> dict[str, Any]:
    """Predict in a process of its own; give its stages' seconds and its peak memory."""
    out = scratch / f"predicted-{len(options)}-{ct.stem}"
    command = [str(Path(sys.executable).with_name("twintrack")), "predict", str(ct), "--out", str(out), *options]
    peak = 0
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        status = Path(f"/proc/{process.pid}/status")
        while process.poll() is None:
            peak = max(peak, peak_of(status))
            time.sleep(0.2)
    if process.returncode:
        raise SystemExit(f"{title}: the prediction failed")
    (summary,) = (out / "summaries").glob("*.json")
    content = json.loads(summary.read_text(encoding="utf-8"))
    return {"title": title, "seconds": content["seconds"], "gigabytes": peak / 2**30, "roi": content["roi"]}


def peak_of(status: Path) -> int:
    """Give a process's largest resident memory so far, in bytes; 0 once it has ended."""
    try:
        lines = status.read_text(encoding="ascii").splitlines()
    except OSError:
        return 0
    return next((1024 * int(line.split()[1]) for line in lines if line.startswith("VmHWM")), 0)


def page(rows: list[dict[str, Any]]) -> str:
    """Give the table in Markdown."""
    stages = list(dict.fromkeys(stage for row in rows for stage in row["seconds"]))
    lines = [
        "<!-- written by benchmarks/predict.py -->",
        "",
        f"Seconds per stage and peak memory of `twintrack predict` with the embedded networks; {os.cpu_count()} cores "
        f"({platform.machine()}), no GPU, one run each.",
        "",
        "| | " + " | ".join(row["title"] for row in rows) + " |",
        "|---|" + "---:|" * len(rows),
        *(
            f"| {stage} | " + " | ".join(f"{row['seconds'].get(stage, 0):.1f}" for row in rows) + " |"
            for stage in stages
        ),
        "| **all** | " + " | ".join(f"{sum(row['seconds'].values()):.1f}" for row in rows) + " |",
        "| peak memory, GB | " + " | ".join(f"{row['gigabytes']:.1f}" for row in rows) + " |",
        "",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    typer.run(main)
