"""Fit, apply and evaluate where numba cannot be imported: the same files."""

from __future__ import annotations

import os
import sys

import pytest


@pytest.fixture
def without_numba(tmp_path):
    """The environment of a process in which numba cannot be imported."""
    (tmp_path / "stub").mkdir()
    (tmp_path / "stub" / "numba.py").write_text("raise ImportError('no numba here')")
    return {"PYTHONPATH": os.pathsep.join([str(tmp_path / "stub"), *filter(None, sys.path)])}


def test_the_core_commands_write_the_same_files(run, process, files, without_numba):
    made = files.root / "made"
    commands = [
        ("fit", *files.drawn, *files.predicted, "--exact", "--method", "isotonic", "--out", made / "k.json"),
        ("apply", made / "k.json", *files.predicted, "--out", made / "maps"),
        ("evaluate", *files.drawn, *files.predicted, "--calibration", made / "k.json", "--repeats", 20, "--workers", 1,
         "--ceiling", "--out", made / "scores"),
    ]  # fmt: skip
    made.mkdir()
    said = [process(*command, env=without_numba) for command in commands]
    for done in said:
        assert done.code == 0, done.err
        assert done.err.count("numba cannot be used") == 1
    slow = {name: content for name, content in files.tree().items() if name.startswith("made/")}
    assert len(slow) > 8
    for name in slow:
        (files.root / name).unlink()
    for command in commands:
        assert run(*command).code == 0
    assert {name: content for name, content in files.tree().items() if name.startswith("made/")} == slow
