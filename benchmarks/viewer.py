"""Time until `twintrack view` shows a CT of 512 × 512 × 300 voxels with its response, without a graphics card.

The CT is noise with air above it, the response a ball. A Chromium without a window, which draws WebGL in software,
opens the page; processor seconds are those of the server and of the browser's processes, beyond what an empty page
takes.
Needs the extra `dev` and Debian's chromium (or another, named in TWINTRACK_CHROMIUM).

Run: python benchmarks/viewer.py [--slices 300]
"""

from __future__ import annotations

import os
import shutil
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import psutil
import typer
from playwright.sync_api import sync_playwright

from twintrack.images import Grid, Volume, write_volume
from twintrack.report.viewer.cases import find_cases
from twintrack.report.viewer.server import ViewerServer

OPTIONS = ["--no-sandbox", "--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader"]
PATIENCE = 600_000  # milliseconds


def main(slices: Annotated[int, typer.Option(help="Number of slices of 512 × 512.")] = 300) -> None:
    """Measure and print."""
    chromium = os.environ.get("TWINTRACK_CHROMIUM") or shutil.which("chromium")
    with tempfile.TemporaryDirectory() as scratch, sync_playwright() as playwright:
        make_case(Path(scratch), slices)
        cases = find_cases(Path(scratch) / "out", images=[Path(scratch) / "cts"], n_raters=5)
        with ViewerServer(cases) as server:
            threading.Thread(target=server.serve_forever, daemon=True).start()
            browser = playwright.chromium.launch(executable_path=chromium, args=OPTIONS)
            page = browser.new_page(viewport={"width": 1400, "height": 850})
            page.goto("about:blank")
            watch = Watch()
            page.goto(server.url)
            page.wait_for_selector("body[data-state=ready]", timeout=PATIENCE)
            page.screenshot(timeout=PATIENCE)  # waits until everything is drawn
            watch.say("from the address to the picture")
            for control, value in (("window-width", 300), ("slice-axial", slices // 3), ("level", 4)):
                event = "change" if control.startswith("window") else "input"
                page.evaluate(
                    "([id, value, event]) => { const e = document.getElementById(id); e.value = value; "
                    "e.dispatchEvent(new Event(event)); return new Promise((done) => setTimeout(done, 50)); }",
                    [control, str(value), event],
                )
                page.screenshot(timeout=PATIENCE)
                watch.say(control)
            browser.close()
            server.shutdown()


def make_case(folder: Path, slices: int) -> None:
    """Write a CT and a response."""
    grid = Grid.plain((slices, 512, 512), spacing=(1.0, 0.8, 0.8))
    rng = np.random.default_rng(0)
    ct = np.empty(grid.shape, np.int16)
    for plane in ct:
        plane[:] = rng.normal(40, 25, plane.shape).round()
    ct[:, :60] = -1000
    z, y, x = np.ogrid[:slices, :512, :512]
    distance = np.sqrt((z - slices / 2) ** 2 + (0.8 * (y - 240.0)) ** 2 + (0.8 * (x - 300.0)) ** 2)
    for name, array in (("cts", ct), ("out", np.clip(1 - distance / 30, 0, 1).astype(np.float32))):
        (folder / name).mkdir()
        write_volume(folder / name / "case.nii.gz", Volume(array, grid))


class Watch:
    """Says what was used since it was last asked."""

    def __init__(self) -> None:
        self.wall, self.used = time.perf_counter(), processor_seconds()

    def say(self, what: str) -> None:
        """Print wall and processor seconds, and begin anew."""
        wall, used = time.perf_counter(), processor_seconds()
        parts = {kind: used[kind] - self.used[kind] for kind in used}
        text = ", ".join(f"{kind} {seconds:.1f}" for kind, seconds in sorted(parts.items()))
        print(f"{what}: {wall - self.wall:.1f} s; processor seconds {sum(parts.values()):.1f} ({text})")
        self.wall, self.used = time.perf_counter(), processor_seconds()


def processor_seconds() -> Counter[str]:
    """Give the processor seconds of the server and of the browser's processes by their kind."""
    found: Counter[str] = Counter(server=time.process_time())
    for process in psutil.Process().children(recursive=True):
        try:
            kind, times = kind_of(process), process.cpu_times()
        except psutil.NoSuchProcess:
            continue
        found[kind] += times.user + times.system
    return found


def kind_of(process: Any) -> str:
    """Tell the browser's processes apart."""
    words = process.cmdline()
    return next((kind for kind in ("gpu-process", "renderer") if f"--type={kind}" in words), "browser")


if __name__ == "__main__":
    typer.run(main)
