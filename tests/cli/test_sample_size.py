"""`twintrack sample-size`: what it prints and writes is one and the same, and what it refuses."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from twintrack.calibration.learning_curve import LearningCurve
from twintrack.cohort.find import find_cohort

FAST = ("--method", "isotonic", "--repeats", "1")


@pytest.fixture
def eight(files):
    """Options for eight patients: c6, c7 and c8 have the files of c1, c2 and c3."""
    for number in (1, 2, 3):
        old, new = f"c{number}", f"c{number + 5}"
        shutil.copytree(files.root / "raters" / old, files.root / "raters" / new)
        for member in "ab":
            for ending in ("npz", "nii.gz"):
                folder = files.root / "members" / member
                shutil.copy(folder / f"{old}.{ending}", folder / f"{new}.{ending}")
    return (*files.drawn, *files.predicted)


def table_of(out):
    return [line.replace("│", " ").split() for line in out.splitlines() if "│" in line]


def test_the_table_and_the_sentences_say_what_the_json_says(run, eight):
    told = json.loads(run("sample-size", *eight, *FAST, "--json").out)
    done = run("sample-size", *eight, *FAST)
    assert done.code == 0
    assert told.pop("skipped") == {}
    curve = LearningCurve.model_validate(told)
    assert (curve.method, curve.n_cases, curve.n_patients, curve.repeats, curve.seed) == ("isotonic", 8, 8, 1, 0)
    rows = table_of(done.out)
    assert [row[0] for row in rows] == [str(point.n) for point in curve.sizes] == ["2", "3", "4", "6"]
    for row, point in zip(rows, curve.sizes, strict=True):
        shown = [
            word
            for one in (point.criterion, *point.terms.values())
            for word in (f"{one.value:.3f}", f"[{one.low:.3f},", f"{one.high:.3f}]")
        ]
        assert row == [str(point.n), str(point.draws), *shown, "–" if point.spread is None else f"{point.spread:.3f}"]
    assert "Losses relative to probabilities left alone: isotonic, cases of 8 patients" in done.out
    assert done.out.endswith("\n".join(curve.answer.sentences) + "\n")
    assert "Reading: 8 of 8 cases" in done.err
    n_fits = sum(point.draws for point in curve.sizes)
    assert f"Fitting: {n_fits} of {n_fits} fits" in done.err


def test_it_is_the_curve_of_the_library(run, files, eight):
    from twintrack.calibration.learning_curve import learning_curve

    folders = [Path(folder) for folder in files.members]
    cohort = find_cohort(raters=[files.root / "raters"], members=folders, foreground=["tumour"])
    expected = learning_curve(cohort, method="platt", repeats=2, sizes=(2, 4, 6), tolerance=0.1, seed=5)
    options = ("--method", "platt", "--repeats", "2", "--sizes", "2,4,6", "--tolerance", "0.1", "--seed", "5")
    told = json.loads(run("sample-size", *eight, *options, "--json").out)
    del told["skipped"]
    assert LearningCurve.model_validate(told) == expected


def test_the_default_method_chooses_for_every_set(run, eight):
    told = json.loads(run("sample-size", *eight, "--sizes", "2,4", "--repeats", "1", "--json").out)
    assert (told["method"], [point["draws"] for point in told["sizes"]]) == ("auto", [10, 5])
    assert told["answer"]["verdict"] == "cannot tell"


def test_data_and_figure_are_written_into_a_new_folder(run, files, eight):
    before = files.tree()
    out = files.root / "results" / "curve"
    done = run("sample-size", *eight, *FAST, "--out", out)
    assert done.code == 0
    assert files.new_since(before) == {"results/curve/learning_curve.json", "results/curve/learning_curve.png"}
    assert f"wrote {out / 'learning_curve.json'}\nwrote {out / 'learning_curve.png'}\n" in done.out
    curve = LearningCurve.model_validate_json((out / "learning_curve.json").read_text(encoding="utf-8"))
    told = json.loads(run("sample-size", *eight, *FAST, "--json").out)
    assert curve.model_dump(mode="json") == {name: value for name, value in told.items() if name != "skipped"}
    assert (out / "learning_curve.png").read_bytes().startswith(b"\x89PNG")


def test_cases_of_one_split_are_taken(run, files, eight):
    chosen = ("--cases", files.case_list(c1="x", c2="x", c3="y", c4="x", c5="x", c6="x"), "--split", "x")
    told = json.loads(run("sample-size", *eight, *FAST, *chosen, "--json").out)
    assert (told["n_cases"], [point["n"] for point in told["sizes"]]) == (5, [2, 3, 4])


def test_a_patients_cases_stay_together(run, files, eight):
    path = files.root / "cases.csv"
    path.write_text("case,patient\nc1,anna\nc2,anna\nc3,ben\nc4,chen\nc5,dora\n")
    told = json.loads(run("sample-size", *eight, *FAST, "--cases", path, "--json").out)
    assert (told["n_cases"], told["n_patients"], told["sizes"][-1]["n"]) == (5, 4, 3)


def test_bad_cases_are_left_out_and_listed(run, files, eight):
    files.mask("c3", 2).write_bytes(b"not an image")
    stopped = run("sample-size", *eight, *FAST)
    assert (stopped.code, stopped.out) == (1, "")
    assert "case c3" in stopped.err
    done = run("sample-size", *eight, *FAST, "--skip-bad", "--json")
    assert done.code == 0
    assert "cases left out: 1\n  c3: " in done.err
    told = json.loads(done.out)
    assert (list(told["skipped"]), told["n_cases"]) == (["c3"], 7)


@pytest.mark.parametrize(
    ("given", "fragments"),
    [
        ((), ("say where the cases are: --raters",)),
        (("{d}",), ("case c1: ", "--members")),
        (("{p}",), ("case c1: no rater drew it",)),
        (("{d}", "{p}", "--method", "magic"), ("unknown method 'magic'", "auto")),
        (("{d}", "{p}", "--tolerance", "2"), ("the tolerance is a fraction between 0 and 1; got 2",)),
        (("{d}", "{p}", "--sizes", "four"), ("--sizes takes whole numbers separated by commas", "'four'")),
        (("{d}", "{p}", "--sizes", "2,5"), ("must lie between 2 and 4", "got 2, 5")),
        (("{d}", "{p}", "--out", "{root}/calibration.json"), ("calibration.json: it is not a folder",)),
        (("{d}", "{p}", "--cases", "{three}", "--split", "x"), ("at least 4 patients", "there are 3")),
    ],
)
def test_wrong_use_is_explained_in_a_line_and_nothing_is_written(run, files, given, fragments):
    places = {
        "{d}": files.drawn,
        "{p}": files.predicted,
        "{three}": [files.case_list(c1="x", c2="x", c3="x", c4="y")],
    }
    words = [part for word in given for part in places.get(word, [word.replace("{root}", str(files.root))])]
    before = files.tree()
    done = run("sample-size", *words)
    assert (done.code, done.out) == (1, "")
    told = [line for line in done.err.splitlines() if not line.startswith("Reading: ")]
    assert told[0].startswith("error: ")
    assert all(fragment in done.err for fragment in fragments)
    assert "Fitting" not in done.err
    assert files.new_since(before) == set()


@pytest.mark.parametrize("repeats", ["0", "-1", "some"])
def test_repeats_that_are_none_are_a_wrong_argument(run, files, repeats):
    done = run("sample-size", *files.drawn, *files.predicted, "--repeats", repeats)
    assert (done.code, done.out) == (2, "")
    assert "--repeats" in done.err


def test_the_command_runs_in_a_process_of_its_own(process, files, eight):
    before = files.tree()
    done = process("sample-size", *eight, *FAST)
    assert done.code == 0
    assert "With the 8 cases at hand" in done.out or "cannot be told" in done.out
    assert files.new_since(before) == set()
