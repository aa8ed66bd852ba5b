import numpy as np
import pytest

import twintrack as tt
from twintrack.errors import CohortError


def case(name, raters, probability):
    return tt.Case(name, probability=np.float32([probability]), raters=[np.uint8([row]) for row in raters])


def rows_of(found, prediction):
    return [row for row in found.per_case if row["prediction"] == prediction]


def test_worked_out_by_hand():
    # Raters 10, 11, 00. Left out the first: the others' response is (.5, .5), so the first rater's MSE is .25;
    # the second: others (.5, 0), rater 11: (.25 + 1)/2; the third: others (1, .5), rater 00: (1 + .25)/2.
    found = tt.evaluate([case("c", [[1, 0], [1, 1], [0, 0]], [0.5, 0.5])], ceiling=True, repeats=2)
    (human,) = rows_of(found, "human")
    assert human["mse"] == pytest.approx((0.25 + 0.625 + 0.625) / 3)
    # The prediction (.5, .5) against the same three panels: 0; (0 + .25)/2; (.25 + 0)/2.
    (raw,) = rows_of(found, "raw_vs_others")
    assert raw["mse"] == pytest.approx((0 + 0.125 + 0.125) / 3)
    assert human["predicted_volume"] == human["rater_volume"] == 1.0


def test_identical_raters_are_a_perfect_ceiling():
    found = tt.evaluate([case("c", [[1, 0, 0]] * 4, [0.9, 0.2, 0.0])], ceiling=True, repeats=2)
    (human,) = rows_of(found, "human")
    assert (human["mse"], human["rater_ece"], human["thresh_dsc"], human["crps_gaussian"]) == (0, 0, 1, 0)


def test_a_prediction_that_is_a_rater_scores_like_that_rater():
    rng = np.random.default_rng(0)
    raters = rng.integers(0, 2, (3, 200)).tolist()
    found = tt.evaluate([case("c", raters, [float(v) for v in raters[0]])], ceiling=True, repeats=2)
    (human,), (raw,) = rows_of(found, "human"), rows_of(found, "raw_vs_others")
    # Two of its three panels contain the prediction itself, so it does better than a rater could.
    assert raw["mse"] < human["mse"]


def test_cases_with_two_raters_have_no_ceiling_and_do_not_count():
    three = case("three", [[1, 0], [1, 1], [0, 0]], [0.5, 0.5])
    two = case("two", [[1, 0], [1, 1]], [0.1, 0.2])
    found = tt.evaluate([two, three], ceiling=True, repeats=5)
    assert [row["case"] for row in rows_of(found, "human")] == ["three"]
    alone = tt.evaluate([three], ceiling=True, repeats=5)
    human, human_alone = (one.summary["scores"]["mse"]["predictions"]["human"]["value"] for one in (found, alone))
    assert human == human_alone


def test_signed_errors_have_no_ceiling():
    found = tt.evaluate([case("c", [[1, 0], [1, 1], [0, 0]], [0.5, 0.5])], ceiling=True, repeats=2)
    assert "human" not in found.summary["scores"]["volume_error"]["predictions"]


def test_differences_to_the_ceiling_are_paired():
    cases = [case(f"c{k}", np.random.default_rng(k).integers(0, 2, (3, 50)).tolist(), [0.5] * 50) for k in range(4)]
    found = tt.evaluate(cases, calibration=tt.fit(cases, method="isotonic"), ceiling=True, repeats=20)
    pairs = {(gap["of"], gap["to"]) for gap in found.summary["scores"]["mse"]["differences"]}
    assert pairs == {("calibrated", "raw"), ("raw_vs_others", "human"), ("calibrated_vs_others", "human")}


def test_raters_alone_are_scored_against_each_other():
    raters = [np.uint8([row]) for row in ([1, 0], [1, 1], [0, 0])]
    alone = tt.evaluate([tt.Case("c", raters=raters)], ceiling=True, repeats=2)
    with_members = tt.evaluate([case("c", [[1, 0], [1, 1], [0, 0]], [0.5, 0.5])], ceiling=True, repeats=2)
    (row,) = alone.per_case
    assert row["mse"] == rows_of(with_members, "human")[0]["mse"]


def test_without_members_and_ceiling_there_is_nothing_to_score():
    two = tt.Case("c", raters=[np.ones((1, 2), np.uint8)] * 2)
    with pytest.raises(CohortError, match="no case has members, so there is no prediction to score"):
        tt.evaluate([two])
    with pytest.raises(CohortError, match="too few raters for the ceiling"):
        tt.evaluate([two], ceiling=True)
