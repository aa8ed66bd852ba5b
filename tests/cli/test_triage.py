"""`twintrack triage` through its entry point: rules, rank, measure, and what bad input gets."""

import csv
import json

import numpy as np
import pytest

from twintrack.images import Grid, Volume, write_volume


@pytest.fixture
def ruled(run, files):
    """The cohort with rules set by its cases."""
    path = files.root / "rules.json"
    done = run("triage", "rules", files.calibration, *files.drawn, *files.predicted, "--skip-bad", "--out", path)
    assert done.code == 0, done.err
    return path


def test_from_rules_to_a_worklist_to_what_it_is_worth(run, files, ruled):
    before = files.tree()
    out = files.root / "triage"
    ranked = run(
        "triage", "rank", files.calibration, *files.predicted, "--rules", ruled, "--budget", "2cases", "--out", out
    )
    assert ranked.code == 0, ranked.err
    assert files.new_since(before) == {f"triage/{name}" for name in ("triage.json", "cases.csv", "regions.csv")}
    record = json.loads((out / "triage.json").read_text(encoding="utf-8"))
    assert sorted(case["case"] for case in record["cases"]) == ["c1", "c2", "c3", "c4", "c5"]
    # Of five cases no rule can promise one in ten.
    assert {case["decision"] for case in record["cases"]} <= {"review", "defer"}
    assert "5 cases by disagreement, budget 2 cases, 2 spent" in ranked.out
    first = record["cases"][0]["regions"][0]
    x, y, z = first["centre_mm"]
    k, j, i = first["centre"]
    assert (x, y, z) == pytest.approx((-20.5 + 0.7 * i, 13.25 + 0.8 * j, 400 + 2.5 * k))
    with (out / "cases.csv").open(newline="", encoding="utf-8") as stream:
        assert [row["rank"] for row in csv.DictReader(stream)] == ["1", "2", "3", "4", "5"]
    before = files.tree()
    measured = run(
        "triage",
        "measure",
        files.calibration,
        *files.drawn,
        *files.predicted,
        "--rules",
        ruled,
        "--repeats",
        "20",
        "--out",
        out,
    )
    assert measured.code == 0, measured.err
    pictures = ("found_by_voxels.png", "found_by_cases.png", "risk_coverage.png")
    assert files.new_since(before) == {f"triage/{name}" for name in ("measured.json", "measured_cases.csv", *pictures)}
    assert "the calibration was fitted on 5 of these cases" in measured.err
    assert "What the rules bring" in measured.out
    assert "Found by minutes" in measured.out


def test_json_is_all_there_is_on_standard_output(run, files, ruled):
    where = [*files.drawn, *files.predicted]
    ranked = run("triage", "rank", files.calibration, *files.predicted, "--out", files.root / "a", "--json")
    assert json.loads(ranked.out)["schema_version"] == 1
    assert json.loads(ranked.out)["budget"] is None
    measured = run(
        "triage", "measure", files.calibration, *where, "--repeats", "2", "--out", files.root / "b", "--json"
    )
    assert json.loads(measured.out)["n_cases"] == 5
    again = run("triage", "rules", files.calibration, *where, "--out", ruled, "--json")
    assert json.loads(again.out)["n_cases"] == 5


def test_it_runs_as_a_process(process, files):
    done = process(
        "triage",
        "rank",
        files.calibration,
        *files.predicted,
        "--budget",
        "10 min",
        "--workers",
        "2",
        "--out",
        files.root / "t",
    )
    assert done.code == 0, done.err
    assert "budget 10 minutes" in done.out


