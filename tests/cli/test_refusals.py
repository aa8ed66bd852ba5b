"""Input the commands refuse, in this process: what they say, and that they write nothing."""

from __future__ import annotations

import json

import pytest

from twintrack.cli import options
from twintrack.cli.main import main


def spoil_all(files):
    for member in "ab":
        for case in ("c1", "c2", "c3", "c4", "c5"):
            files.change(member, case, lambda softmax: softmax.__imul__(100))


def refused(done, *fragments, code=1):
    assert done.code == code
    assert done.out == ""
    assert done.err.startswith("error: ") or "\nerror: " in done.err
    for fragment in fragments:
        assert fragment in done.err


@pytest.mark.parametrize(
    ("given", "fragments"),
    [
        (("fit", "--out", "{out}"), ("say where the cases are: --raters and --members, or --cases",)),
        (("fit", "--raters", "{r}", "--out", "{out}"), ("case c1: no member predicted it", "--members")),
        (("fit", "{p}", "--out", "{out}"), ("case c1: no rater drew it", "--raters")),
        (("fit", "{d}", "{p}", "--out", "{out}", "--method", "magic"), ("unknown method 'magic'", "isotonic")),
        (("fit", "{d}", "{p}", "--out", "{out}", "--target", "truth"), ("unknown target 'truth'", "rater:NAME")),
        (
            ("fit", "{d}", "{p}", "--out", "{out}", "--target", "rater:2"),
            ("case c2: rater '2' did not draw it", "1, 3"),
        ),
        (("fit", "{d}", "{p}", "--out", "{out}", "--split", "test"), ("a split needs a list of cases", "--cases")),
        (
            ("fit", "{d}", "{p}", "--out", "{out}", "--rater-labels", "1,x"),
            ("--rater-labels takes whole numbers", "'1,x'"),
        ),
        (("fit", "{d}", "{p}", "--out", "{root}/no/k.json"), ("cannot write", "there is no folder", "make it first")),
        (("fit", "{d}", "{p}", "--out", "{root}"), ("cannot write", "it is a folder")),
        (("fit", "{d}", "--members", "{root}/none", "--out", "{out}"), ("none: there is no such folder",)),
        (("fit", "{d}", "--members", "{a}", "{a}", "--out", "{out}"), ("members/a: this folder is given twice",)),
        (("fit", "{d}", "--members", "{a}", "--out", "{out}"), ("which labels are the foreground?", "--foreground")),
        (
            ("fit", "{d}", "--members", "{a}", "--foreground", "x", "--out", "{out}"),
            ("no foreground label 'x'", "'tumour'"),
        ),
        (
            ("apply", "{k}", "--members", "{a}", "--foreground", "pancreas", "--out", "{out}"),
            ("case c1", "fitted for tumour"),
        ),
        (("apply", "{k}", "{p}", "--format", "jpg", "--out", "{out}"), ("c1.jpg: not a known image format", ".nii.gz")),
        (("apply", "{root}/none.json", "{p}", "--out", "{out}"), ("none.json: No such file or directory",)),
        (("compare", "{root}/raters", "--out", "{out}"), ("raters is not an evaluation",)),
        (("evaluate", "{d}", "{p}", "--out", "{k}", "--repeats", "5"), ("cannot make the folder", "File exists")),
    ],
)
def test_wrong_use_is_explained_and_nothing_is_written(run, files, given, fragments):
    places = {"{r}": [files.root / "raters"], "{out}": [files.root / "out"], "{k}": [files.calibration]}
    places |= {"{d}": files.drawn, "{p}": files.predicted, "{a}": [files.members[0]]}
    words = [part for word in given for part in places.get(word, [word.replace("{root}", str(files.root))])]
    before = files.tree()
    refused(run(*words), *fragments)
    assert files.new_since(before) == set()


