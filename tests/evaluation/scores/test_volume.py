import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.stats import norm

from twintrack.evaluation.scores.volume import crps_empirical, crps_gaussian

volumes = st.lists(st.floats(0, 1000), min_size=1, max_size=6)


def test_gaussian_worked_out_by_hand():
    # samples 0 and 2: mean 1, population SD 1. At the mean: 2 phi(0) - 1/sqrt(pi) = 0.23369498
    assert crps_gaussian(1, [0, 2]) == pytest.approx(0.2336949772551092)
    # z = 1: 1 * (2 * 0.8413447 - 1) + 2 * 0.2419707 - 0.5641896 = 0.6024414
    assert crps_gaussian(2, [0, 2]) == pytest.approx(0.6024414, abs=1e-6)


def test_gaussian_equals_its_integral():
    samples, value = [10.0, 14.0, 19.0, 30.0], 17.0
    mean, sd = np.mean(samples), np.std(samples)
    left = quad(lambda x: norm.cdf(x, mean, sd) ** 2, -200, value)[0]
    right = quad(lambda x: norm.sf(x, mean, sd) ** 2, value, 300)[0]
    assert crps_gaussian(value, samples) == pytest.approx(left + right, rel=1e-7)


def test_empirical_worked_out_by_hand():
    # F steps to 1/2 at 0 and to 1 at 2. At 1: int 0..1 (1/2)^2 + int 1..2 (1/2)^2 = 1/2
    assert crps_empirical(1, [0, 2]) == pytest.approx(0.5)
    # At 3: int 0..2 (1/2)^2 + int 2..3 1 = 3/2
    assert crps_empirical(3, [0, 2]) == pytest.approx(1.5)


@given(st.floats(0, 1000), st.floats(0, 1000))
def test_agreeing_raters_leave_the_distance(value, volume):
    assert crps_gaussian(value, [volume] * 3) == pytest.approx(abs(value - volume))
    assert crps_empirical(value, [volume] * 3) == pytest.approx(abs(value - volume))


@settings(deadline=None)
@given(st.floats(0, 1000), volumes, st.floats(0.1, 10))
def test_scores_are_not_negative_and_scale_with_the_unit(value, samples, unit):
    for crps in (crps_gaussian, crps_empirical):
        score = crps(value, samples)
        assert score >= -1e-9
        assert crps(unit * value, [unit * x for x in samples]) == pytest.approx(unit * score, rel=1e-6, abs=1e-6)
