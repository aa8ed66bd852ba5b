"""Capture curves by hand, and what holds for all of them: the oracle is on top, chance is the diagonal."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from twintrack.errors import InputError
from twintrack.evaluation.triage.capture import Order, gain
from twintrack.evaluation.triage.voxels import N_BINS, VoxelBins

numbers = st.integers(0, 5).map(float)
items = st.lists(st.tuples(numbers, numbers, st.sampled_from([1.0, 2.0, 3.5])), min_size=1, max_size=12)


def order(priority, target, cost=None):
    return Order.of_cases(
        np.array(priority, float), target=np.array(target, float), cost=None if cost is None else np.array(cost, float)
    )


def test_three_cases_by_hand():
    # Looked at in the order third, first, second, which hold 1, 6 and 3 of 10.
    curves = order([5, 1, 9], [6, 3, 1]).curves()
    assert curves.spent[0] == pytest.approx([0, 1 / 3, 2 / 3, 1])
    assert curves.found[0] == pytest.approx([0, 0.1, 0.7, 1])
    # Trapezia: (0 + .1)/2 + (.1 + .7)/2 + (.7 + 1)/2, each a third wide.
    assert curves.area()[0] == pytest.approx((0.05 + 0.4 + 0.85) / 3)
    oracle = order([6, 3, 1], [6, 3, 1]).curves()
    # (0 + .6)/2 + (.6 + .9)/2 + (.9 + 1)/2
    assert oracle.area()[0] == pytest.approx((0.3 + 0.75 + 0.95) / 3)
    assert gain(curves, oracle)[0] == pytest.approx((1.3 / 3 - 0.5) / (2 / 3 - 0.5))
    assert curves.at(1 / 3)[0] == pytest.approx(0.1)
    assert curves.at(0.5)[0] == pytest.approx(0.4)
    assert curves.at(0)[0] == 0
    assert curves.at(1)[0] == pytest.approx(1)


def test_only_the_first_third_of_the_budget_by_hand():
    curves, oracle = order([5, 1, 9], [6, 3, 1]).curves(), order([6, 3, 1], [6, 3, 1]).curves()
    # Up to 1/3: mean found .05 against .3, chance 1/6.
    assert curves.area(1 / 3)[0] == pytest.approx(0.05)
    assert gain(curves, oracle, up_to=1 / 3)[0] == pytest.approx((0.05 - 1 / 6) / (0.3 - 1 / 6))


def test_costs_decide_by_priority_per_cost():
    # Per cost 4/4 and 2/1: the second comes first, a fifth of the cost for a third of the target.
    curves = order([4, 2], [4, 2], [4, 1]).curves()
    assert curves.spent[0] == pytest.approx([0, 0.2, 1])
    assert curves.found[0] == pytest.approx([0, 1 / 3, 1])


def test_equal_items_are_in_no_order():
    forwards, backwards = order([1, 1, 1], [0, 3, 6]).curves(), order([1, 1, 1], [6, 3, 0]).curves()
    assert forwards.found.tolist() == backwards.found.tolist() == [[0, 1]]
    assert gain(forwards, order([0, 3, 6], [0, 3, 6]).curves())[0] == pytest.approx(0)


def test_the_worst_order_is_as_far_below_chance_as_the_oracle_is_above():
    worst, oracle = order([3, 2, 1], [1, 2, 3]).curves(), order([1, 2, 3], [1, 2, 3]).curves()
    assert gain(worst, oracle)[0] == pytest.approx(-1)
    assert gain(oracle, oracle)[0] == pytest.approx(1)


def test_resamples_count_cases_as_often_as_they_are_drawn():
    weights = np.array([[1.0, 1, 1], [0, 2, 1], [3, 0, 0]])
    curves = order([5, 1, 9], [6, 3, 1]).curves(weights)
    plain = order([9, 1, 1], [1, 3, 3]).curves()
    assert curves.area()[1] == pytest.approx(plain.area()[0])
    # Three times the same case: any order is the same, and the oracle is no better than chance.
    assert curves.area()[2] == pytest.approx(0.5)
    assert np.isnan(gain(curves, order([6, 3, 1], [6, 3, 1]).curves(weights))[2])


def test_of_nothing_nothing_can_be_found():
    curves = order([1, 2], [0, 0]).curves()
    assert np.isnan(curves.area()[0])
    assert np.isnan(curves.at(0.5)[0])
    assert np.isnan(gain(curves, curves)[0])


@settings(deadline=None)
@given(items, st.floats(0.05, 1))
def test_the_oracle_is_above_every_ranking_at_every_budget(rows, budget):
    priority, target, cost = map(list, zip(*rows, strict=True))
    ranked, oracle = order(priority, target, cost).curves(), order(target, target, cost).curves()
    if not any(target):
        assert np.isnan(ranked.at(budget)[0])
        return
    assert oracle.at(budget)[0] >= ranked.at(budget)[0] - 1e-9
    assert oracle.area(budget)[0] >= ranked.area(budget)[0] - 1e-9
    assert ((ranked.found[0] >= 0) & (ranked.found[0] <= 1 + 1e-12)).all()
    assert (np.diff(ranked.found[0]) >= -1e-12).all()
    share = gain(ranked, oracle)[0]
    assert np.isnan(share) or -1 - 1e-9 <= share <= 1 + 1e-9


@settings(deadline=None)
@given(items)
def test_the_mean_over_all_orders_of_equal_costs_is_chance(rows):
    target = [row[1] for row in rows]
    if not any(target):
        return
    rng = np.random.default_rng(0)
    area = np.mean([order(rng.permutation(len(target)), target).curves().area()[0] for _ in range(200)])
    assert area == pytest.approx(0.5, abs=0.12)


def test_pooled_voxels_equal_sorting_them_all():
    rng = np.random.default_rng(0)
    cases, priorities, targets = [], [], []
    for _ in range(3):
        # Numbers far from each other stand in bins of their own.
        priority = rng.choice([0.0, 0.01, 0.1, 0.3, 0.6, 0.9], 50).astype(np.float32)
        error = (rng.random(50) < priority).astype(np.float32)
        bins = VoxelBins.empty(("error",))
        bins.add(priority, {"error": error})
        cases.append(bins)
        priorities.append(priority)
        targets.append(error)
    pooled = Order.of_bins(cases, "error").curves()
    plain = order(np.concatenate(priorities), np.concatenate(targets)).curves()
    assert pooled.spent == pytest.approx(plain.spent)
    assert pooled.found == pytest.approx(plain.found)
    weights = np.array([[2.0, 0, 1]])
    drawn = Order.of_bins(cases, "error").curves(weights)
    twice = order(
        np.concatenate([priorities[0], priorities[0], priorities[2]]),
        np.concatenate([targets[0], targets[0], targets[2]]),
    )
    assert drawn.area() == pytest.approx(twice.curves().area())


def test_bins_rise_with_the_priority():
    bins = VoxelBins.empty(("error",))
    bins.add(np.float32([0, 1]), {"error": np.float32([0, 1])})
    bins.add_background(7)
    assert (bins.count[0], bins.count[N_BINS - 1]) == (8, 1)
    assert bins.held["error"][N_BINS - 1] == 1


@pytest.mark.parametrize(
    ("priority", "target", "cost"),
    [
        ([], [], None),
        ([1, 2], [1], None),
        ([np.nan], [1], None),
        ([1], [-1], None),
        ([1], [np.inf], None),
        ([1], [1], [0]),
    ],
)
def test_numbers_that_cannot_be_ordered_are_refused(priority, target, cost):
    with pytest.raises(InputError, match="expected rows of one size|priorities must be finite"):
        order(priority, target, cost)