def test_vessels_have_probabilities_and_scores(run, files):
    grid = Grid.plain((6, 12, 12))
    labels = np.zeros(grid.shape, np.uint8)
    labels[:, 5:8, 8:11] = 7
    (files.root / "vessels").mkdir()
    for case in ("c1", "c2", "c3", "c4", "c5"):
        write_volume(files.root / "vessels" / f"{case}.nii.gz", Volume(labels, _grid_of(files, case)))
    given = ["--vessels", files.root / "vessels", "--vessel-names", "SPLENIC=7", "--out", files.root / "t"]
    ranked = run("triage", "rank", files.calibration, *files.predicted, *given, "--json")
    assert ranked.code == 0, ranked.err
    for case in json.loads(ranked.out)["cases"]:
        found = case["vessels"]["SPLENIC"]["probability_above"]
        assert 0 <= found["180"] <= found["90"] <= 1
    measured = run("triage", "measure", files.calibration, *files.drawn, *files.predicted, *given, "--repeats", "5")
    assert "Brier score of contact with vessels" in measured.out
    unnamed = run("triage", "rank", files.calibration, *files.predicted, *given[:2], "--out", files.root / "u")
    assert unnamed.code == 1
    assert "label 7, which has no name" in unnamed.err.replace("\n", " ")
    assert not (files.root / "u").exists()


def _grid_of(files, case):
    from twintrack.images import read_volume

    return read_volume(files.mask(case, 1)).grid


@pytest.mark.parametrize(
    ("step", "options", "message"),
    [
        ("rank", ["--budget", "five"], "a budget is a number and its unit"),
        ("rank", ["--budget", "120%"], "at most 100 %"),
        ("rank", ["--ranking", "beauty"], "expected one of disagreement"),
        ("rank", ["--uncertain", "0.9"], "two numbers with a comma"),
        ("rank", ["--uncertain", "0.9,0.1"], "0 < low < high"),
        ("rank", ["--minutes-per-case", "0"], "more than 0 minutes"),
        ("rank", ["--rules", "none.json"], "cannot read the rules"),
        ("rank", ["--masks", "10"], "fit it again with masks"),
        ("rank", ["--vessel-names", "SMV"], "name=value pairs"),
        ("rules", ["--tolerance", "2"], "tolerance lies in"),
        ("rules", ["--ranking", "beauty"], "expected one of"),
        ("measure", ["--minutes-per-slice", "-1"], "more than 0 minutes"),
    ],
)
def test_bad_options_are_refused_and_nothing_is_written(run, files, step, options, message):
    before = files.tree()
    where = files.predicted if step == "rank" else [*files.drawn, *files.predicted]
    done = run("triage", step, files.calibration, *where, *options, "--out", files.root / "new")
    assert done.code == 1
    assert message in done.err.replace("\n", " ")
    assert files.new_since(before) == set()


def test_a_calibration_is_needed_and_must_be_that_of_the_rules(run, files, ruled):
    assert run("triage", "rank", *files.predicted, "--out", files.root / "new").code == 2
    other = files.root / "other.json"
    assert run("fit", *files.drawn, *files.predicted, "--method", "platt", "--out", other).code == 0
    done = run("triage", "rank", other, *files.predicted, "--rules", ruled, "--out", files.root / "new")
    assert done.code == 1
    assert "set with another calibration" in done.err.replace("\n", " ")
    assert not (files.root / "new").exists()


def test_no_cases_and_bad_cases(run, files):
    nothing = run("triage", "rank", files.calibration, "--out", files.root / "new")
    assert nothing.code == 1
    assert "say where the cases are" in nothing.err
    files.mask("c1", 2).unlink()
    files.mask("c1", 3).unlink()
    where = ["triage", "measure", files.calibration, *files.drawn, *files.predicted, "--repeats", "2"]
    stopped = run(*where, "--out", files.root / "new")
    assert stopped.code == 1
    assert "case c1: 1 rater" in stopped.err
    assert not (files.root / "new").exists()
    skipped = run(*where, "--out", files.root / "new", "--skip-bad", "--json")
    assert json.loads(skipped.out)["n_cases"] == 4
    assert "c1" in json.loads(skipped.out)["skipped"]
