"""A small cohort on disk, and the executors that must all do the same with it."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

import twintrack as tt
from twintrack.compute.executors import DaskCluster, Processes, Serial

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
def dask_cluster(tmp_path_factory: pytest.TempPathFactory):
    """A scheduler and two worker processes, which are replaced when they die."""
    dask = pytest.importorskip("dask")
    distributed = pytest.importorskip("distributed")
    settings = {
        "distributed.scheduler.allowed-failures": 1,
        "temporary-directory": str(tmp_path_factory.mktemp("dask")),
    }
    with (
        dask.config.set(settings),
        distributed.LocalCluster(
            n_workers=2,
            threads_per_worker=1,
            processes=True,
            dashboard_address=None,
            worker_dashboard_address=None,
            silence_logs=50,
        ) as cluster,
    ):
        yield cluster


@pytest.fixture
def dask(dask_cluster) -> DaskCluster:
    """The executor of that cluster."""
    with DaskCluster.connect(dask_cluster.scheduler_address, timeout=60) as executor:
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
