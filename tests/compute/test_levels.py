import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from twintrack.compute.levels import N_LEVELS, level_edges, level_values, levels

unit_floats = st.floats(0, 1, width=32)


def test_exact_zero_and_one_have_levels_of_their_own():
    just_above, just_below = np.nextafter(np.float32([0, 1]), np.float32([1, 0]))
    found = levels(np.array([0, just_above, just_below, 1], np.float32))
    assert found[0] == 0
    assert found[1] == 1
    assert found[2] < N_LEVELS - 1
    assert found[3] == N_LEVELS - 1


@settings(deadline=None)
@given(st.lists(unit_floats, min_size=2, max_size=50))
def test_levels_do_not_decrease(numbers):
    found = levels(np.sort(np.array(numbers, np.float32)))
    assert (np.diff(found) >= 0).all()


@settings(deadline=None)
@given(unit_floats)
def test_every_number_lies_between_the_edges_of_its_level(p):
    edges = level_edges()
    level = int(levels(np.array([p], np.float32))[0])
    assert edges[level] <= p <= edges[level + 1]


@settings(deadline=None)
@given(st.floats(2.0**-20, 0.5, exclude_max=True, width=32))
def test_a_level_is_narrow_relative_to_p_and_to_one_minus_p(p):
    value = level_values()[levels(np.array([p, 1 - p], np.float32))]
    assert abs(value[0] - p) <= 0.0005 * p
    # 1 - p is rounded to a multiple of 2^-24 before it gets its level.
    assert abs(value[1] - (1 - p)) <= 0.0005 * p + 2.0**-24


def test_values_are_strictly_increasing_from_zero_to_one():
    values = level_values()
    assert values.shape == (N_LEVELS,)
    assert (values[0], values[-1]) == (0.0, 1.0)
    assert (np.diff(values) > 0).all()


def test_one_half_is_its_own_value():
    assert level_values()[levels(np.float32([0.5]))] == pytest.approx(0.5, abs=0)


def test_what_is_no_number_of_the_unit_interval_stays_within_the_levels():
    found = levels(np.array([-np.inf, -1e-7, -0.0, np.nan, 1.0000001, np.inf], np.float32))
    assert found.tolist() == [0, 0, 0, 0, N_LEVELS - 1, N_LEVELS - 1]
