"""Measuring on held-out cases: independent arithmetic, what the rules bring, vessels, and bad input."""

import json

import numpy as np
import pytest

import twintrack as tt
from twintrack.errors import CalibrationError, CohortError, InputError, TwinTrackWarning
from twintrack.evaluation.scores.selective import risk_coverage
from twintrack.evaluation.triage import fit_rules, measure, risk_coverages
from twintrack.evaluation.triage.files import write_measured
from twintrack.raters.majority import majority
from twintrack.raters.response import response


@pytest.fixture(scope="module")
def measured(calibration, held_out):
    return measure(calibration, held_out, repeats=50)


def shares_found(priority, target):
    """Area under the curve of items all alike in cost, ties spread evenly, by plain sorting."""
    order = np.argsort(-priority, kind="stable")
    found, area, k = 0.0, 0.0, 0
    while k < order.size:
        same = order[(priority[order] == priority[order[k]])]
        rise = target[same].sum()
        area += (found + rise / 2) * same.size
        found, k = found + rise, k + same.size
    return area / order.size / target.sum()


def test_cases_by_plain_arithmetic(measured, calibration, held_out):
    errors, sums = [], []
    for case in held_out:
        data, r = case.read(), calibration.apply(case)
        wrong = (r > 0.5) != (majority(list(data.raters.values())) != 0)
        errors.append(3.0 * np.count_nonzero(wrong))
        sums.append(3.0 * float((r.astype(float) * (1 - r.astype(float))).sum()))
    assert [row["held_error"] for row in measured.per_case] == errors
    assert [row["by_disagreement"] for row in measured.per_case] == pytest.approx(sums)
    errors, sums = np.array(errors), np.array(sums)
    best = shares_found(errors, errors) - 0.5
    expected = (shares_found(sums, errors) - 0.5) / best
    found = measured.summary["cases"]["error"]["rankings"]
    assert found["disagreement"]["gain"]["value"] == pytest.approx(expected)
    assert found["oracle"]["gain"]["value"] == pytest.approx(1)
    half = errors[np.argsort(-sums)][:5].sum() / errors.sum()
    assert found["disagreement"]["found"]["0.5"]["value"] == pytest.approx(half)


def test_voxels_by_plain_sorting(measured, calibration, held_out):
    entropy, variance = [], []
    for case in held_out:
        data = case.read()
        p, mean = data.probability().astype(float).ravel(), response(list(data.raters.values())).astype(float).ravel()
        entropy.append(-np.abs(p - 0.5))
        variance.append(mean * (1 - mean) * 3 / 2)
    ranked, target = np.concatenate(entropy), np.concatenate(variance)
    expected = (shares_found(ranked, target) - 0.5) / (shares_found(target, target) - 0.5)
    found = measured.summary["voxels"]["disagreement"]["rankings"]["entropy"]["gain"]["value"]
    assert found == pytest.approx(expected, abs=0.003)  # bins hold voxels up to 13 % apart


def test_no_ranking_is_better_than_the_oracle(measured):
    for unit in ("voxels", "cases", "minutes"):
        for target in measured.summary[unit].values():
            assert set(target["rankings"]) >= {"disagreement", "entropy", "members", "oracle"}
            for one in target["rankings"].values():
                assert one["gain"]["value"] <= 1 + 1e-9
                assert one["gain"]["low"] <= one["gain"]["high"]
                assert np.diff(one["curve"]["found"]).min() >= -1e-6
                assert (one["curve"]["found"][0], one["curve"]["found"][-1]) == (0, 1)
            assert [one["of"] for one in target["differences"]].count("disagreement") >= 2


def test_a_difference_is_that_of_the_gains(measured):
    target = measured.summary["cases"]["disagreement"]
    gains = {name: one["gain"]["value"] for name, one in target["rankings"].items()}
    for gap in target["differences"]:
        assert gap["gain"]["value"] == pytest.approx(gains[gap["of"]] - gains[gap["to"]])


def test_regions_hold_most_of_what_is_to_be_found_in_few_voxels(measured):
    found = measured.summary["regions"]
    assert found["voxels"] < 0.5 < found["error"]
    assert set(found) == {"voxels", "error", "raw_error", "disagreement"}