@pytest.mark.parametrize(
    "given",
    [
        ("fit",),
        ("magic",),
        ("fit", "--out", "k.json", "--weighting", "magic"),
        ("apply", "--members", "a", "k.json", "--out", "r"),  # the calibration is taken for a member
        ("evaluate", "--out", "s", "--repeats", "0"),
    ],
)
def test_wrong_arguments_end_with_2_and_the_way_to_help(run, given):
    done = run(*given)
    assert done.code == 2
    assert done.out == ""
    assert "-h' for help" in done.err or "--help" in done.err


def test_an_error_that_was_not_foreseen_is_not_hidden(files, monkeypatch):
    def fail(**_):
        raise ZeroDivisionError

    monkeypatch.setattr(options, "find_cohort", fail)
    with pytest.raises(ZeroDivisionError):
        main(["inspect", "--raters", str(files.root)])


@pytest.mark.parametrize(
    ("raised", "code", "said"),
    [
        (MemoryError(), 1, "not enough memory"),
        (PermissionError(13, "Permission denied", "/data/raters"), 1, "/data/raters: Permission denied"),
        (OSError("device lost"), 1, "input or output: device lost"),
        (KeyboardInterrupt(), 130, "interrupted"),
    ],
)
def test_what_the_system_refuses_is_said_in_a_line(run, files, monkeypatch, raised, code, said):
    def fail(**_):
        raise raised

    monkeypatch.setattr(options, "find_cohort", fail)
    done = run("inspect", *files.drawn)
    assert done.code == code
    assert done.err.startswith("error: ")
    assert said in done.err
    assert done.err.count("\n") == 1


def test_bad_cases_are_left_out_and_listed(run, files):
    files.npz("b", "c1").unlink()
    files.change("a", "c3", lambda softmax: softmax.__imul__(100))
    given = (*files.drawn, *files.predicted, "--skip-bad")
    done = run("fit", *given, "--out", files.root / "new.json")
    assert done.code == 0
    assert "cases left out: 2\n  c1: " in done.err
    assert "c1: " + str(files.root / "members" / "b") + " has no probability for it" in done.err
    assert "c3: " + str(files.npz("a", "c3")) + ": " in done.err
    assert "3 cases" in done.out
    for command, more in (
        ("fit", ("--out", files.root / "new.json")),
        ("evaluate", ("--out", files.root / "scores", "--repeats", 5)),
    ):
        told = json.loads(run(command, *given, *more, "--json").out)
        assert list(told["skipped"]) == ["c1", "c3"]
        assert told["n_cases"] == 3


def test_inspect_reports_every_bad_case_and_fails(run, files):
    files.npz("b", "c1").unlink()
    files.change("a", "c3", lambda softmax: softmax.__imul__(100))
    done = run("inspect", *files.drawn, *files.predicted)
    assert done.code == 1
    assert "usable cases" in done.out
    assert "cases left out: 2" in done.err
    told = run("inspect", *files.drawn, *files.predicted, "--json")
    assert told.code == 1
    assert list(json.loads(told.out)["problems"]) == ["c1", "c3"]
    assert json.loads(told.out)["cases"] == 3


@pytest.mark.parametrize("command", ["fit", "apply", "evaluate"])
def test_where_every_case_is_bad_the_reasons_are_listed_and_it_is_no_success(run, files, command):
    spoil_all(files)
    before = files.tree()
    given = {
        "fit": (*files.drawn, *files.predicted, "--out", files.root / "new.json"),
        "apply": (files.calibration, *files.predicted, "--out", files.root / "r"),
        "evaluate": (*files.drawn, *files.predicted, "--out", files.root / "scores"),
    }[command]
    done = run(command, *given, "--skip-bad")
    refused(done, "cases left out: 5", "c5: ", "every case was skipped")
    assert files.new_since(before) == set()


def test_inspect_of_bad_cases_only_still_tells_why(run, files):
    spoil_all(files)
    told = run("inspect", *files.drawn, *files.predicted, "--json")
    assert told.code == 1
    assert json.loads(told.out)["cases"] == 0
    assert list(json.loads(told.out)["problems"]) == ["c1", "c2", "c3", "c4", "c5"]
    done = run("inspect", *files.drawn, *files.predicted)
    refused(done, "c4: ", "no case can be used")
