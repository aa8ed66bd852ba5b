import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit, logit
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression

from twintrack.calibration.curve import Curve
from twintrack.calibration.methods import METHODS
from twintrack.calibration.methods.beta import BetaMap
from twintrack.calibration.methods.centered_isotonic import CenteredIsotonicMap
from twintrack.calibration.methods.histogram import HistogramMap
from twintrack.calibration.methods.identity import IdentityMap
from twintrack.calibration.methods.isotonic import IsotonicMap
from twintrack.calibration.methods.platt import PlattMap
from twintrack.calibration.methods.temperature import TemperatureMap

from .conftest import pav

MONOTONE = [name for name in METHODS if name != "histogram"]


def random_curve(seed: int, n: int = 400) -> Curve:
    rng = np.random.default_rng(seed)
    p = np.unique(expit(4 * rng.normal(size=n)))
    response = np.clip(expit(0.6 * logit(p) - 0.4) + 0.15 * rng.normal(size=p.size), 0, 1)
    return Curve(p, rng.integers(1, 50, p.size).astype(float), response)


curves = st.builds(
    lambda rows: Curve(*(np.array(column, float) for column in zip(*sorted(rows), strict=True))),
    st.lists(
        st.tuples(st.floats(0, 1, width=32), st.integers(1, 1000), st.sampled_from([0, 0.2, 0.25, 0.5, 0.75, 1])),
        min_size=1,
        max_size=40,
        unique_by=lambda row: row[0],
    ),
)


@pytest.mark.parametrize("name", METHODS)
@settings(deadline=None, max_examples=40)
@given(curve=curves)
def test_every_map_stays_in_the_unit_interval(name, curve):
    values = METHODS[name].fit(curve)(np.linspace(0, 1, 101))
    assert ((values >= 0) & (values <= 1)).all()


@pytest.mark.parametrize("name", MONOTONE)
@settings(deadline=None, max_examples=40)
@given(curve=curves)
def test_maps_do_not_decrease(name, curve):
    values = METHODS[name].fit(curve)(np.linspace(0, 1, 501))
    assert (np.diff(values) >= -1e-15).all()


def test_isotonic_worked_out_by_hand():
    # 0.5 and 0.25 violate: pooled (2*0.5 + 1*0.25 + 1*0)/4 = 0.3125; 0.2 before and 0.75 after stay.
    curve = Curve(np.array([0.1, 0.2, 0.3, 0.4, 0.9]), np.array([1.0, 2, 1, 1, 1]), np.array([0.2, 0.5, 0.25, 0, 0.75]))
    fitted = IsotonicMap.fit(curve)
    assert fitted.probability == (0.1, 0.2, 0.4, 0.9)
    assert fitted.response == pytest.approx((0.2, 0.3125, 0.3125, 0.75), abs=1e-15)
    # linear between the end of one block and the start of the next, constant outside
    assert fitted(np.array([0.0, 0.15, 0.65, 1.0])) == pytest.approx([0.2, 0.25625, 0.53125, 0.75])


def test_centered_isotonic_worked_out_by_hand():
    # The pooled block's centre is (2*0.2 + 0.3 + 0.4)/4 = 0.275; single points stay where they are.
    curve = Curve(np.array([0.1, 0.2, 0.3, 0.4, 0.9]), np.array([1.0, 2, 1, 1, 1]), np.array([0.2, 0.5, 0.25, 0, 0.75]))
    fitted = CenteredIsotonicMap.fit(curve)
    assert fitted.probability == pytest.approx((0.1, 0.275, 0.9))
    assert fitted.response == pytest.approx((0.2, 0.3125, 0.75))


def test_centered_isotonic_keeps_both_ends_of_blocks_at_zero_and_one():
    curve = Curve(np.array([0.1, 0.2, 0.6, 0.8, 0.9]), np.ones(5), np.array([0.0, 0, 0.5, 1, 1]))
    fitted = CenteredIsotonicMap.fit(curve)
    assert fitted.probability == (0.1, 0.2, 0.6, 0.8, 0.9)
    assert fitted.response == (0, 0, 0.5, 1, 1)


