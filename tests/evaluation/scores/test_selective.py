import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from twintrack.errors import InputError
from twintrack.evaluation.scores.selective import risk_coverage, voxel_risk_coverage


def area_by_definition(confidence, risk, order):
    ranked = np.asarray(risk, float)[order]
    return np.mean(np.cumsum(ranked) / np.arange(1, ranked.size + 1))


def test_worked_out_by_hand():
    found = risk_coverage(np.array([0.9, 0.6, 0.8]), np.array([0, 0, 1]))
    # Kept: .9 (risk 0), then .8 (1/2), then .6 (1/3)
    assert found.coverage == pytest.approx([1 / 3, 2 / 3, 1])
    assert found.risk == pytest.approx([0, 1 / 2, 1 / 3])
    assert found.area == pytest.approx((0 + 1 / 2 + 1 / 3) / 3)
    # The oracle keeps the error to the end.
    assert found.optimal_area == pytest.approx((0 + 0 + 1 / 3) / 3)
    assert found.excess_area == pytest.approx(1 / 6)


def test_ties_are_the_mean_over_all_orders_worked_out_by_hand():
    # One sure voxel of risk 0, then two of equal confidence with risks 1 and 0: orders (0, 1/2, 1/3) and (0, 0, 1/3).
    found = risk_coverage(np.array([2, 1, 1]), np.array([0, 1, 0]))
    assert found.area == pytest.approx((0 + 1 / 4 + 1 / 3) / 3)
    assert found.coverage == pytest.approx([1 / 3, 1])
    assert found.risk == pytest.approx([0, 1 / 3])


@settings(deadline=None, max_examples=50)
@given(st.integers(0, 10_000), st.integers(1, 30))
def test_equals_the_definition_without_ties_and_beats_no_oracle(seed, size):
    rng = np.random.default_rng(seed)
    confidence, risk = rng.permutation(size), rng.random(size)
    found = risk_coverage(confidence, risk)
    assert found.area == pytest.approx(area_by_definition(confidence, risk, np.argsort(-confidence)), rel=1e-9)
    assert found.optimal_area == pytest.approx(area_by_definition(confidence, risk, np.argsort(risk)), rel=1e-9)
    assert found.excess_area >= -1e-12
    assert risk_coverage(-risk, risk).excess_area == pytest.approx(0, abs=1e-12)
    assert found.risk[-1] == pytest.approx(risk.mean())


def test_ties_equal_the_mean_over_many_random_orders():
    rng = np.random.default_rng(0)
    confidence, risk = rng.integers(0, 4, 40), rng.random(40)
    areas = []
    for _ in range(4000):
        shuffled = rng.permutation(40)
        order = shuffled[np.argsort(-confidence[shuffled], kind="stable")]
        areas.append(area_by_definition(confidence, risk, order))
    assert risk_coverage(confidence, risk).area == pytest.approx(np.mean(areas), abs=4 * np.std(areas) / np.sqrt(4000))


def test_no_confidence_at_all_has_the_mean_risk_as_area():
    risk = np.array([0.1, 0.9, 0.4])
    assert risk_coverage(np.zeros(3), risk).area == pytest.approx(risk.mean())


@pytest.mark.parametrize("risk", ["squared", "majority", "raters"])
def test_background_left_out_of_the_sorting_changes_nothing(risk):
    rng = np.random.default_rng(1)
    p = np.where(rng.random((6, 7, 8)) < 0.3, rng.random((6, 7, 8)), 0).astype(np.float32)
    p[0, 0, :3] = 1
    masks = [(rng.random(p.shape) < 0.2 * (p > 0) + 0.02).astype(np.uint8) for _ in range(4)]
    response, label = np.mean(masks, axis=0), p > 0.5
    costs = {
        "squared": (p - response) ** 2,
        "majority": (label != (response > 0.5)).astype(float),
        "raters": np.mean([label != mask for mask in masks], axis=0),
    }
    found = voxel_risk_coverage(p, masks, risk=risk)
    expected = risk_coverage(np.maximum(p.astype(float), 1 - p.astype(float)), costs[risk])
    assert found.area == pytest.approx(expected.area, rel=1e-9)
    assert found.optimal_area == pytest.approx(expected.optimal_area, rel=1e-9)
    assert found.coverage == pytest.approx(expected.coverage)
    assert found.risk == pytest.approx(expected.risk)


def test_half_of_the_raters_is_no_majority():
    masks = [np.uint8([[1, 1]]), np.uint8([[0, 1]])]
    assert voxel_risk_coverage(np.float32([[0.4, 0.9]]), masks, risk="majority").risk[-1] == 0
    assert voxel_risk_coverage(np.float32([[0.6, 0.9]]), masks, risk="majority").risk[-1] == 0.5


def test_probabilities_that_differ_near_one_and_near_zero_are_told_apart():
    # 1 - 1e-9 is 1 in float32; the voxel with an error must still come last.
    p, mask = np.float32([[1e-9, 0.0, 0.0]]), np.uint8([[1, 0, 0]])
    assert voxel_risk_coverage(p, [mask], risk="majority").excess_area == pytest.approx(0)


def test_only_background_has_no_risk():
    empty = np.zeros((3, 3), np.uint8)
    found = voxel_risk_coverage(empty, [empty])
    assert (found.area, found.optimal_area, found.coverage.tolist()) == (0, 0, [1])


def test_bad_input_is_refused():
    with pytest.raises(InputError, match="of one shape"):
        risk_coverage(np.zeros(2), np.zeros(3))
    with pytest.raises(InputError, match="of one shape"):
        risk_coverage(np.zeros(0), np.zeros(0))
    for confidence, cost in (([np.nan], [0]), ([0], [np.inf]), ([0], [-1])):
        with pytest.raises(InputError, match="finite"):
            risk_coverage(np.array(confidence), np.array(cost))
    with pytest.raises(InputError, match="risk: expected squared"):
        voxel_risk_coverage(np.zeros((2, 2)), [np.ones((2, 2), np.uint8)], risk="dice")
