"""Which CT is worked on, and at which stage, is shown on a terminal and elsewhere."""

from __future__ import annotations

from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from twintrack.cli import stages
from twintrack.segmentation.cts import Ct

CTS = [Ct("c[1]", Path("a")), Ct("c2", Path("b"))]


def walk():
    with stages.Stages("Segmenting") as shown:
        for _ in shown.progress(CTS):
            for stage in ("coarse network", "writing"):
                shown.on_stage(stage)


def test_without_a_terminal_each_stage_is_a_line(capsys):
    walk()
    assert capsys.readouterr() == (
        "",
        "Segmenting: case c[1] (1 of 2): coarse network\n"
        "Segmenting: case c[1] (1 of 2): writing\n"
        "Segmenting: case c2 (2 of 2): coarse network\n"
        "Segmenting: case c2 (2 of 2): writing\n",
    )


def test_on_a_terminal_there_is_one_line_that_changes_and_goes(monkeypatch):
    text = StringIO()
    console = Console(file=text, force_terminal=True, width=120)
    monkeypatch.setattr(stages, "console", console)
    with stages.Stages("Segmenting") as shown:
        for _ in shown.progress(CTS):
            shown.on_stage("member [a]")
    assert "c2 (2 of 2): member [a]" in text.getvalue()
    assert "2/2" in text.getvalue()


def test_an_interrupt_takes_the_line_away(monkeypatch):
    text = StringIO()
    monkeypatch.setattr(stages, "console", Console(file=text, force_terminal=True))
    with pytest.raises(KeyboardInterrupt), stages.Stages("Segmenting"):
        raise KeyboardInterrupt
    assert text.getvalue().rfind("\x1b[?25h") > text.getvalue().rfind("\x1b[?25l")  # the cursor is shown again
