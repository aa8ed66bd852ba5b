"""The CRPS of the tumour volume, as integrated by the evaluator and in closed form."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.stats import norm

from twintrack.evaluation.curvas.volume import integrated_crps
from twintrack.evaluation.scores.volume import crps_gaussian

RATERS = [90.0, 100.0, 110.0]
SD = np.sqrt(200 / 3)


def test_in_the_middle_both_are_the_textbook_value():
    # At z = 0 the closed form is sd (2 phi(0) - 1 / sqrt(pi)) = sd (sqrt(2) - 1) / sqrt(pi).
    expected = SD * (np.sqrt(2) - 1) / np.sqrt(np.pi)
    assert crps_gaussian(100.0, RATERS) == pytest.approx(expected, rel=1e-12)
    assert integrated_crps(100.0, RATERS) == pytest.approx(expected, rel=5e-3)


def test_a_far_prediction_saturates_in_official_alone():
    assert integrated_crps(200.0, RATERS) == integrated_crps(2000.0, RATERS)
    assert crps_gaussian(2000.0, RATERS) - crps_gaussian(200.0, RATERS) == pytest.approx(1800, rel=1e-9)


def test_raters_who_agree_give_0_in_official_and_the_distance_in_corrected():
    assert integrated_crps(250.0, [100.0] * 5) == 0
    assert crps_gaussian(250.0, [100.0] * 5) == 150


@settings(deadline=None, max_examples=30)
@given(
    volumes=st.lists(st.integers(0, 5000), min_size=2, max_size=7).filter(lambda v: len(set(v)) > 1),
    predicted=st.floats(0, 6000),
)
def test_closed_form_is_the_integral_over_the_whole_line(volumes, predicted):
    mean, sd = np.mean(volumes), np.std(volumes)
    low, high = min(mean, predicted) - 10 * sd, max(mean, predicted) + 10 * sd
    # The integrand's slope is confined to mean +- 10 sd, which a quadrature over a long range would miss.
    edges = sorted({low, *np.clip([mean - 10 * sd, mean, mean + 10 * sd, predicted], low, high), high})
    expected = 0.0
    for a, b in pairwise(edges):
        tail = norm.cdf if b <= predicted else norm.sf
        expected += quad(lambda v, tail=tail: tail(v, mean, sd) ** 2, a, b, limit=200)[0]
    assert crps_gaussian(predicted, volumes) == pytest.approx(expected, rel=1e-6, abs=1e-6)


@settings(deadline=None, max_examples=30)
@given(
    volumes=st.lists(st.integers(0, 5000), min_size=2, max_size=7).filter(lambda v: len(set(v)) > 1),
    z=st.floats(-2.3, 2.3),
)
def test_where_nothing_is_cut_off_the_integral_is_near_the_closed_form(volumes, z):
    predicted = float(np.mean(volumes) + z * np.std(volumes))
    assert integrated_crps(predicted, volumes) == pytest.approx(crps_gaussian(predicted, volumes), rel=0.03)
