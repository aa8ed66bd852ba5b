"""A small cohort on disk, and the executors that must all do the same with it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import numpy as np
import pytest

import twintrack as tt
from twintrack.compute.executors import DaskCluster, Processes, Serial
from twintrack.segmentation.cts import Ct, find_cts

# Workers are given the search path of the process that starts them.
sys.path.insert(0, str(Path(__file__).parent / "tasks"))

N_CASES = 6
SHAPE = (4, 14, 16)


def make_case(folder: Path, number: int) -> tt.Case:
    """Write a case of two members and two or three raters."""
    rng = np.random.default_rng(number)
    truth = rng.normal(size=SHAPE).cumsum(axis=1).cumsum(axis=2)
    truth /= np.abs(truth).max()
    members = [1 / (1 + np.exp(-12 * (truth - 0.3 + 0.1 * rng.normal(size=SHAPE)))) for _ in range(2)]
    raters = [truth + 0.2 * rng.normal(size=SHAPE) > 0.3 for _ in range(2 + number % 2)]
    grid = tt.Grid.plain(SHAPE, spacing=(3.0, 0.8, 0.8))
    files = {}
    for kind, arrays, dtype in (("member", members, np.float32), ("rater", raters, np.uint8)):
        files[kind] = [folder / kind / str(k) / f"c{number}.nii.gz" for k in range(len(arrays))]
        for path, array in zip(files[kind], arrays, strict=True):
            path.parent.mkdir(parents=True, exist_ok=True)
            tt.write_volume(path, tt.Volume(array.astype(dtype), grid))
    return tt.Case(f"c{number}", members=files["member"], raters=files["rater"], patient=f"p{number // 2}")


@pytest.fixture(scope="session")
def cases(tmp_path_factory: pytest.TempPathFactory) -> list[tt.Case]:
    folder = tmp_path_factory.mktemp("cases")
    return [make_case(folder, number) for number in range(N_CASES)]


@pytest.fixture(scope="session")
def images(cases: list[tt.Case], tmp_path_factory: pytest.TempPathFactory) -> list[Ct]:
    """A CT of each case."""
    folder = tmp_path_factory.mktemp("cts")
    for number, case in enumerate(cases):
        array = np.random.default_rng(number).normal(40, 60, case.grid.shape).round().astype(np.int16)
        array[0] = -1000
        tt.write_volume(folder / f"{case.id}.nii.gz", tt.Volume(array, case.grid))
    return find_cts([folder])


@contextmanager
def cluster(folder: Path, *worker_options: str, failures: int = 1) -> Iterator[str]:
    """The address of a scheduler with worker processes, which are replaced when they die.

    All are processes of their own: in this one, Dask and the tests would wait for each other's children.
    """
    file = folder / "scheduler.json"
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
        "DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES": str(failures),
        "DASK_TEMPORARY_DIRECTORY": str(folder),
    }
    parts = {
        "dask_scheduler": ["--port", "0", "--host", "127.0.0.1"],
        "dask_worker": ["--nthreads", "1", *worker_options],
    }
    with ExitStack() as stack:
        log = stack.enter_context((folder / "log").open("w"))
        for part, options in parts.items():
            command = [sys.executable, "-m", f"distributed.cli.{part}", *options, "--no-dashboard"]
            running = subprocess.Popen(
                [*command, "--scheduler-file", str(file)], env=environment, stdout=log, stderr=log, cwd=folder
            )
            stack.callback(running.wait)
            stack.callback(running.terminate)
        deadline = time.monotonic() + 60
        while not (file.exists() and file.read_text(encoding="utf-8").endswith("}")):  # it is not written at once
            assert time.monotonic() < deadline, (folder / "log").read_text(encoding="utf-8")
            time.sleep(0.05)
        yield json.loads(file.read_text(encoding="utf-8"))["address"]


@pytest.fixture(scope="session")
def scheduler(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a scheduler with two worker processes."""
    pytest.importorskip("distributed")
    with cluster(tmp_path_factory.mktemp("dask"), "--nworkers", "2") as address:
        yield address


@pytest.fixture
def dask(scheduler: str) -> Iterator[DaskCluster]:
    """The executor of that cluster."""
    with DaskCluster.connect(scheduler, timeout=60) as executor:
        executor.client.wait_for_workers(2, timeout=60)
        yield executor


@pytest.fixture(params=["serial", "processes", "dask"])
def executor(request):
    """Each kind of executor."""
    return _named(request)


@pytest.fixture(params=["processes", "dask"])
def workers(request):
    """Each kind of executor that has workers."""
    return _named(request)


def _named(request):
    if request.param == "dask":
        return request.getfixturevalue("dask")
    return Serial() if request.param == "serial" else Processes(2)
