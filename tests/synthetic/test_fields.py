"""Smooth random fields have the moments and the correlation they promise, and know nothing of the grid."""

from __future__ import annotations

import numpy as np
import pytest

from twintrack.synthetic.fields import smooth_field


def test_the_value_is_the_sum_of_the_cosines() -> None:
    field = smooth_field(np.random.default_rng(0), length=7.0)
    z, y, x = np.array([-3.0, 4.0]), np.array([0.5, 9.0, 20.0]), np.array([-11.0])
    at = np.stack(np.meshgrid(z, y, x, indexing="ij"), axis=-1)
    direct = np.sqrt(2 / 64) * np.cos(at @ field.waves.T + field.phases).sum(axis=-1)
    np.testing.assert_allclose(field.on((z, y, x)), direct, atol=1e-5)


def test_values_do_not_depend_on_how_finely_the_field_is_sampled() -> None:
    field = smooth_field(np.random.default_rng(1), length=5.0)
    fine = np.arange(0, 40, 1.0)
    np.testing.assert_allclose(
        field.on((fine[::4], fine[::2], fine[::5])), field.on((fine, fine, fine))[::4, ::2, ::5], atol=1e-5
    )


@pytest.mark.parametrize("lag", [0.0, 6.0, 12.0])
def test_correlation_falls_as_a_squared_exponential(lag: float) -> None:
    here, zero = np.array([0.0, lag]), np.zeros(1)
    values = np.array(
        [smooth_field(np.random.default_rng(seed), length=6.0).on((zero, zero, here))[0, 0] for seed in range(4000)]
    )
    # Standard error of a covariance of 4000 draws is below 0.023.
    assert abs(values.mean()) < 0.07
    assert abs((values[:, 0] * values[:, 1]).mean() - np.exp(-((lag / 6) ** 2) / 2)) < 0.08


def test_lengths_may_differ_by_axis() -> None:
    field = smooth_field(np.random.default_rng(2), length=(2.0, 200.0, 20.0))
    axis, zero = np.arange(0.0, 60.0), np.zeros(1)
    steps = [np.abs(np.diff(field.on(axes).ravel())).mean() for axes in ((axis, zero, zero), (zero, axis, zero))]
    assert steps[0] > 10 * steps[1]
