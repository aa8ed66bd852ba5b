import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.isotonic import IsotonicRegression
from sklearn.metrics import brier_score_loss

from twintrack.compute.levels import level_values, levels
from twintrack.errors import InputError
from twintrack.evaluation.scores.corp import ResponsePoints, corp, corp_of_points
from twintrack.evaluation.scores.response_scores import brier, brier_to_labels, disagreement

rows = st.lists(
    st.tuples(st.sampled_from([0.0, 0.1, 0.2, 0.5, 0.75, 1.0]), st.sampled_from([0.0, 0.25, 0.5, 1.0])),
    min_size=1,
    max_size=40,
)


def columns(table):
    return [np.array(column, np.float32) for column in zip(*table, strict=True)]


def test_worked_out_by_hand():
    # p .25, .5, .75 with labels 0 | 1, 0 | 1: means 0, 1/2, 1 are increasing: recalibrated 0, 1/2, 1.
    p, y = np.float32([0.25, 0.5, 0.5, 0.75]), np.float32([0, 1, 0, 1])
    found = corp(p, y)
    # S(p) = (1/16 + 1/4 + 1/4 + 1/16)/4 = 5/32; S(recalibrated) = (0 + 1/4 + 1/4 + 0)/4 = 1/8; S(1/2) = 1/4
    assert found.score == pytest.approx(5 / 32)
    assert found.miscalibration == pytest.approx(1 / 32)
    assert found.discrimination == pytest.approx(1 / 8)
    assert found.uncertainty == pytest.approx(1 / 4)
    assert found.disagreement == 0
    assert found.first.tolist() == found.last.tolist() == [0.25, 0.5, 0.75]
    assert found.response.tolist() == [0, 0.5, 1]
    assert found.weight.tolist() == [1, 2, 1]


def test_a_prediction_in_the_wrong_order_has_no_discrimination():
    found = corp(np.float32([0.25, 0.75]), np.float32([1, 0]))
    assert found.response.tolist() == [0.5]
    assert (found.first[0], found.last[0]) == (0.25, 0.75)
    assert found.discrimination == 0
    assert found.miscalibration == pytest.approx(9 / 16 - 1 / 4)


def test_fractional_responses_worked_out_by_hand():
    # responses 0, 1/2 at p = 0 and 1 at p = 1/2: means 1/4 and 1
    found = corp(np.float32([0, 0, 0.5]), np.float32([0, 0.5, 1]))
    # S(p) = (0 + 1/4 + 1/4)/3; S(recalibrated) = (1/16 + 1/16 + 0)/3; S(1/2) = (1/4 + 0 + 1/4)/3
    assert found.score == pytest.approx(1 / 6)
    assert found.miscalibration == pytest.approx(1 / 6 - 1 / 24)
    assert found.discrimination == pytest.approx(1 / 6 - 1 / 24)
    assert found.uncertainty == pytest.approx(1 / 6)
    # r (1 - r) is 1/4 at one voxel of three; the mean response is 1/2, its Bernoulli variance 1/4
    assert found.disagreement == pytest.approx(1 / 12)
    assert found.label_uncertainty == pytest.approx(1 / 4)
    assert found.label_score == pytest.approx(1 / 4)


@settings(deadline=None)
@given(rows)
def test_parts_add_up_and_are_not_negative(table):
    p, r = columns(table)
    found = corp(p, r)
    assert found.miscalibration >= 0
    assert found.discrimination >= 0
    assert found.miscalibration - found.discrimination + found.uncertainty == pytest.approx(found.score, abs=1e-12)
    assert found.score == pytest.approx(brier(p, r), abs=1e-9)
    assert found.label_score == pytest.approx(brier_to_labels(p, r), abs=1e-7)
    assert found.disagreement == pytest.approx(disagreement(r), abs=1e-9)
    assert (np.diff(found.response) > 0).all()


@settings(deadline=None)
@given(rows)
def test_recalibrated_values_are_calibrated_and_keep_the_discrimination(table):
    p, r = columns(table)
    before = corp(p, r)
    again = corp(np.interp(p, np.ravel([before.first, before.last], "F"), np.repeat(before.response, 2)), r)
    assert again.miscalibration == pytest.approx(0, abs=1e-7)
    assert again.discrimination == pytest.approx(before.discrimination, abs=1e-6)


def test_equals_scikit_learn():
    rng = np.random.default_rng(0)
    p = np.round(rng.random(3000), 3).astype(np.float32)
    y = (rng.random(3000) < p**2).astype(np.float32)
    exact = p.astype(float)
    recalibrated = np.clip(IsotonicRegression().fit_transform(exact, y), 0, 1)
    score, best = brier_score_loss(y, exact), brier_score_loss(y, recalibrated)
    constant = brier_score_loss(y, np.full(y.size, y.mean(dtype=float)))
    found = corp(p, y)
    assert found.score == pytest.approx(score, rel=1e-9)
    assert found.miscalibration == pytest.approx(score - best, rel=1e-6)
    assert found.discrimination == pytest.approx(constant - best, rel=1e-6)
    assert found.uncertainty == pytest.approx(constant, rel=1e-9)


def test_points_of_cases_add_to_those_of_the_cohort():
    rng = np.random.default_rng(1)
    p = np.round(rng.random(500), 2).astype(np.float32) * (rng.random(500) < 0.7)
    r = rng.integers(0, 6, 500) / np.float32(5)
    whole = corp(p, r)
    pooled = corp_of_points(ResponsePoints.of(p[:123], r[:123]) + ResponsePoints.of(p[123:], r[123:]))
    for name in ("score", "miscalibration", "discrimination", "uncertainty", "disagreement"):
        assert getattr(pooled, name) == pytest.approx(getattr(whole, name), rel=1e-9)
    assert pooled.response == pytest.approx(whole.response)
    assert pooled.weight.tolist() == whole.weight.tolist()


def test_counts_of_votes_give_what_the_voxels_do():
    rng = np.random.default_rng(2)
    values = level_values()
    # Numbers that stand for their level, so that a table of levels loses nothing.
    p = values[rng.integers(0, values.size, 400)].astype(np.float32)
    p[:50] = 0
    votes = rng.integers(0, 5, 400)
    counts = np.zeros((values.size, 5), np.int64)
    np.add.at(counts, (levels(p), votes), 1)
    found = corp_of_points(ResponsePoints.of_votes(values, counts))
    expected = corp(p, votes / np.float32(4))
    for name in ("score", "miscalibration", "discrimination", "uncertainty", "disagreement"):
        assert getattr(found, name) == pytest.approx(getattr(expected, name), rel=1e-6)


def test_bad_input_is_refused():
    with pytest.raises(InputError, match=r"probability has shape \(2,\), response \(1,\)"):
        corp(np.zeros(2), np.zeros(1))
    with pytest.raises(InputError, match="expected an array of numbers"):
        corp(np.zeros(0), np.zeros(0))
    for counts in (np.zeros((2, 3)), np.ones((3, 3)), np.ones((2, 1)), np.ones(2), -np.ones((2, 3))):
        with pytest.raises(InputError, match="expected counts"):
            ResponsePoints.of_votes(np.array([0.1, 0.2]), counts)
    with pytest.raises(InputError, match="expected values in"):
        ResponsePoints.of_votes(np.array([0.1, 2]), np.ones((2, 3)))
