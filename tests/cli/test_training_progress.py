"""How far a training is, is shown as bars on a terminal and in a few plain lines elsewhere."""

from __future__ import annotations

import re
from io import StringIO
from types import SimpleNamespace

import pytest
from rich.console import Console

from twintrack.cli import display, training_progress
from twintrack.cli.training_progress import TrainingProgress, tracking
from twintrack.segmentation.training.job import Event

CASES = [SimpleNamespace(id=f"c{n}") for n in range(3)]
SHOWN, HIDDEN = "\x1b[?25h", "\x1b[?25l"
"""What shows and hides a terminal's cursor."""


def epochs(network, n, *, total=None):
    """The ends of the first n epochs."""
    return [Event(network=network, epoch=k, epochs=total or n, loss=round(1 / k, 4)) for k in range(1, n + 1)]


def tell(*events):
    with TrainingProgress() as progress:
        for event in events:
            progress.watching.on_event(event)


@pytest.fixture
def terminal(monkeypatch):
    """A terminal: all that is sent to it, and its text alone."""
    monkeypatch.setenv("TERM", "xterm")
    text = StringIO()
    console = Console(file=text, force_terminal=True, width=100, no_color=True)
    for module in (display, training_progress):
        monkeypatch.setattr(module, "console", console)
    return SimpleNamespace(raw=text.getvalue, text=lambda: re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text.getvalue()))


def test_without_a_terminal_stages_and_epochs_are_lines(capsys):
    tell(Event(network="member_1", stage="training"), *epochs("member_1", 2))
    assert capsys.readouterr() == (
        "",
        "member_1: training\nmember_1: epoch 1 of 2, loss 1.0\nmember_1: epoch 2 of 2, loss 0.5\n",
    )


@pytest.mark.parametrize(("n", "lines"), [(10, 10), (30, 10), (1000, 10), (101, 11)])
def test_a_long_training_is_a_few_lines_the_last_among_them(capsys, n, lines):
    tell(*epochs("member_1", n))
    shown = capsys.readouterr().err.splitlines()
    assert len(shown) == lines
    assert shown[-1].startswith(f"member_1: epoch {n} of {n}, loss ")


def test_lines_of_networks_side_by_side_say_whose_they_are(capsys):
    tell(*epochs("coarse", 1), *epochs("member_1", 1))
    assert capsys.readouterr().err == "coarse: epoch 1 of 1, loss 1.0\nmember_1: epoch 1 of 1, loss 1.0\n"


def test_what_is_said_and_the_cases_are_lines_too(capsys):
    with TrainingProgress() as progress:
        watching = progress.watching
        watching.say("network member_1: [below] 0.3")
        assert list(watching.cases(CASES)) == CASES
        assert list(watching.cts(CASES[:1])) == CASES[:1]
    assert capsys.readouterr() == (
        "",
        "network member_1: [below] 0.3\n"
        "Reading: 1 of 3 cases\nReading: 2 of 3 cases\nReading: 3 of 3 cases\n"
        "Segmenting: 1 of 1 cases\n",
    )


def test_a_case_counts_when_it_is_done_and_not_before(capsys):
    walk = iter(tracking("Reading")(CASES[:2]))
    next(walk)
    assert capsys.readouterr().err == ""
    next(walk)
    assert capsys.readouterr().err == "Reading: 1 of 2 cases\n"
    assert list(walk) == []
    assert capsys.readouterr().err == "Reading: 2 of 2 cases\n"


def test_a_long_line_is_not_broken(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "40")
    with TrainingProgress() as progress:
        progress.watching.say("a reason " * 30 + "in full")
    (line,) = capsys.readouterr().err.splitlines()
    assert line.endswith("in full")


def test_on_a_terminal_each_network_has_a_bar_with_its_loss(terminal):
    tell(*epochs("member_[b]", 2, total=4), *epochs("member_2", 1, total=4))
    last = terminal.text().splitlines()[-3:]
    shown = "\n".join(last)
    assert "member_[b]: loss 0.5 " in shown
    assert "member_2: loss 1.0 " in shown
    assert "epoch" not in terminal.text()


@pytest.mark.parametrize(("epoch", "cells"), [(1, 10), (2, 20), (4, 40)])
def test_on_a_terminal_a_bar_is_as_long_as_the_training_is_far(terminal, epoch, cells):
    tell(*epochs("a", epoch, total=4))
    last = terminal.text().rpartition("loss")[2]
    assert last.count("━") == cells


def test_on_a_terminal_stages_stand_above_the_bars(terminal):
    with TrainingProgress() as progress:
        progress.on_event(epochs("coarse", 1, total=2)[0])
        progress.on_event(Event(network="coarse", stage="writing the network"))
    assert "coarse: writing the network\n" in terminal.text()


def test_bars_of_a_stage_that_is_over_do_not_come_again(terminal):
    with TrainingProgress() as progress:
        watching = progress.watching
        for event in epochs("member_1", 3):
            watching.on_event(event)
        watching.say("judging member_1")
        assert terminal.raw().count(SHOWN) == terminal.raw().count(HIDDEN) == 1
        before = len(terminal.text())
        assert list(watching.cts(CASES)) == CASES
        for event in epochs("member_1_retry_1", 1):
            watching.on_event(event)
    after = terminal.text()[before:]
    assert "judging member_1\n" in terminal.text()
    assert "3/3" in after
    assert "member_1_retry_1: loss 1.0" in after
    assert "member_1: loss" not in after


def test_a_network_that_trains_on_after_something_was_said_has_its_bar_again(terminal):
    with TrainingProgress() as progress:
        progress.on_event(epochs("member_1", 1, total=4)[0])
        progress.watching.say("a remark")
        progress.on_event(epochs("member_1", 2, total=4)[1])
    assert "member_1: loss 0.5 " in terminal.text().rpartition("a remark")[2]


@pytest.mark.parametrize("raised", [KeyboardInterrupt, ValueError])
def test_whatever_ends_a_training_takes_the_bars_away(terminal, raised):
    def train():
        with TrainingProgress() as progress:
            progress.on_event(epochs("member_1", 1, total=9)[0])
            raise raised

    with pytest.raises(raised):
        train()
    raw = terminal.raw()
    assert raw.rfind(SHOWN) > raw.rfind(HIDDEN) > -1
    assert raw.endswith("\x1b[2K")  # the line is cleared


def test_a_training_without_epochs_leaves_a_terminal_alone(terminal):
    with TrainingProgress():
        pass
    assert terminal.raw() == ""
