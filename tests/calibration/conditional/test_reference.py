"""The reference that comes with the package, and those that cannot be used. Its numbers may be replaced at any time."""

import json

import numpy as np
import pytest
from pydantic import ValidationError

from twintrack.calibration.conditional.describe import CASE_FEATURES, VOXEL_FEATURES
from twintrack.calibration.conditional.reference import N_COEFFICIENTS, Reference, shipped_reference

EYE = np.eye(N_COEFFICIENTS)


def content(**changes):
    units = {"voxel": [1.0] * len(VOXEL_FEATURES), "case_centre": [0.0] * len(CASE_FEATURES)}
    units["case"] = [1.0] * len(CASE_FEATURES)
    plain = {"units": units, "coefficients": [0.5] * N_COEFFICIENTS, "information": EYE.tolist(), "about": "a test"}
    return (
        plain
        | {key: value for key, value in changes.items() if key != "units"}
        | {"units": units | changes.get("units", {})}
    )


def test_there_are_two_coefficients_of_each_case_feature_and_one_of_all_alike():
    assert N_COEFFICIENTS == 7 + 1 + 2 * 3


def test_the_shipped_reference_is_one_that_can_be_used():
    found = shipped_reference()
    assert found.precision.shape == (N_COEFFICIENTS, N_COEFFICIENTS)
    assert found.precision.dtype == np.float64
    assert np.allclose(found.precision, found.precision.T)
    values = np.linalg.eigvalsh(found.precision)
    assert values[0] > 0
    # Well enough conditioned to be solved with in double precision.
    assert values[-1] / values[0] < 1e10
    assert min(*found.units.voxel, *found.units.case) > 0
    assert found.about


def test_a_fit_is_drawn_to_no_change_or_to_the_map_of_the_reference():
    found = Reference.model_validate_json(json.dumps(content()))
    assert (found.centre("identity") == 0).all()
    assert (found.centre("reference") == 0.5).all()


def test_the_shipped_reference_is_read_once():
    assert shipped_reference() is shipped_reference()


def test_a_reference_is_read_back_as_it_was_written():
    found = Reference.model_validate(content())
    assert Reference.model_validate_json(found.model_dump_json()) == found
    assert (found.precision == EYE).all()


def with_entry(row, column, value):
    matrix = EYE.copy()
    matrix[row, column] = value
    return matrix.tolist()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"information": EYE[1:].tolist()}, "not a matrix of 14 rows and columns"),
        ({"information": EYE[:, 1:].tolist()}, "not a matrix of 14 rows and columns"),
        ({"information": [*EYE[1:].tolist(), [1.0]]}, "not a matrix of 14 rows and columns"),
        ({"information": []}, "not a matrix of 14 rows and columns"),
        ({"information": with_entry(0, 1, 0.5)}, "not symmetric and positive definite"),
        ({"information": with_entry(3, 3, 0.0)}, "not symmetric and positive definite"),
        ({"information": with_entry(3, 3, -1.0)}, "not symmetric and positive definite"),
        ({"information": with_entry(3, 3, float("nan"))}, "finite number"),
        ({"information": with_entry(3, 3, float("inf"))}, "finite number"),
        ({"units": {"voxel": [1.0] * 6}}, "at least 7 items"),
        ({"units": {"voxel": [1.0] * 8}}, "at most 7 items"),
        ({"units": {"voxel": [0.0] * 7}}, "greater than 0"),
        ({"units": {"case": [-1.0] * 3}}, "greater than 0"),
        ({"units": {"case_centre": [0.0] * 2}}, "at least 3 items"),
        ({"units": {"case_centre": [float("nan")] * 3}}, "finite number"),
        ({"units": {"more": 1}}, "Extra inputs"),
        ({"more": 1}, "Extra inputs"),
        ({"about": None}, "valid string"),
    ],
)
def test_a_malformed_reference_is_refused_in_words(changes, message):
    with pytest.raises(ValidationError, match=message):
        Reference.model_validate(content(**changes))


def test_what_is_no_reference_is_refused_as_text():
    with pytest.raises(ValidationError, match="Field required"):
        Reference.model_validate_json("{}")
    with pytest.raises(ValidationError, match="Invalid JSON"):
        Reference.model_validate_json(json.dumps(content())[:-1])
