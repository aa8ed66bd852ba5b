"""Agreement levels: the nearest number of experts, and the volumes that follow."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from twintrack.calibration.agreement import agreement_levels, level_thresholds, volumes_at_least
from twintrack.errors import InputError


def test_levels_of_five_experts_worked_out_by_hand():
    response = np.float32([0, 0.0999, 0.1, 0.2, 0.2999, 0.3, 0.5, 0.6, 0.7, 0.8999, 0.9, 1])
    assert agreement_levels(response, n_raters=5).tolist() == [0, 0, 1, 1, 1, 2, 3, 3, 4, 4, 5, 5]


@pytest.mark.parametrize("n_raters", [1, 2, 3, 5, 7, 255])
def test_votes_come_back_as_they_were(n_raters):
    votes = np.arange(n_raters + 1)
    response = np.divide(votes, n_raters, dtype=np.float32)
    assert agreement_levels(response, n_raters=n_raters).tolist() == votes.tolist()


@pytest.mark.parametrize("n_raters", [1, 2, 3, 4, 5, 6, 10])
def test_a_level_begins_half_way(n_raters):
    for k in range(1, n_raters + 1):
        start = np.float32((k - 0.5) / n_raters)
        below = np.nextafter(start, np.float32(0))
        assert agreement_levels(np.array([below, start]), n_raters=n_raters).tolist() == [k - 1, k]


@settings(deadline=None)
@given(
    hnp.arrays(np.float32, hnp.array_shapes(max_dims=3, max_side=6), elements=st.floats(0, 1, width=32)),
    st.integers(1, 255),
)
def test_the_level_is_the_nearest_number_of_experts(response, n_raters):
    levels = agreement_levels(response, n_raters=n_raters)
    assert levels.dtype == np.uint8
    assert levels.shape == response.shape
    assert np.abs(levels / n_raters - response).max() <= 0.5 / n_raters + 1e-7
    assert (levels[response == 0] == 0).all()


def test_more_than_one_block_is_worked_on():
    response = np.random.default_rng(0).random((3, 200, 200), dtype=np.float32)
    assert (agreement_levels(response, n_raters=2) == np.floor(response * 2 + 0.5)).all()


def test_thresholds_worked_out_by_hand():
    assert level_thresholds(5).tolist() == np.float32([0.1, 0.3, 0.5, 0.7, 0.9]).tolist()
    assert level_thresholds(1).tolist() == [0.5]


@pytest.mark.parametrize("n_raters", [0, -1, 256])
def test_an_impossible_number_of_experts_is_refused(n_raters):
    with pytest.raises(InputError, match=f"the number of raters is {n_raters}"):
        agreement_levels(np.zeros(2, np.float32), n_raters=n_raters)


def test_volumes_worked_out_by_hand():
    levels = np.uint8([[0, 1, 1], [2, 3, 3]])
    assert volumes_at_least(levels, n_raters=4, voxel_volume=2.0) == {1: 10.0, 2: 6.0, 3: 4.0, 4: 0.0}
