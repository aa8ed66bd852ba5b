"""`--workers` and `--scheduler` reach whoever does the work, in every command that walks through cases."""

from __future__ import annotations

import json
import shutil

import pytest

from twintrack.cli import options
from twintrack.compute.executors import Serial

from .conftest import CASES
from .test_predict import make_bundle, write_ct

TAKE_CASES = ["fit", "tabulate", "apply", "evaluate", "inspect", "raters", "masks", "sample-size", "predict", "segment"]


class Recording(Serial):
    """Does the work here and notes how many items it was given."""

    def __init__(self, n):
        self.n = n
        self.walks = []
        Recording.last = self

    def map(self, task, items, *, gather=True):
        self.walks.append(len(items))
        return super().map(task, items, gather=gather)


@pytest.fixture
def recording(monkeypatch):
    monkeypatch.setattr(options, "Processes", Recording)
    Recording.last = None
    return Recording


@pytest.fixture
def ensemble(files):
    """CTs and a bundle, as `predict` and `segment` take them."""
    for number, case in enumerate(CASES):
        write_ct(files.root / "cts" / f"{case}.nii.gz", number)
    return (files.root / "cts", "--models", make_bundle(files.root / "bundle", files))


def arguments(command, files, ensemble, out):
    both = [*files.predicted, *files.drawn]
    return {
        "fit": [*both, "--method", "isotonic", "--out", out],
        "tabulate": [*both, "--out", out],
        "apply": [files.calibration, *files.predicted, "--out", out],
        "evaluate": [*both, "--repeats", 5, "--out", out],
        "inspect": both,
        "raters": both,
        "masks": [out.parent / "masks.json", *files.predicted, "--number", 1, "--out", out],
        "sample-size": [*both, "--method", "isotonic", "--sizes", 4, "--repeats", 1],
        "predict": [*ensemble, "--out", out],
        "segment": [*ensemble, "--out", out],
    }[command]


@pytest.mark.parametrize("command", TAKE_CASES)
def test_workers_are_given_the_cases(run, files, ensemble, recording, command):
    if command == "masks":
        both = [*files.predicted, *files.drawn]
        assert run("fit", *both, "--method", "isotonic", "--masks", "--out", files.root / "masks.json").code == 0
    asked = arguments(command, files, ensemble, files.root / "out")
    done = run(command, *asked, "--workers", 3)
    assert done.code == 0, done.err
    assert recording.last.n == 3
    assert recording.last.walks
    # For pictures evaluate looks at the best, the median and the worst case once more.
    assert set(recording.last.walks) == ({len(CASES), 3} if command == "evaluate" else {len(CASES)})
    assert "5 of 5 cases" in done.err


@pytest.mark.parametrize("command", TAKE_CASES)
def test_workers_and_a_scheduler_exclude_each_other(run, files, ensemble, command):
    asked = arguments(command, files, ensemble, files.root / "out")
    if command == "masks":
        shutil.copy(files.calibration, files.root / "masks.json")
    done = run(command, *asked, "--workers", 2, "--scheduler", "tcp://x:1")
    assert done.code == 1
    assert "--workers and --scheduler exclude each other" in done.err
    assert not (files.root / "out").exists()


def test_addresses_in_a_list_of_cases_are_read(run, files):
    fsspec = pytest.importorskip("fsspec", reason="addresses need the extra remote")
    system = fsspec.filesystem("memory")
    system.put(f"{files.root}/", "/study/", recursive=True)
    rows = [
        f"{case},memory://study/members/a/{case}.npz,memory://study/raters/{case}/annotation_1.nii.gz" for case in CASES
    ]
    path = files.root / "cases.csv"
    path.write_text("\n".join(["case,members,raters", *rows]) + "\n")
    before = files.tree()
    done = run("inspect", "--cases", path, "--foreground", "tumour", "--json")
    assert done.code == 0, done.err
    assert json.loads(done.out)["foreground"] == ["tumour"]
    system.rm("/study/members/a/c3.npz")
    done = run("inspect", "--cases", path, "--foreground", "tumour", "--json")
    assert done.code == 1
    assert json.loads(done.out)["problems"] == {"c3": "memory://study/members/a/c3.npz: there is no such file"}
    assert files.new_since(before) == set()
    system.rm("/study", recursive=True)
