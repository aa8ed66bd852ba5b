"""The regressor: the maps of `tt.fit`, by scikit-learn's own rules."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from scipy.special import expit
from sklearn.base import clone
from sklearn.isotonic import IsotonicRegression
from sklearn.model_selection import GridSearchCV, GroupKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.utils.estimator_checks import estimator_checks_generator

import twintrack as tt
from twintrack.errors import CalibrationError
from twintrack.integrations.sklearn import ResponseRegressor


def voxels(cases):
    """Probability, response and patient of every voxel inside the ROI."""
    rows = []
    for number, case in enumerate(cases):
        data = case.read()
        inside = data.roi > 0
        response = np.mean(list(data.raters.values()), axis=0)
        rows.append((data.probability()[inside], response[inside], np.full(inside.sum(), number)))
    return tuple(np.concatenate(column) for column in zip(*rows, strict=True))


# The exact fit keeps whole levels inside a block, whose mean the centred map is drawn to.
@pytest.mark.parametrize(("method", "within"), [("isotonic", 1e-6), ("centered-isotonic", 1e-4)])
def test_it_is_the_exact_fit_of_the_cases(cases, method, within):
    p, response, _ = voxels(cases)
    model = ResponseRegressor(method=method).fit(p[:, None], response)
    exact = tt.fit(cases, method=method, exact=True, replicates=0)
    at = np.linspace(0, 1, 1001)
    assert np.abs(model.predict(at[:, None]) - exact.apply(at)).max() < within


@pytest.mark.parametrize("method", tt.calibration.METHODS)
def test_every_map_of_the_probability_alone_is_near_that_of_the_levels(cases, method):
    p, response, _ = voxels(cases)
    model = ResponseRegressor(method=method).fit(p[:, None], response)
    fitted = tt.fit(cases, method=method, replicates=0)
    assert model.map_.method == method
    assert np.sqrt(np.mean((model.predict(p[:, None]) - fitted.apply(p)) ** 2)) < 2e-3


def test_isotonic_is_that_of_scikit_learn(cases):
    p, response, _ = voxels(cases)
    weight = np.random.default_rng(0).random(p.size)
    ours = ResponseRegressor(pin_zero=False).fit(p[:, None], response, sample_weight=weight)
    theirs = IsotonicRegression(out_of_bounds="clip").fit(p.astype(float), response, sample_weight=weight)
    assert np.abs(ours.predict(p[:, None]) - theirs.predict(p.astype(float))).max() < 1e-6


def test_a_weight_counts_as_repetition_and_0_as_absence():
    p, y, weight = np.array([[0.1], [0.4], [0.6], [0.9]]), np.array([0.0, 0.5, 0.25, 1.0]), np.array([1, 3, 2, 0])
    weighed = ResponseRegressor(method="platt").fit(p, y, sample_weight=weight)
    repeated = ResponseRegressor(method="platt").fit(np.repeat(p, weight, axis=0), np.repeat(y, weight))
    assert weighed.map_.slope == pytest.approx(repeated.map_.slope, rel=1e-6)
    assert weighed.map_.offset == pytest.approx(repeated.map_.offset, rel=1e-6)


@pytest.mark.parametrize(
    ("weight", "said"),
    [([1.0], "inconsistent numbers"), ([1.0, -1.0], "Negative"), ([[1.0], [1.0]], "one weight"), ([0, 0], "is zero")],
)
def test_weights_that_make_no_sense_are_refused(weight, said):
    with pytest.raises(ValueError, match=said):
        ResponseRegressor().fit([[0.2], [0.5]], [0.0, 1.0], sample_weight=weight)


def test_zero_stays_zero_unless_it_is_fitted():
    p, y = [[0.0], [0.0], [0.5], [1.0]], [0.5, 0.5, 0.5, 1.0]
    assert ResponseRegressor().fit(p, y).predict([[0.0]]).tolist() == [0.0]
    assert ResponseRegressor(pin_zero=False).fit(p, y).predict([[0.0]]).tolist() == [0.5]


def test_it_works_in_a_pipeline_in_cross_validation_and_in_a_search(cases):
    p, response, patient = voxels(cases)
    members = np.column_stack([p, p])
    average = FunctionTransformer(lambda X: X.mean(axis=1, keepdims=True))
    model = make_pipeline(average, ResponseRegressor(method="temperature"))
    found = cross_val_predict(model, members, response, groups=patient, cv=GroupKFold(3))
    assert found.shape == p.shape
    assert np.mean((found - response) ** 2) < np.mean((p - response) ** 2)
    search = GridSearchCV(ResponseRegressor(), {"method": ["identity", "isotonic"]}, cv=GroupKFold(3))
    search.fit(p[:, None], response, groups=patient)
    assert search.best_params_ == {"method": "isotonic"}


def test_it_is_cloned_and_pickled():
    model = ResponseRegressor(method="beta", pin_zero=False).fit([[0.1], [0.5], [0.9]], [0.0, 0.5, 1.0])
    assert clone(model).get_params() == {"method": "beta", "pin_zero": False}
    assert not hasattr(clone(model), "map_")
    assert (pickle.loads(pickle.dumps(model)).predict([[0.3]]) == model.predict([[0.3]])).all()


@pytest.mark.parametrize("method", ["conditional", "auto"])
def test_case_aware_methods_are_refused_with_the_reason(method):
    with pytest.raises(ValueError, match="surroundings, the ROI and the voxel size"):
        ResponseRegressor(method=method).fit([[0.5]], [0.5])


@pytest.mark.parametrize(
    ("p", "y", "said"),
    [
        ([[0.5], [1.5]], [0.5, 0.5], r"probabilities \(X\) lie in \[0, 1\]; found 0.5 to 1.5"),
        ([[0.5], [0.6]], [0.5, -1.0], r"responses \(y\) lie in \[0, 1\]"),
        ([[0.5, 0.5], [0.4, 0.2]], [0.5, 1.0], "Average the members first"),
        ([[0.5], [float("nan")]], [0.5, 0.5], "NaN"),
        ([0.5, 0.6], [0.5, 0.5], "Reshape your data"),
    ],
)
def test_what_is_no_probability_or_response_is_refused(p, y, said):
    with pytest.raises(ValueError, match=said):
        ResponseRegressor().fit(p, y)


def test_an_unknown_method_and_nothing_to_fit_are_refused():
    with pytest.raises(ValueError, match="unknown method 'nothing'; known here are identity"):
        ResponseRegressor(method="nothing").fit([[0.5]], [0.5])
    with pytest.raises(CalibrationError, match="nothing to fit"):
        ResponseRegressor().fit([[0.0], [0.0]], [0.5, 0.5])


class Squeezed(ResponseRegressor):
    """Takes the numbers that scikit-learn's checks make up, which are no probabilities, into [0, 1] first."""

    def _probability(self, checked):
        return super()._probability(expit(checked.mean(axis=1, keepdims=True)))

    def _response(self, checked):
        return super()._response(expit(np.asarray(checked, float)))

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.regressor_tags.poor_score = True  # the mean of ten features says little, and y is squeezed too
        return tags


def checks():
    found = list(estimator_checks_generator(Squeezed(method="isotonic", pin_zero=False), mark=None))
    return [pytest.param(estimator, check, id=check.func.__name__) for estimator, check in found]


@pytest.mark.parametrize(("estimator", "check"), checks())
def test_scikit_learns_own_checks(estimator, check):
    check(estimator)
