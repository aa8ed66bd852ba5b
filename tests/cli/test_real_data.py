"""The commands on twelve real nodules with two to four radiologists and three networks."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest
import SimpleITK as sitk


@pytest.fixture
def nodules(data_dir, tmp_path):
    """Options that name eight nodules to calibrate on and four to test on, and their rows."""
    if not (data_dir / "lidc2d_predictions").is_dir():
        pytest.skip(f"no predictions for real nodules at {data_dir / 'lidc2d_predictions'}")
    with (data_dir / "lidc2d" / "cases.csv").open(newline="", encoding="utf-8") as stream:
        listed = list(csv.DictReader(stream))
    rows = [
        row for split, n in (("calibration", 8), ("test", 4)) for row in [r for r in listed if r["split"] == split][:n]
    ]
    listing = tmp_path / "cases.csv"
    with listing.open("w", newline="") as stream:
        writer = csv.DictWriter(stream, ["case", "patient", "raters", "split"])
        writer.writeheader()
        writer.writerows(rows)
    members = [data_dir / "lidc2d_predictions" / f"member_{k}" for k in (1, 2, 3)]
    return ("--raters", data_dir / "lidc2d", "--members", *members, "--cases", listing), rows


def read(path):
    return sitk.GetArrayFromImage(sitk.ReadImage(str(path)))


def test_inspect_finds_what_the_list_says(run, nodules):
    given, rows = nodules
    found = json.loads(run("inspect", *given, "--json").out)
    raters = [int(row["raters"]) for row in rows]
    assert (found["cases"], found["members"], found["problems"]) == (12, {"3": 12}, {})
    assert found["foreground"] == ["nodule"]
    assert found["agreement"]["cases_by_raters"] == {str(k): raters.count(k) for k in sorted(set(raters))}


def test_a_calibration_of_real_radiologists_scores_unseen_nodules(run, nodules, data_dir, tmp_path):
    given, rows = nodules
    calibration, scores = tmp_path / "k.json", tmp_path / "scores"
    done = run("fit", *given, "--split", "calibration", "--out", calibration)
    assert done.code == 0
    assert "fitted to the response: 8 cases" in done.out
    assert "chosen: " in done.out
    more = ("--split", "test", "--calibration", calibration, "--repeats", 50, "--out", scores)
    assert run("evaluate", *given, *more).code == 0
    summary = json.loads((scores / "summary.json").read_text(encoding="utf-8"))
    assert (summary["n_cases"], summary["n_cases_seen_by_the_fit"]) == (4, 0)
    with (scores / "scores.csv").open(newline="", encoding="utf-8") as stream:
        found = {(row["case"], row["prediction"]): row for row in csv.DictReader(stream)}
    for row in rows[8:]:
        case = row["case"]
        masks = [read(path) for path in sorted((data_dir / "lidc2d" / case).glob("annotation_*.nii.gz"))]
        members = [
            np.load(data_dir / f"lidc2d_predictions/member_{k}/{case}.npz")["probabilities"][1] for k in (1, 2, 3)
        ]
        error = np.mean((np.mean(members, axis=0) - np.mean(masks, axis=0)) ** 2)
        assert len(masks) == int(found[case, "raw"]["raters"]) == int(row["raters"])
        assert float(found[case, "raw"]["mse"]) == pytest.approx(error, rel=1e-4)


def test_raters_the_list_promises_and_who_are_missing_stop_the_work(run, nodules, tmp_path):
    given, rows = nodules
    path = tmp_path / "cases.csv"
    wrong = f"{rows[2]['case']},{rows[2]['patient']},{rows[2]['raters']}"
    path.write_text(path.read_text(encoding="utf-8").replace(wrong, f"{wrong[:-1]}9"))
    done = run("inspect", *given)
    assert done.code == 1
    assert f"{rows[2]['case']}: the list of cases says 9 raters; found are {rows[2]['raters']}: 1, 2" in done.err
