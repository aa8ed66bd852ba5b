"""What the commands show: whole tables, progress, and the list of what was left out."""

from __future__ import annotations

import json

import pytest
from rich.console import Console

from twintrack.cli import display
from twintrack.cohort import Case
from twintrack.errors import CohortError, InputError

CASES = [Case(f"c{n}", problem="not to be read") for n in range(25)]


@pytest.mark.parametrize("columns", ["20", "80", "300"])
def test_no_figure_of_a_table_is_lost_on_a_narrow_terminal(capsys, monkeypatch, columns):
    monkeypatch.setenv("COLUMNS", columns)
    cells = [f"figure {n} with much to say" for n in range(6)]
    display.show_table("Title", [f"column {n}" for n in range(6)], [cells])
    printed = capsys.readouterr().out
    for text in ("Title", "column 5", *cells):
        assert text in printed
    assert "…" not in printed


def test_names_in_brackets_are_text_and_not_markup(capsys):
    display.show_table("T", ["", ""], [["[bold]case[/bold]", "[1]"]])
    display.show_written(["folder [old]/scores.csv"])
    with display.Skipped() as skipped:
        skipped(Case("c[1]", problem="x"), InputError("[red]file[/red] is empty"))
    printed = capsys.readouterr()
    assert "[bold]case[/bold]" in printed.out
    assert "wrote folder [old]/scores.csv\n" in printed.out
    assert "  c[1]: [red]file[/red] is empty\n" in printed.err


def test_progress_without_a_terminal_is_a_few_lines(capsys):
    assert list(display.track(CASES, "Fitting")) == CASES
    printed = capsys.readouterr()
    lines = printed.err.splitlines()
    assert printed.out == ""
    assert len(lines) == 13
    assert (lines[0], lines[-1]) == ("Fitting: 2 of 25 cases", "Fitting: 25 of 25 cases")


def test_progress_on_a_terminal_is_a_bar(monkeypatch):
    console = Console(stderr=True, force_terminal=True, record=True, width=100)
    monkeypatch.setattr(display, "console", console)
    assert list(display.track(CASES, "Fitting")) == CASES
    assert "Fitting" in console.export_text()


def test_what_was_left_out_is_listed_once_each_with_its_reason(capsys):
    with display.Skipped() as skipped:
        skipped(CASES[0], CohortError("case c0: nobody drew it"))
        skipped(CASES[1], InputError("/data/c1.npz: damaged"))
    assert skipped.reasons == {"c0": "nobody drew it", "c1": "/data/c1.npz: damaged"}
    assert capsys.readouterr().err == "cases left out: 2\n  c0: nobody drew it\n  c1: /data/c1.npz: damaged\n"


def test_what_was_left_out_is_listed_also_where_an_error_ends_the_work(capsys):
    def work():
        with display.Skipped() as skipped:
            skipped(CASES[0], CohortError("case c0: nobody drew it"))
            raise CohortError("every case was skipped")

    with pytest.raises(CohortError, match="every case"):
        work()
    assert "c0: nobody drew it" in capsys.readouterr().err


def test_nothing_is_said_where_nothing_was_left_out(capsys):
    with display.Skipped():
        pass
    assert capsys.readouterr() == ("", "")


def test_json_is_ascii_and_never_holds_nan(capsys):
    display.show_json({"Ä": [1, None, "x"]})
    printed = capsys.readouterr().out
    assert json.loads(printed) == {"Ä": [1, None, "x"]}
    assert printed.isascii()
    with pytest.raises(ValueError, match="JSON"):
        display.show_json(float("nan"))
