"""Saturating curves: those that are known come back, and a falling plateau is never below 0."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from twintrack.calibration.learning.saturation import EXPONENTS, Saturations, fit_saturations

SIZES = (4, 7, 13, 25, 46, 84)


def fitted(values, *, sizes=SIZES, deviation=1e-4, **options):
    curves = np.atleast_2d(np.asarray(values, float))
    return fit_saturations(sizes, curves, np.full(len(sizes), deviation**2), **options)


@pytest.mark.parametrize("c", [0.5, 1.0, 2.0])
@pytest.mark.parametrize(("a", "b"), [(0.9, 1.5), (0.2, 0.3)])
def test_a_curve_without_noise_comes_back(a, b, c):
    found = fitted(a + b * np.array(SIZES, float) ** -c)
    assert found.exponent == pytest.approx([c], rel=1e-9)
    assert found.plateau == pytest.approx([a], rel=1e-6)
    assert found.amount == pytest.approx([b], rel=1e-6)
    assert found.at([168, 336]) == pytest.approx(a + b * np.array([[168, 336]]) ** -c)


def test_it_reaches_its_plateau_when_worked_out_by_hand():
    curves = Saturations(np.array([0.5, 1.0, 0.0, 1.0]), np.array([1.0, 2.0, 1.0, 0.0]), np.array([1.0, 0.5, 1.0, 1.0]))
    # 1/n = 0.02 · 0.5; 2/√n = 0.02; a plateau of 0 is never reached to a fraction of it; a flat curve is there.
    assert curves.reaching(0.02) == pytest.approx([100, 10_000, np.inf, 0])


def test_a_rising_curve_is_fitted_by_its_mean():
    found = fitted([0.8, 0.82, 0.84, 0.86, 0.88, 0.9])
    assert found.amount == 0
    assert found.plateau == pytest.approx(0.85)
    assert found.reaching(0.01) == 0


def test_a_curve_that_falls_too_fast_has_a_plateau_of_zero():
    values = np.array([1.0, 0.5, 0.2, 0.05, 0.01, 0.0])
    found = fitted(values)
    assert found.plateau == 0
    x = np.array(SIZES, float) ** -found.exponent
    assert found.amount == pytest.approx(values @ x / (x @ x))


def test_points_that_vary_more_count_less():
    values = 0.9 + 1 / np.array(SIZES, float)
    spoilt = values.copy()
    spoilt[0] += 0.3
    variance = np.array([0.3, *[1e-3] * 5]) ** 2
    found = fit_saturations(SIZES, spoilt[None], variance)
    assert found.at([168])[0, 0] == pytest.approx(0.9 + 1 / 168, abs=2e-3)
    assert fitted(spoilt).at([168])[0, 0] != pytest.approx(0.9 + 1 / 168, abs=2e-3)


def test_where_points_tell_nothing_of_the_exponent_it_is_one_or_where_it_is_shifted_to():
    values = np.ones((3, len(SIZES)))
    found = fitted(values, shift=np.array([0.0, 1.0, -1.0]))
    assert found.exponent == pytest.approx([1.0, 2.0, 0.5])


def test_many_curves_are_fitted_as_each_alone():
    rng = np.random.default_rng(0)
    curves = 1 + 1 / np.array(SIZES, float) + 0.01 * rng.normal(size=(5, len(SIZES)))
    together = fitted(curves, deviation=0.01)
    for k, curve in enumerate(curves):
        alone = fitted(curve, deviation=0.01)
        for name in ("plateau", "amount", "exponent"):
            assert getattr(alone, name) == pytest.approx(getattr(together, name)[k : k + 1])


@settings(deadline=None)
@given(st.lists(st.floats(0, 3), min_size=6, max_size=6))
def test_whatever_was_measured_the_curve_never_rises_and_is_never_negative(values):
    found = fitted(values, deviation=0.05)
    line = found.at(np.geomspace(2, 400, 50))[0]
    assert (line >= 0).all()
    assert (np.diff(line) <= 1e-12).all()
    assert found.exponent[0] in EXPONENTS
    assert line.max() <= 4 * max(values) + 1e-9


@settings(deadline=None)
@given(st.lists(st.floats(0.1, 3), min_size=6, max_size=6), st.floats(0.5, 2))
def test_losses_in_another_unit_have_the_same_curve_in_that_unit(values, factor):
    one = fitted(values, deviation=0.01)
    other = fitted(np.array(values) * factor, deviation=0.01 * factor)
    assert other.at([10, 100]) == pytest.approx(factor * one.at([10, 100]), rel=1e-6, abs=1e-9)
