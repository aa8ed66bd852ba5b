"""Probabilities in [0, 1], binary masks, one grid: what passes, and what the messages say of what does not."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from twintrack.cohort.checks import ROUNDING, common_grid, mask_array, probability_array
from twintrack.errors import GeometryError, InputError
from twintrack.images import Grid, Volume


def volume(array, *, name="file", spacing=None):
    return Volume.from_array(np.asarray(array), spacing=spacing, name=name)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_probabilities_of_any_floating_type_become_float32(dtype):
    checked = probability_array(volume(np.array([[0, 0.5, 1]], dtype)))
    assert checked.dtype == np.float32
    np.testing.assert_array_equal(checked, [[0, 0.5, 1]])


def test_float32_is_not_copied():
    array = np.zeros((2, 2), np.float32)
    assert probability_array(volume(array)) is array


def test_rounding_of_a_softmax_passes_and_more_does_not():
    probability_array(volume([[-0.9 * ROUNDING, 1 + 0.9 * ROUNDING]]))
    for value in (-2 * ROUNDING, 1 + 2 * ROUNDING):
        with pytest.raises(InputError):
            probability_array(volume([[0.5, value]]))


def test_values_that_are_no_probabilities_are_counted_and_the_first_is_shown():
    array = np.full((2, 3, 4), 0.5, np.float32)
    array[0, 1, 2] = 1.5
    array[1, 0, 0] = np.nan
    array[1, 2, 3] = -0.25
    with pytest.raises(InputError) as caught:
        probability_array(volume(array, name="members/a/c1.npz"))
    assert str(caught.value) == (
        "members/a/c1.npz: 3 of 24 probabilities are not in [0, 1], 1 of them NaN; the first is 1.5 at array index "
        "(0, 1, 2). Give probabilities, not logits or per cent."
    )


@settings(deadline=None)
@given(
    hnp.arrays(np.float32, (3, 4), elements=st.floats(0, 1, width=32)),
    st.lists(st.integers(0, 11), min_size=1, unique=True),
    st.sampled_from([np.nan, np.inf, -np.inf, 2.0, -1.0]),
)
def test_no_bad_value_is_ever_missed(array, places, value):
    probability_array(volume(array.copy()))
    array.flat[places] = value
    with pytest.raises(InputError, match=f"{len(places)} of 12 probabilities"):
        probability_array(volume(array))


def test_a_segmentation_is_no_probability_map():
    with pytest.raises(InputError, match=r"seg\.nii\.gz: .* this one is uint8.*--save_probabilities"):
        probability_array(volume(np.ones((2, 2), np.uint8), name="seg.nii.gz"))


@pytest.mark.parametrize("dtype", [bool, np.uint8, np.int16, np.float32, np.float64])
def test_masks_of_any_type_become_uint8(dtype):
    checked = mask_array(volume(np.array([[0, 1], [1, 0]], dtype)), hint="")
    assert checked.dtype == np.uint8
    np.testing.assert_array_equal(checked, [[0, 1], [1, 0]])


def test_masks_of_bytes_and_truth_values_are_not_copied():
    for array in (np.zeros((2, 2), np.uint8), np.zeros((2, 2), bool)):
        assert np.shares_memory(mask_array(volume(array), hint=""), array)


@pytest.mark.parametrize(
    ("values", "shown"),
    [
        (np.array([[0, 2]], np.uint8), "0, 2"),
        (np.array([[0, 1, 255]], np.uint8), "0, 1, 255"),
        (np.array([[-1, 0]], np.int16), "-1, 0"),
        (np.array([[0, 0.5, 1]], np.float32), "0, 0.5, 1"),
        (np.array([[0, np.nan]], np.float32), "0, nan"),
        (np.arange(20, dtype=np.int16).reshape(4, 5), "0, 1, 2, 3, 4, 5, 6, 7, …"),
    ],
)
def test_a_mask_that_is_not_binary_is_refused_with_its_values(values, shown):
    with pytest.raises(InputError) as caught:
        mask_array(volume(values, name="annotation_2.nii.gz"), hint="Do this.")
    assert str(caught.value) == f"annotation_2.nii.gz: a mask holds 0 and 1; this one holds {shown}. Do this."


def test_the_common_grid_is_the_first_known_one():
    plain, known = volume(np.zeros((2, 2))), volume(np.zeros((2, 2)), spacing=(2.0, 3.0))
    assert common_grid([plain, known, plain]) is known.grid
    assert common_grid([plain]) is plain.grid


def test_spacings_that_differ_by_rounding_are_the_same_grid():
    a = volume(np.zeros((300, 512, 512), np.uint8), spacing=(2.5, 0.7, 0.7))
    b = volume(np.zeros((300, 512, 512), np.uint8), spacing=(2.5, 0.7, float(np.float32(0.7))))
    assert common_grid([a, b]) is a.grid


def placed(**change):
    geometry = {"shape": (4, 5, 6), "spacing": (2.5, 0.8, 0.7), "origin": (1.0, 2.0, 3.0)}
    geometry |= {"direction": (1.0, 0, 0, 0, 1, 0, 0, 0, 1)} | change
    grid = Grid(**geometry)
    return Volume(np.zeros(grid.shape, np.uint8), grid, "other.nii.gz")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"shape": (4, 5, 7)}, "the shapes differ"),
        ({"shape": (6, 5, 4), "spacing": (0.7, 0.8, 2.5)}, "the axes are in another order; arrays must be (z, y, x)"),
        ({"spacing": (2.5, 0.8, 0.75)}, "the spacings differ"),
        ({"origin": (1.0, 2.0, 5.5)}, "the origins differ"),
        ({"direction": (-1.0, 0, 0, 0, -1, 0, 0, 0, 1)}, "the directions differ"),
    ],
)
def test_grids_that_differ_are_refused_with_both_files_and_both_grids(change, reason):
    here, there = placed(), placed(**change)
    with pytest.raises(GeometryError) as caught:
        common_grid([Volume(here.array, here.grid, "one.nii.gz"), there])
    message = str(caught.value)
    assert message.startswith(f"one.nii.gz and other.nii.gz do not lie on the same grid: {reason}")
    assert f"\n  one.nii.gz: {here.grid.describe()}\n  other.nii.gz: {there.grid.describe()}\n" in message
    assert "resample" in message


def test_of_a_grid_that_is_not_known_only_the_shape_is_compared():
    known = volume(np.zeros((4, 5, 6)), spacing=(2.5, 0.8, 0.7), name="scan")
    assert common_grid([volume(np.zeros((4, 5, 6))), known]) is known.grid
    with pytest.raises(GeometryError, match="the shapes differ"):
        common_grid([known, volume(np.zeros((4, 5, 7)))])
