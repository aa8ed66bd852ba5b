import csv
import json
import math

import numpy as np
import pytest

import twintrack as tt
from twintrack.errors import CohortError, InputError
from twintrack.evaluation import write_evaluation
from twintrack.evaluation.protocols.response import POOLED, SCORES
from twintrack.evaluation.scores.overlap import thresholded_dice
from twintrack.evaluation.scores.reliability import mhr_calibration_error
from twintrack.evaluation.scores.top_label import top_label_calibration_error
from twintrack.evaluation.scores.volume import crps_empirical, crps_gaussian


@pytest.fixture
def cases(make_case):
    return [make_case(seed, n_raters=2 + seed % 3, patient=f"patient{seed // 2}") for seed in range(6)]


def test_rows_equal_the_scores_computed_one_by_one(cases):
    for case, row in zip(cases, tt.evaluate(cases, repeats=5).per_case, strict=True):
        data = case.read()
        p, masks = data.members[0], list(data.raters.values())
        response = np.mean(masks, axis=0)
        volumes = [mask.sum() * 0.5 for mask in masks]
        expected = {
            "mse": np.mean((p.astype(float) - response) ** 2),
            "mhr_ece": mhr_calibration_error(p, response.astype(np.float32)),
            "mhr_ece_mass": mhr_calibration_error(p, response.astype(np.float32), binning="mass"),
            "rater_ece": np.mean(top_label_calibration_error(p, masks)),
            "thresh_dsc": thresholded_dice(p, masks),
            "crps_gaussian": crps_gaussian(p.sum(dtype=float) * 0.5, volumes),
            "crps_empirical": crps_empirical(p.sum(dtype=float) * 0.5, volumes),
            "volume_error": p.sum(dtype=float) * 0.5 - np.mean(volumes),
        }
        assert set(expected) == {score.name for score in SCORES}
        for name, value in expected.items():
            assert row[name] == pytest.approx(value, rel=1e-6, abs=1e-9), name
        assert (row["case"], row["patient"], row["raters"]) == (case.id, case.patient, len(masks))
        assert row["voxel_volume"] == 0.5


def test_pooled_errors_equal_those_of_all_voxels(cases):
    data = [case.read() for case in cases]
    p = np.concatenate([one.members[0].ravel() for one in data])
    r = np.concatenate([np.mean(list(one.raters.values()), axis=0).ravel() for one in data]).astype(np.float32)
    scores = tt.evaluate(cases, repeats=5).summary["scores"]
    assert scores["pooled_mhr_ece"]["predictions"]["raw"]["value"] == pytest.approx(
        mhr_calibration_error(p, r), rel=1e-6
    )
    mass = mhr_calibration_error(p, r, binning="mass")
    assert scores["pooled_mhr_ece_mass"]["predictions"]["raw"]["value"] == pytest.approx(mass, rel=1e-6)


def test_calibration_on_the_same_cases_removes_the_pooled_error(cases):
    found = tt.evaluate(cases, calibration=tt.fit(cases, exact=True, method="isotonic"), repeats=50)
    pooled = found.summary["scores"]["pooled_mhr_ece"]["predictions"]
    assert pooled["calibrated"]["value"] < 0.02 * pooled["raw"]["value"]
    mse = found.summary["scores"]["mse"]
    (gap,) = mse["differences"]
    assert (gap["of"], gap["to"]) == ("calibrated", "raw")
    values = mse["predictions"]
    assert gap["value"] == pytest.approx(values["calibrated"]["value"] - values["raw"]["value"])
    assert gap["low"] <= gap["value"] <= gap["high"]
    assert gap["cases_improved"] + gap["cases_equal"] + gap["cases_worsened"] == 6
    assert found.summary["n_cases_seen_by_the_fit"] == 6


def test_the_identity_changes_nothing(cases):
    found = tt.evaluate(cases, calibration=tt.fit(cases, method="identity"), repeats=20)
    for score in (*SCORES, *POOLED):
        (gap,) = found.summary["scores"][score.name]["differences"]
        assert (gap["value"], gap["low"], gap["high"]) == (0, 0, 0)
        assert gap.get("cases_improved", 0) == 0


def test_cases_that_were_not_fitted_are_not_said_to_be(cases):
    found = tt.evaluate(cases[3:], calibration=tt.fit(cases[:3], method="isotonic"), repeats=5)
    assert found.summary["n_cases_seen_by_the_fit"] == 0


def test_tumour_that_the_roi_misses_counts_as_an_error():
    p = np.full((1, 4), 1.0, np.float32)
    mask = np.ones((1, 4), np.uint8)
    roi = np.array([[1, 1, 1, 0]], np.uint8)
    (row,) = tt.evaluate([tt.Case("c", probability=p, raters=[mask], roi=roi)], repeats=1).per_case
    assert row["mse"] == 0.25


def test_better_means_better():
    before = {score.name: score.improvement(1.0, 0.5) for score in SCORES}
    assert before["mse"] > 0 > before["thresh_dsc"]
    assert next(s for s in SCORES if s.name == "volume_error").improvement(-2.0, 1.0) == 1.0


def test_the_same_seed_gives_the_same_summary(cases):
    assert tt.evaluate(cases, repeats=30, seed=4).summary == tt.evaluate(cases, repeats=30, seed=4).summary
    a, b = (
        tt.evaluate(cases, repeats=30, seed=seed).summary["scores"]["mse"]["predictions"]["raw"]["low"]
        for seed in (4, 5)
    )
    assert a != b


def test_bad_cases_stop_or_are_skipped(cases):
    bad = tt.Case("bad", probability=np.full((2, 2), np.nan, np.float32), raters=[np.ones((2, 2), np.uint8)])
    with pytest.raises(InputError, match="probability of case bad|member 1 of case bad"):
        tt.evaluate([bad, *cases])
    skipped = []
    found = tt.evaluate([bad, *cases], repeats=5, on_bad=lambda case, error: skipped.append(case.id))
    assert skipped == ["bad"]
    assert found.summary["n_cases"] == 6
    with pytest.raises(CohortError, match="every case was skipped"):
        tt.evaluate([bad], on_bad=lambda case, error: None)


def test_files_hold_what_was_found(cases, tmp_path):
    found = tt.evaluate(cases, calibration=tt.fit(cases, method="isotonic"), repeats=5)
    scores, summary = write_evaluation(found, tmp_path / "new" / "folder")
    with scores.open(newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    assert len(rows) == 12
    assert {row["prediction"] for row in rows} == {"raw", "calibrated"}
    assert all(math.isfinite(float(row[score.name])) for row in rows for score in SCORES)
    assert json.loads(summary.read_text(encoding="utf-8")) == found.summary
    assert sorted(path.name for path in scores.parent.iterdir()) == ["scores.csv", "summary.json"]


def test_a_folder_that_cannot_be_made_is_named(cases, tmp_path):
    from twintrack.errors import OutputError

    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match=r"cannot make the folder .*file"):
        write_evaluation(tt.evaluate(cases, repeats=5), tmp_path / "file" / "below")
