import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import find_objects

from twintrack.errors import InputError
from twintrack.evaluation.scores.arrays import (
    bounding_box,
    checked_length,
    checked_spacing,
    exceeds,
    unit_case,
    unit_values,
)


def test_box_holds_all_arrays_and_grows_to_the_edge_of_the_image():
    first, second = np.zeros((5, 6)), np.zeros((5, 6))
    first[1, 2] = second[3, 4] = 1
    assert bounding_box([first]) == (slice(1, 2), slice(2, 3))
    assert bounding_box([first, second]) == (slice(1, 4), slice(2, 5))
    assert bounding_box([first, second], margin=(1, 3)) == (slice(0, 5), slice(0, 6))
    assert bounding_box([np.zeros((2, 2)), np.zeros((2, 2))]) is None


@settings(deadline=None, max_examples=50)
@given(st.integers(0, 10_000))
def test_box_is_that_of_scipy(seed):
    mask = (np.random.default_rng(seed).random((4, 5, 6)) < 0.05).astype(np.uint8)
    assert bounding_box([mask]) == (find_objects(mask)[0] if mask.any() else None)


def test_exceeding_is_decided_in_double_precision():
    p = np.float32([0.1, 0.3, 0.5, 0.7, 0.9])
    for threshold in (0.1, 0.3, 0.5, 0.7, 0.9):
        assert exceeds(p, threshold).tolist() == (p.astype(float) > threshold).tolist()
    # The float32 nearest to 0.1 lies above 0.1.
    assert exceeds(p, 0.1)[0]
    assert not exceeds(p, 0.5)[2]


def test_values_are_not_copied_where_they_fit_and_are_rounded_where_not():
    values = np.float32([[0, 1], [0.5, 0.25]])
    assert np.shares_memory(unit_values(values, name="x"), values)
    assert unit_values(np.array([0.1]), name="x").dtype == np.float32


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([0.5, np.nan], "x: expected values in"),
        ([0.5, 1.5], "found 0.5 to 1.5"),
        ([-0.1], "found -0.1"),
        ([], r"shape \(0,\)"),
        (["a"], "expected an array of numbers"),
    ],
)
def test_values_outside_the_unit_interval_are_refused(values, message):
    with pytest.raises(InputError, match=message):
        unit_values(np.array(values), name="x")


def test_prediction_and_masks_must_share_a_shape():
    with pytest.raises(InputError, match=r"probability has shape \(2, 2\), a mask \(2, 3\)"):
        unit_case(np.zeros((2, 2)), [np.zeros((2, 3), np.uint8)])


@pytest.mark.parametrize("spacing", [(1, 1), (1, 1, 0), (1, 1, -2), (1, 1, np.nan), (1, 1, np.inf)])
def test_spacing_must_be_a_positive_number_per_axis(spacing):
    with pytest.raises(InputError, match="expected 3 spacings in mm"):
        checked_spacing(spacing, axes=3)


def test_lengths_must_be_positive():
    assert checked_length(0, name="x", zero=True) == 0
    for value in (0, -1, np.nan, np.inf):
        with pytest.raises(InputError, match="x: expected a positive number of mm"):
            checked_length(value, name="x")
