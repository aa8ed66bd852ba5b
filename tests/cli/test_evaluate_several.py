"""`twintrack evaluate` with several calibrations and sets of predictions at once."""

from __future__ import annotations

import csv
import json
import shutil

import pytest

METHODS = ("isotonic", "temperature", "beta")


@pytest.fixture
def fitted(run, files):
    """Three calibrations, by name."""
    for method in METHODS:
        given = ("--method", method, "--replicates", 0, "--out", files.root / f"{method}.json")
        assert run("fit", *files.drawn, *files.predicted, *given).code == 0
    return {method: files.root / f"{method}.json" for method in METHODS}


def evaluated(run, files, *arguments, out):
    done = run("evaluate", *files.drawn, *files.predicted, "--repeats", 20, *arguments, "--out", files.root / out)
    assert done.code == 0, done.err
    return done


def rows_of(folder):
    with (folder / "scores.csv").open(newline="", encoding="utf-8") as stream:
        return {(row["case"], row["prediction"]): row for row in csv.DictReader(stream)}


def test_each_calibration_scores_as_it_does_alone(run, files, fitted):
    given = [word for path in fitted.values() for word in ("--calibration", path)]
    done = evaluated(run, files, *given, out="all")
    assert "temperature − raw [95 %], cases better/worse" in done.out
    assert "a calibration was fitted on 5 of these cases (isotonic on 5, temperature on 5, beta on 5)" in done.err
    together = rows_of(files.root / "all")
    for name, path in fitted.items():
        evaluated(run, files, "--calibration", path, out=name)
        for (case, prediction), row in rows_of(files.root / name).items():
            found = together[case, "raw" if prediction == "raw" else name]
            assert {**found, "flags": row["flags"], "prediction": prediction} == row


def test_names_can_be_given(run, files, fitted):
    given = ("--calibration", f"first={fitted['beta']}", "--calibration", fitted["isotonic"])
    evaluated(run, files, *given, out="scores")
    assert {prediction for _, prediction in rows_of(files.root / "scores")} == {"raw", "first", "isotonic"}
    evaluated(run, files, "--calibration", f"only={fitted['beta']}", out="one")
    assert {prediction for _, prediction in rows_of(files.root / "one")} == {"raw", "only"}


def test_maps_made_elsewhere_are_scored_as_they_are(run, files, fitted):
    done = run("apply", fitted["beta"], *files.predicted, "--out", files.root / "maps")
    assert done.code == 0
    given = ("--calibration", fitted["beta"], "--predictions", files.root / "maps")
    evaluated(run, files, *given, "--predictions", f"again={files.root / 'maps'}", out="scores")
    found = rows_of(files.root / "scores")
    for case in {case for case, _ in found}:
        calibrated, *others = ({**found[case, name], "prediction": ""} for name in ("calibrated", "maps", "again"))
        for other in others:
            assert {**other, "flags": calibrated["flags"]} == calibrated


def test_a_machine_is_told_of_each_fit(run, files, fitted):
    given = [word for path in fitted.values() for word in ("--calibration", path)]
    told = json.loads(evaluated(run, files, *given, "--json", out="scores").out)
    assert told["n_cases_seen_by_each_fit"] == dict.fromkeys(METHODS, 5)


def test_what_cannot_be_scored_beside_each_other_is_explained(run, files, fitted):
    (files.root / "other").mkdir()
    copy = shutil.copy(fitted["beta"], files.root / "other" / "beta.json")
    lacking = files.root / "lacking"
    shutil.copytree(files.members[0], lacking)
    (lacking / "c3.npz").unlink()
    beta = str(fitted["beta"])
    before = files.tree()
    for given, fragment in (
        (("--calibration", beta, "--calibration", beta), "would both be called 'beta'; give them names"),
        (("--calibration", beta, "--calibration", copy), "would both be called 'beta'; give them names"),
        (("--calibration", beta, "--calibration", f"b={copy}"), "'beta' and 'b' are the same calibration"),
        (("--calibration", f"raw={beta}"), "a prediction cannot be called 'raw'"),
        (("--calibration", f"a={files.root / 'none.json'}"), "none.json: No such file"),
        (("--predictions", files.root / "none"), "none: there is no such folder"),
        (("--predictions", f"x={lacking}"), "the predictions 'x', case c3: "),
        (("--calibration", f"x={beta}", "--predictions", f"x={files.members[0]}"), "both called 'x'"),
    ):
        done = run("evaluate", *files.drawn, *files.predicted, *given, "--out", files.root / "scores")
        assert done.code == 1
        assert fragment in done.err
    assert files.new_since(before) == set()
