"""Limits of a further value: worked out by hand, their rate of false alarms, and the order of values."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from twintrack.calibration.guard.limits import prediction_interval, upper_limit

NOTHING = np.empty(0)
VALUES = st.lists(st.floats(-10, 10), min_size=3, max_size=40)


def interval(values, *, alpha=0.05, least=0.0):
    values = np.asarray(values, float)
    return prediction_interval(values, np.empty((values.size, 0)), NOTHING, alpha=alpha, least=least)


def limit(values, *, alpha=0.05, least=0.0):
    values = np.asarray(values, float)
    return upper_limit(
        values, centre=values.mean(), spread=values.std(ddof=1), freedom=values.size - 1, alpha=alpha, least=least
    )


def test_with_nothing_given_it_is_the_normal_prediction_interval():
    # 1, 2, 3: mean 2, standard deviation 1, t with 2 degrees of freedom at 97.5 % is 4.3027.
    reach = 4.3027 * math.sqrt(4 / 3)
    assert interval([1, 2, 3]) == pytest.approx((2 - reach, 2 + reach), abs=1e-4)


def test_with_one_thing_given_it_is_that_of_a_straight_line():
    x, y = np.array([0.0, 1, 2, 3, 4]), np.array([1.0, 3.5, 4.5, 7.5, 8.5])
    line = stats.linregress(x, y)
    spread = math.sqrt(((y - line.intercept - line.slope * x) ** 2).sum() / 3)
    reach = stats.t.ppf(0.975, 3) * spread * math.sqrt(1 + 1 / 5 + (6 - 2) ** 2 / 10)
    middle = line.intercept + 6 * line.slope
    found = prediction_interval(y, x[:, None], np.array([6.0]), alpha=0.05, least=0.0)
    assert found == pytest.approx((middle - reach, middle + reach))


def test_it_holds_the_values_themselves_until_ranks_can_tell():
    far = [0.0] * 18 + [100.0]
    assert interval(far)[1] >= 100
    assert limit([*far[:-1], 100.0]) >= 100
    # 79 values: the second largest is passed by one in 40, which is half of 5 %.
    values = np.r_[np.zeros(60), np.arange(1.0, 18.0), 1e3, 1e6]
    low, high = prediction_interval(values, np.empty((79, 0)), NOTHING, alpha=0.05, least=0.0)
    assert low < 0
    assert 1e3 < high < 1e6


def test_no_degree_of_freedom_is_no_interval():
    assert interval([1.0]) is None
    given = np.array([[0.0, 1.0], [1.0, 0.0], [2.0, 2.0]])
    assert prediction_interval(np.arange(3.0), given, np.zeros(2), alpha=0.05, least=0.1) is None


def test_what_is_given_may_be_the_same_for_all():
    values = np.array([1.0, 2, 3, 4])
    constant = prediction_interval(values, np.full((4, 1), 7.0), np.array([9.0]), alpha=0.05, least=0.0)
    assert constant[0] < 1
    assert constant[1] > 4
    assert np.isfinite(constant).all()


def test_values_that_are_all_alike_leave_room_for_the_least_spread():
    low, high = interval([2.0] * 5, least=0.1)
    assert high - 2 == pytest.approx(stats.t.ppf(0.975, 4) * 0.1 * math.sqrt(1.2))
    assert 2 - low == pytest.approx(high - 2)
    assert limit([2.0] * 5, least=0.1) == pytest.approx(2 + stats.t.ppf(0.95, 4) * 0.1 * math.sqrt(1.2))


def test_an_upper_limit_worked_out_by_hand():
    assert limit([1, 2, 3]) == pytest.approx(2 + 2.91999 * math.sqrt(4 / 3), abs=1e-4)


@settings(deadline=None)
@given(VALUES, st.randoms())
def test_the_order_does_not_matter(values, random):
    shuffled = list(values)
    random.shuffle(shuffled)
    assert interval(shuffled, least=0.05) == pytest.approx(interval(values, least=0.05))
    assert limit(shuffled, least=0.05) == pytest.approx(limit(values, least=0.05))


@settings(deadline=None)
@given(VALUES)
def test_no_value_is_outside_unless_ranks_can_tell(values):
    low, high = interval(values, alpha=0.02)
    assert all(low <= value <= high for value in values)
    assert all(value <= limit(values, alpha=0.02) for value in values)


@settings(deadline=None, max_examples=50)
@given(st.integers(0, 2**32 - 1), st.integers(5, 30))
def test_no_value_is_outside_given_what_is_known_of_it(seed, n):
    rng = np.random.default_rng(seed)
    given_, values = rng.normal(size=(n, 2)), rng.standard_cauchy(n)
    for k in range(n):
        low, high = prediction_interval(values, given_, given_[k], alpha=0.02, least=0.05)
        assert low <= values[k] <= high


@settings(deadline=None)
@given(VALUES, st.floats(0.001, 0.5), st.floats(0.001, 0.5))
def test_fewer_false_alarms_are_wider_limits(values, one, other):
    strict, loose = interval(values, alpha=min(one, other)), interval(values, alpha=max(one, other))
    assert strict[0] <= loose[0] <= loose[1] <= strict[1]
    assert limit(values, alpha=min(one, other)) >= limit(values, alpha=max(one, other))


@pytest.mark.parametrize("n", [6, 20, 120])
@pytest.mark.parametrize("kind", ["normal", "exponential"])
def test_a_further_value_is_as_rarely_outside_as_was_asked_for(n, kind):
    alpha, repeats = 0.05, 3000
    rng = np.random.default_rng(n)
    draw = {"normal": rng.normal, "exponential": rng.exponential}[kind](size=(repeats, n + 1))
    outside = sum(not low <= one[-1] <= high for one in draw for low, high in [interval(one[:-1])]) / repeats
    above = sum(one[-1] > limit(one[:-1]) for one in draw) / repeats
    error = 3 * math.sqrt(alpha / repeats)
    # With ranks that can tell (n + 1 of 2 / alpha, 1 / alpha) there is a promise; before, if values are normal.
    if kind == "normal" or n + 1 >= 2 / alpha:
        assert outside <= alpha + error
    if kind == "normal" or n + 1 >= 1 / alpha:
        assert above <= alpha + error
    assert outside <= max(alpha, 2 / (n + 1)) + error
    assert above <= max(alpha, 1 / (n + 1)) + error


@pytest.mark.parametrize("n", [8, 60])
def test_it_is_so_given_what_is_known_too(n):
    alpha, repeats, outside = 0.05, 2000, 0
    rng = np.random.default_rng(n)
    for _ in range(repeats):
        given_ = rng.normal(size=(n + 1, 2))
        values = given_ @ [1.0, -2.0] + rng.normal(size=n + 1)
        low, high = prediction_interval(values[:-1], given_[:-1], given_[-1], alpha=alpha, least=0.0)
        outside += not low <= values[-1] <= high
    assert outside / repeats <= alpha + 3 * math.sqrt(alpha / repeats)
