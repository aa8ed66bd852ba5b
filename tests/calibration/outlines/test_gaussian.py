"""Smooth fields: the covariance is what it is said to be, up to the last voxel."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from twintrack.calibration.outlines.gaussian import covariance_factor, covariance_factors, smooth_normal


def test_the_covariance_of_three_voxels_worked_out_by_hand():
    # Voxels at 0, 2 and 4 mm, length 2 mm: exp(−1/2) = 0.6065 at 2 mm and exp(−2) = 0.1353 at 4 mm.
    factor = covariance_factor(3, step=2.0, length=2.0)
    wanted = [[1, 0.6065, 0.1353], [0.6065, 1, 0.6065], [0.1353, 0.6065, 1]]
    assert factor @ factor.T == pytest.approx(np.array(wanted), abs=1e-4)
    assert factor.dtype == np.float32


@settings(deadline=None, max_examples=40)
@given(st.integers(1, 80), st.floats(0.05, 10), st.floats(1e-6, 1e6))
def test_every_voxel_has_variance_one_and_the_covariance_it_should(size, step, length):
    factor = covariance_factor(size, step=step, length=length).astype(np.float64)
    x = step * np.arange(size)
    # The logarithm keeps a large distance over a tiny length from overflowing.
    distance = np.minimum(np.abs(x[:, None] - x) / length, 100)
    assert (factor**2).sum(axis=1) == pytest.approx(np.ones(size), abs=1e-6)
    assert factor @ factor.T == pytest.approx(np.exp(-(distance**2) / 2), abs=2e-6)


def test_a_length_far_below_the_voxel_size_makes_every_voxel_its_own():
    assert covariance_factor(5, step=1.0, length=1e-300) == pytest.approx(np.eye(5))


def test_a_length_far_beyond_the_array_makes_all_voxels_one():
    field = smooth_normal(np.random.default_rng(0), covariance_factors((5, 7), spacing=(3, 1), length=1e9))
    assert np.ptp(field) < 1e-2
    assert abs(field[0, 0]) > 1e-2


def test_axes_keep_their_order_and_their_spacing():
    # Along z, 4 mm apart, neighbours differ more than along y (2 mm), and there more than along x (0.5 mm).
    rng = np.random.default_rng(1)
    factors = covariance_factors((6, 8, 10), spacing=(4.0, 2.0, 0.5), length=3.0)
    fields = np.stack([smooth_normal(rng, factors) for _ in range(400)])
    assert fields.shape == (400, 6, 8, 10)
    for axis, step in ((1, 4.0), (2, 2.0), (3, 0.5)):
        # Half the mean squared difference of neighbours is 1 − their correlation.
        found = 1 - np.mean(np.diff(fields, axis=axis) ** 2) / 2
        assert found == pytest.approx(np.exp(-(step**2) / 18), abs=0.03)


def test_corners_have_the_same_variance_as_the_middle():
    rng = np.random.default_rng(2)
    factors = covariance_factors((9, 9), spacing=(1, 1), length=3.0)
    fields = np.stack([smooth_normal(rng, factors) for _ in range(4000)])
    # The standard error of a variance of 1 from 4000 values is 0.022.
    assert fields.var(axis=0) == pytest.approx(np.ones((9, 9)), abs=0.1)
    assert fields.mean(axis=0) == pytest.approx(np.zeros((9, 9)), abs=0.08)
