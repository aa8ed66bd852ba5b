"""What `twintrack apply` and `twintrack predict` leave behind, made by hand, with the CTs and raters of two cases."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from twintrack.cohort.find import find_cohort
from twintrack.images import Grid, Volume, write_volume
from twintrack.report.viewer.cases import ViewedCase, find_cases
from twintrack.report.viewer.server import ViewerServer

SHAPE = (4, 6, 8)
GRID = Grid.plain(SHAPE, spacing=(3.0, 0.8, 0.7))
RECORD = {
    "expected_volume_mm3": 2345.6,
    "expected_interval": {"low_mm3": 2000.0, "high_mm3": 2700.0, "level": 0.9, "n_replicates": 100},
    "interval": {"low_mm3": 1500.0, "high_mm3": 3500.0, "level": 0.9, "promised": 0.89, "n_cases": 8},
    "no_interval": None,
    "distribution": {"mean_mm3": 2345.6, "quantiles_mm3": {"0.5": 2300.0}, "probability_empty": 0.0},
}


def response() -> np.ndarray:
    array = np.zeros(SHAPE, np.float32)
    array[1:3, 2:5, 3:6] = 0.3
    array[1, 3, 4] = 0.9
    return array


def write(path: Path, array: np.ndarray, grid: Grid = GRID) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_volume(path, Volume(array, grid))
    return path


@pytest.fixture
def applied(tmp_path: Path) -> Path:
    """The folder of two cases, a and b; beside it cts/, raters/ of a, and members/."""
    folder = tmp_path / "out"
    for case in ("a", "b"):
        write(folder / f"{case}.nii.gz", response())
        write(folder / "lower" / f"{case}.nii.gz", response() / 2)
        write(tmp_path / "cts" / f"{case}.nii.gz", np.full(SHAPE, -50, np.int16))
        write(tmp_path / "members" / f"{case}.nii.gz", response() / 3)
    for rater in (1, 2, 3):
        write(
            tmp_path / "raters" / "a" / f"annotation_{rater}.nii.gz", (response() > 0.3 * (rater - 1)).astype(np.uint8)
        )
    (folder / "volumes.json").write_text(json.dumps({"schema_version": 1, "cases": {"a": RECORD}}), encoding="utf-8")
    (folder / "flags.json").write_text(json.dumps({"flags": {"b": ["too bright"]}}), encoding="utf-8")
    return folder


@pytest.fixture
def cases(applied: Path) -> list[ViewedCase]:
    """Both cases with everything there is."""
    root = applied.parent
    named = [root / "raters", root / "members"]
    return find_cases(
        applied,
        images=[root / "cts"],
        drawn=find_cohort(raters=named[0]),
        predicted=find_cohort(members=[named[1]]),
        named=named,
    )


@pytest.fixture
def serve() -> Iterator[Callable[[list[Any]], ViewerServer]]:
    """Serve cases until the test ends."""
    running: list[ViewerServer] = []

    def start(cases: list[Any]) -> ViewerServer:
        server = ViewerServer(cases)
        running.append(server)
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        return server

    yield start
    for server in running:
        server.shutdown()
        server.server_close()
