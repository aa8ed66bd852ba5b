import csv
import json

import numpy as np
import pytest

import twintrack as tt
from twintrack.errors import InputError
from twintrack.evaluation import compare, read_entries, write_comparison, write_evaluation
from twintrack.evaluation.entries import Entry
from twintrack.evaluation.protocols import Score

LOWER = Score("error", "error", "an error", "lower")
HIGHER = Score("dice", "Dice", "an overlap", "higher")


def entry(name, error, dice=None, patients=None):
    cases = tuple(f"c{k}" for k in range(len(error)))
    values = {"error": np.array(error, float)}
    scores = {"error": LOWER}
    if dice is not None:
        values["dice"], scores["dice"] = np.array(dice, float), HIGHER
    return Entry(name, cases, patients or cases, values, scores, "test")


def test_ranking_worked_out_by_hand():
    # error: b .1 < a .2 < c .3; Dice: a .9 > c .8 > b .7. Mean ranks: a (2+1)/2, b (1+3)/2, c (3+2)/2.
    found = compare([entry("a", [0.2], [0.9]), entry("b", [0.1], [0.7]), entry("c", [0.3], [0.8])], repeats=5)
    assert [(row["entry"], row["rank"], row["mean_rank"]) for row in found.ranking] == [
        ("a", 1, 1.5),
        ("b", 2, 2),
        ("c", 3, 2.5),
    ]
    assert found.ranking[0]["rank_error"] == 2
    by_error = compare([entry("a", [0.2], [0.9]), entry("b", [0.1], [0.7])], scores=["error"], repeats=5)
    assert [row["entry"] for row in by_error.ranking] == ["b", "a"]


def test_a_clear_winner_is_stable_and_noise_is_not():
    rng = np.random.default_rng(0)
    noise = rng.random((3, 40))
    clear = compare([entry(name, noise[0] + gap) for name, gap in (("a", 0), ("b", 1), ("c", 2))], repeats=200)
    assert clear.stability == pytest.approx(1)
    assert [row["first"] for row in clear.ranking] == [1, 0, 0]
    unclear = compare([entry(name, row) for name, row in zip("abc", noise, strict=True)], repeats=200)
    assert unclear.stability < 0.9
    assert sum(row["first"] for row in unclear.ranking) >= 1


def test_equal_entries_share_their_rank_and_differ_by_nothing():
    found = compare([entry("a", [1.0, 2.0]), entry("b", [1.0, 2.0])], repeats=10)
    assert [row["rank"] for row in found.ranking] == [1.5, 1.5]
    (gap,) = found.differences
    assert (gap["value"], gap["low"], gap["high"], gap["cases_equal"]) == (0, 0, 0, 2)


def test_differences_are_paired_and_count_wins():
    found = compare(
        [entry("a", [1.0, 2.0, 3.0], [0.5, 0.5, 0.5]), entry("b", [0.5, 1.5, 4.0], [0.6, 0.5, 0.4])], repeats=50
    )
    error, dice = found.differences
    assert (error["of"], error["to"]) == ("b", "a")
    assert error["value"] == pytest.approx(0)
    assert (error["cases_improved"], error["cases_equal"], error["cases_worsened"]) == (2, 0, 1)
    assert (dice["cases_improved"], dice["cases_equal"], dice["cases_worsened"]) == (1, 1, 1)


def test_patients_not_cases_are_resampled():
    error = np.repeat([0.0, 1.0, 2.0, 3.0], 25)
    by_case = compare([entry("a", error), entry("b", error + 1)], repeats=500)
    one_patient_each = tuple(str(k // 25) for k in range(100))
    by_patient = compare(
        [entry("a", error, patients=one_patient_each), entry("b", error + 1, patients=one_patient_each)], repeats=500
    )
    width = [found.means[0]["high"] - found.means[0]["low"] for found in (by_case, by_patient)]
    assert width[1] > 3 * width[0]


def test_too_few_entries_and_unknown_scores():
    with pytest.raises(InputError, match="at least two predictions; there is 1"):
        compare([entry("a", [1.0])])
    with pytest.raises(InputError, match="no score is called 'magic'; the scores are error"):
        compare([entry("a", [1.0]), entry("b", [2.0])], scores=["magic"])


@pytest.fixture
def evaluations(tmp_path):
    rng = np.random.default_rng(0)
    cases = []
    for k in range(5):
        p = rng.random((2, 12, 12), dtype=np.float32)
        raters = [(p > threshold).astype(np.uint8) for threshold in (0.5, 0.6, 0.7)]
        cases.append(tt.Case(f"c{k}", probability=p, raters=raters, spacing=(1, 1, 1)))
    for method in ("isotonic", "temperature"):
        found = tt.evaluate(cases, calibration=tt.fit(cases, method=method), ceiling=True, repeats=5)
        write_evaluation(found, tmp_path / method)
    write_evaluation(tt.evaluate(cases[:4], repeats=5), tmp_path / "fewer")
    write_evaluation(tt.evaluate(cases, protocol="pdacvi-corrected", repeats=5), tmp_path / "other")
    return tmp_path


def test_evaluations_are_read_back(evaluations):
    entries = read_entries([evaluations / "isotonic", evaluations / "temperature"])
    assert [one.name for one in entries] == ["raw", "isotonic/calibrated", "temperature/calibrated"]
    found = compare(entries, repeats=20)
    assert found.ranking[0]["entry"] == "isotonic/calibrated"
    assert found.about["protocol"] == "response"
    written = write_comparison(found, evaluations / "out")
    assert {path.name for path in written} == {
        "means.csv",
        "differences.csv",
        "ranking.csv",
        "comparison.json",
        "comparison.md",
    }
    with (evaluations / "out" / "ranking.csv").open(newline="", encoding="utf-8") as stream:
        assert next(csv.DictReader(stream))["entry"] == "isotonic/calibrated"
    assert json.loads((evaluations / "out" / "comparison.json").read_text(encoding="utf-8"))["ranking"] == found.ranking
    assert "| isotonic/calibrated | 1 |" in (evaluations / "out" / "comparison.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("folders", "message"),
    [
        (["isotonic", "fewer"], "do not score the same cases: c4"),
        (["isotonic", "other"], "follows the protocol response, other/raw pdacvi-corrected"),
        (["isotonic", "nowhere"], "nowhere is not an evaluation: .*No such file"),
        (["isotonic", "isotonic"], "the folders' names must differ"),
    ],
)
def test_what_cannot_be_compared_is_refused(evaluations, folders, message):
    with pytest.raises(InputError, match=message):
        read_entries([evaluations / folder for folder in folders])


def test_an_evaluation_without_predictions_is_refused(evaluations):
    scores = evaluations / "isotonic" / "scores.csv"
    scores.write_text(scores.read_text(encoding="utf-8").splitlines()[0] + "\n")
    with pytest.raises(InputError, match="holds no scores of a prediction"):
        read_entries([evaluations / "isotonic", evaluations / "temperature"])


@pytest.mark.parametrize("content", ["{}", "[", '{"scores": 1, "protocol": "x"}'])
def test_a_damaged_summary_is_named(evaluations, content):
    (evaluations / "isotonic" / "summary.json").write_text(content)
    with pytest.raises(InputError, match="isotonic is not an evaluation"):
        read_entries([evaluations / "isotonic", evaluations / "temperature"])