def test_the_rules_are_measured_on_other_cases(calibration, cohort, held_out, tmp_path):
    rules = fit_rules(calibration, cohort, tolerance=0.1, accept_risk=0.4, defer_risk=0.4)
    found = measure(calibration, held_out, rules=rules, repeats=20)
    said = found.summary["rules"]["consequences"]
    by = {name: [row for row in found.per_case if row["decision"] == name] for name in ("accept", "review", "defer")}
    assert {name: said[name]["n"] for name in by} == {name: len(rows) for name, rows in by.items()}
    assert said["all"]["n"] == 10
    errors = [row["held_dice_loss"] for row in by["accept"]]
    assert said["accept"]["error"]["value"] == pytest.approx(np.mean(errors))
    assert said["accept"]["beyond"]["value"] == pytest.approx(np.mean(np.array(errors) > 0.1))
    paths = write_measured(found, tmp_path / "out")
    assert json.loads(paths[0].read_text(encoding="utf-8")) == json.loads(json.dumps(found.summary))
    assert paths[1].read_text(encoding="utf-8").startswith("case,patient,raters,flags,minutes,decision,by_disagreement")
    with pytest.raises(CalibrationError, match="another calibration"):
        measure(tt.fit(cohort, method="platt", replicates=0), held_out, rules=rules)


def test_cases_of_the_fit_are_noticed(calibration, cohort, measured):
    assert measured.summary["n_cases_seen_by_the_fit"] == 0
    assert measure(calibration, cohort[:4], repeats=5).summary["n_cases_seen_by_the_fit"] == 4


def test_what_the_raters_of_a_case_are_is_not_known_to_the_ranking(calibration, make_case):
    case = make_case(7)
    data = case.read()
    fewer = tt.Case(case.id, members=data.members, raters=list(data.raters.values())[:2], grid=data.grid)
    one, other = (measure(calibration, [each], repeats=2).per_case[0] for each in (case, fewer))
    assert {k: v for k, v in one.items() if k.startswith("by_")} == {
        k: v for k, v in other.items() if k.startswith("by_")
    }
    assert one["minutes"] == other["minutes"]
    assert one["held_disagreement"] != other["held_disagreement"]


def test_contact_with_vessels_is_scored_against_the_raters(calibration, make_case):
    cases = [make_case(seed, vessels=seed < 104) for seed in range(100, 106)]
    found = measure(calibration, cases, repeats=20).summary["vessels"]
    assert set(found) == {"90", "180"}
    assert found["90"]["pairs"] == 4
    for one in found.values():
        assert one["difference"]["value"] == pytest.approx(one["calibrated"]["value"] - one["raw"]["value"])
        assert one["least"]["value"] <= min(one["raw"]["value"], one["calibrated"]["value"])
        assert 0 <= one["reached"] <= 4
    assert measure(calibration, cases[4:], repeats=2).summary["vessels"] is None


def test_risk_and_coverage_of_the_cases(measured):
    found = risk_coverages(measured)
    assert set(found) == {"dice_loss", "raw_dice_loss", "oracle"}
    risk = np.array([row["held_dice_loss"] for row in measured.per_case])
    by = np.array([row["by_dice_loss"] for row in measured.per_case])
    assert found["dice_loss"].area == pytest.approx(risk_coverage(-by, risk).area)
    assert found["oracle"].excess_area == pytest.approx(0)
    with pytest.raises(InputError, match="not measured: by_beauty"):
        risk_coverages(measured, rankings=["beauty"])


def test_one_member_leaves_its_ranking_out(calibration, held_out):
    data = held_out[0].read()
    lone = tt.Case("lone", probability=data.members[0], raters=data.raters, grid=data.grid)
    with pytest.warns(TwinTrackWarning, match="members"):
        found = measure(calibration, [lone, held_out[1]], repeats=2).summary
    for unit in ("voxels", "cases", "minutes"):
        assert "members" not in found[unit]["error"]["rankings"]
    assert not any(gap["to"] == "members" for gap in found["cases"]["error"]["differences"])


def test_what_cannot_be_measured_is_refused_or_skipped(calibration, held_out):
    with pytest.raises(CohortError, match="empty"):
        measure(calibration, [])
    data = held_out[0].read()
    alone = tt.Case("alone", members=data.members, raters=list(data.raters.values())[:1], grid=data.grid)
    with pytest.raises(CohortError, match="case alone: 1 rater"):
        measure(calibration, [alone])
    skipped = []
    found = measure(calibration, [alone, held_out[1]], repeats=2, on_bad=lambda case, error: skipped.append(case.id))
    assert (found.summary["n_cases"], skipped) == (1, ["alone"])
    with pytest.raises(CohortError, match="every case was skipped"):
        measure(calibration, [alone], on_bad=lambda case, error: None)


def test_the_same_whoever_does_the_work(calibration, held_out, measured):
    assert measure(calibration, held_out, repeats=50, executor=tt.Processes(2)).summary == measured.summary
