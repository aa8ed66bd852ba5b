"""`--workers` and `--scheduler`: the same files, progress, and what is said where there are no workers."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import twintrack as tt

INTERRUPTIBLE = """
import signal
from twintrack.cli import main
signal.signal(signal.SIGINT, signal.default_int_handler)  # a process started in the background ignores Ctrl-C
main()
"""
TWINTRACK = Path(sys.executable).with_name("twintrack")


@pytest.fixture(scope="session")
def given(cases):
    """Options that name the cohort, and one case of it that cannot be read."""
    folder = cases[0].files[0].parents[2]
    members = [str(folder / "member" / name) for name in "01"]
    raters = folder.parent / "raters"
    for one in cases:
        for name, source in one.raters.items():
            path = raters / one.id / f"annotation_{name}.nii.gz"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(source.files[0].read_bytes())
    return {"members": ["--members", *members], "raters": ["--raters", str(raters)]}


def run(*arguments, timeout=120):
    command = [TWINTRACK, *map(str, arguments)]
    done = subprocess.run(command, check=False, capture_output=True, encoding="utf-8", timeout=timeout)
    assert "Traceback" not in done.stderr
    return done


@pytest.fixture(params=["workers", "scheduler"])
def how(request):
    if request.param == "workers":
        return ["--workers", "2"]
    return ["--scheduler", request.getfixturevalue("scheduler")]


def work_through(given, folder, *options):
    """Run the commands that walk through cases and give every file they write."""
    both = [*given["raters"], *given["members"]]
    steps = [
        ("fit", *both, "--method", "isotonic", "--replicates", 3, "--out", folder / "calibration.json"),
        ("tabulate", *both, "--out", folder / "site.table"),
        ("apply", folder / "calibration.json", *given["members"], "--out", folder / "responses"),
        ("evaluate", *both, "--calibration", folder / "calibration.json", "--repeats", 5, "--out", folder / "scores"),
    ]
    for command, *rest in steps:
        done = run(command, *rest, *options)
        assert done.returncode == 0, done.stderr
        assert "6 of 6 cases" in done.stderr
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*.*")}


@pytest.fixture(scope="session")
def alone(given, tmp_path_factory):
    return work_through(given, tmp_path_factory.mktemp("alone"))


def test_every_command_gives_the_same_files(given, how, alone, tmp_path):
    assert work_through(given, tmp_path, *how) == alone
    assert len(alone) == 2 + 6 + 2 + 4


def test_a_case_that_cannot_be_read_is_left_out_by_name(given, cases, tmp_path):
    raters = tmp_path / "raters"
    for one in cases:
        for name, source in one.raters.items():
            path = raters / one.id / f"annotation_{name}.nii.gz"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(source.files[0].read_bytes()[: 200 if one.id == "c3" else None])
    options = ["--raters", raters, *given["members"], "--workers", 2, "--out", tmp_path / "t"]
    refused = run("tabulate", *options)
    assert refused.returncode == 1
    assert "error: " in refused.stderr
    assert "c3" in refused.stderr
    done = run("tabulate", *options, "--skip-bad")
    assert done.returncode == 0
    assert "cases left out: 1" in done.stderr
    assert done.stdout.startswith("5 cases of 5 patients")


def test_workers_and_a_scheduler_exclude_each_other(given, tmp_path):
    out = tmp_path / "t"
    done = run(
        "tabulate", *given["raters"], *given["members"], "--workers", 2, "--scheduler", "tcp://x:1", "--out", out
    )
    assert done.returncode == 1
    assert "--workers and --scheduler exclude each other" in done.stderr


def test_an_unreachable_scheduler_is_told(given, tmp_path):
    pytest.importorskip("distributed")
    start = time.monotonic()
    options = ["--scheduler", "tcp://127.0.0.1:9", "--out", tmp_path / "t"]
    done = run("tabulate", *given["raters"], *given["members"], *options)
    assert done.returncode == 1
    assert "error: no Dask scheduler answers at tcp://127.0.0.1:9 in 10 s" in done.stderr
    assert time.monotonic() - start < 60


def test_tables_hold_nothing_that_workers_could_read(tmp_path):
    done = run("fit", "--tables", tmp_path / "t", "--workers", 2, "--out", tmp_path / "c.json")
    assert done.returncode == 1
    assert "--tables does not go with --workers" in done.stderr


def children(process):
    found = subprocess.run(
        ["ps", "--ppid", str(process), "-o", "pid="], check=False, capture_output=True, encoding="utf-8"
    )
    return [int(word) for word in found.stdout.split()]


def alive(process):
    stat = Path(f"/proc/{process}/stat")
    return stat.exists() and stat.read_text(encoding="utf-8").rpartition(")")[2].split()[0] != "Z"


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks at processes by /proc")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_leaves_whole_maps_and_no_process(given, cases, tmp_path, number):
    calibration = tmp_path / "calibration.json"
    tt.fit(cases, method="isotonic", replicates=0).save(calibration)
    many = tmp_path / "many"
    many.mkdir()
    array = np.random.default_rng(0).random((40, 128, 128), np.float32)
    tt.write_volume(many / "c00.mha", tt.Volume.from_array(array, spacing=(1.0, 1.0, 1.0)))
    for k in range(1, 60):
        (many / f"c{k:02}.mha").hardlink_to(many / "c00.mha")
    out = tmp_path / "out"
    command = [
        sys.executable,
        "-c",
        INTERRUPTIBLE,
        "apply",
        calibration,
        "--members",
        many,
        "--out",
        out,
        "--workers",
        "2",
    ]
    with subprocess.Popen(list(map(str, command)), stderr=subprocess.PIPE, encoding="utf-8") as running:
        deadline = time.monotonic() + 60
        while len(list(out.glob("c*.nii.gz"))) < 3:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        family = children(running.pid)
        running.send_signal(number)
        _, err = running.communicate(timeout=60)
    assert (running.returncode, len(family) >= 2) == (130, True)
    assert "error: interrupted" in err
    assert "Traceback" not in err
    while any(map(alive, family)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(map(alive, family))
    assert not list(out.glob(".*"))
    written = sorted(out.glob("c*.nii.gz"))
    assert len({path.read_bytes() for path in written}) == 1
    assert set(json.loads((out / "volumes.json").read_text(encoding="utf-8"))["cases"]) <= {
        path.name[:3] for path in written
    }