def test_histogram_worked_out_by_hand():
    curve = Curve(np.array([0.1, 0.4, 0.6, 1.0]), np.array([1.0, 3, 1, 1]), np.array([0.0, 0.4, 0.5, 1.0]))
    fitted = HistogramMap.fit(curve, bins=2)
    assert fitted.values == pytest.approx((0.3, 0.75))
    assert fitted(np.array([0.0, 0.499, 0.5, 1.0])) == pytest.approx([0.3, 0.3, 0.75, 0.75])
    assert HistogramMap.fit(curve, bins=10).values[7] == pytest.approx(0.75)  # nothing there: its own middle


@settings(deadline=None, max_examples=100)
@given(curve=curves)
def test_isotonic_equals_an_independent_pool_adjacent_violators(curve):
    expected = pav(curve.probability.tolist(), curve.response.tolist(), curve.weight.tolist())
    assert IsotonicMap.fit(curve)(curve.probability) == pytest.approx(expected, abs=1e-12)


def test_isotonic_equals_scikit_learn():
    curve = random_curve(0)
    other = IsotonicRegression(out_of_bounds="clip").fit(curve.probability, curve.response, curve.weight)
    x = np.linspace(0, 1, 2001)
    assert IsotonicMap.fit(curve)(x) == pytest.approx(other.predict(x), abs=1e-9)


@settings(deadline=None, max_examples=50)
@given(curve=curves)
def test_isotonic_is_idempotent(curve):
    once = IsotonicMap.fit(curve)
    fitted = np.clip(once(curve.probability), 0, 1)
    twice = IsotonicMap.fit(Curve(curve.probability, curve.weight, fitted))
    assert twice(curve.probability) == pytest.approx(fitted, abs=1e-12)


@pytest.mark.parametrize("value", [0.0, 1.0])
@pytest.mark.parametrize("name", METHODS)
def test_constant_responses_are_learnt(name, value):
    p = np.linspace(0.05, 0.95, 19)
    fitted = METHODS[name].fit(Curve(p, np.ones(19), np.full(19, value)))
    if name not in ("identity", "temperature"):  # these two cannot leave f(1/2) = 1/2
        assert fitted(p) == pytest.approx(value, abs=1e-3)


@pytest.mark.parametrize("name", METHODS)
def test_one_point_is_enough(name):
    fitted = METHODS[name].fit(Curve(np.array([0.3]), np.array([1.0]), np.array([0.6])))
    found = fitted(np.array([0.3]))[0]
    if name not in ("identity", "temperature"):
        assert found == pytest.approx(0.6, abs=1e-4)


def test_platt_equals_unpenalised_logistic_regression():
    curve = random_curve(1)
    score = logit(curve.probability)[:, None]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        other = LogisticRegression(C=np.inf, tol=1e-10, max_iter=10_000).fit(
            np.vstack([score, score]),
            np.repeat([1, 0], curve.probability.size),
            np.concatenate([curve.weight * curve.response, curve.weight * (1 - curve.response)]),
        )
    fitted = PlattMap.fit(curve)
    assert fitted.slope == pytest.approx(other.coef_[0, 0], rel=1e-4)
    assert fitted.offset == pytest.approx(other.intercept_[0], rel=1e-4)


@pytest.mark.parametrize(
    ("method", "truth"),
    [
        (TemperatureMap, TemperatureMap(temperature=1.7)),
        (PlattMap, PlattMap(slope=0.6, offset=-0.8)),
        (BetaMap, BetaMap(a=0.7, b=1.3, c=-0.4)),
    ],
)
def test_a_map_of_the_family_is_found_again(method, truth):
    p = np.linspace(0.001, 0.999, 500)
    found = method.fit(Curve(p, np.full(500, 7.0), truth(p)))
    for name, value in truth.model_dump(exclude={"method"}).items():
        assert getattr(found, name) == pytest.approx(value, rel=1e-4)


def test_beta_contains_platt_and_platt_contains_temperature():
    p = np.linspace(0, 1, 101)
    assert BetaMap(a=0.6, b=0.6, c=-0.3)(p) == pytest.approx(PlattMap(slope=0.6, offset=-0.3)(p), abs=1e-12)
    assert PlattMap(slope=0.5, offset=0.0)(p) == pytest.approx(TemperatureMap(temperature=2.0)(p), abs=1e-12)
    assert TemperatureMap(temperature=1.0)(p) == pytest.approx(IdentityMap()(p), abs=1e-7)
