import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from twintrack.report.sections import MARGIN, SMALLEST_FIELD, choose_sections


def block(shape=(20, 30, 40), box=((8, 12), (10, 16), (20, 23))):
    weight = np.zeros(shape, np.uint8)
    weight[tuple(slice(*pair) for pair in box)] = 1
    return weight


def test_a_volume_is_cut_where_the_weight_is_largest_in_each_plane():
    weight = block()
    weight[9, 11, 21] = 3
    axial, coronal, sagittal = choose_sections(weight, spacing=(3, 2, 1), upright=True)
    assert [one.title for one in (axial, coronal, sagittal)] == [
        "axial, slice 10 of 20",
        "coronal, slice 12 of 30",
        "sagittal, slice 22 of 40",
    ]
    assert axial.cut(weight).max() == coronal.cut(weight).max() == sagittal.cut(weight).max() == 3


def test_the_sections_are_those_of_the_array():
    weight = block()
    values = np.arange(weight.size).reshape(weight.shape)
    axial, coronal, sagittal = choose_sections(weight, spacing=(3, 2, 1), upright=True)
    np.testing.assert_array_equal(axial.cut(values), values[8][axial.box[1], axial.box[2]])
    np.testing.assert_array_equal(coronal.cut(values), values[:, 10][coronal.box[0], coronal.box[2]])
    np.testing.assert_array_equal(sagittal.cut(values), values[:, :, 20][sagittal.box[0], sagittal.box[1]])


def test_all_fields_of_view_measure_the_longest_side_and_its_margins():
    # The block measures 12 × 12 × 3 mm; 12 + 2 · 15 = 42 mm, more than the smallest field.
    assert SMALLEST_FIELD < 12 + 2 * MARGIN == 42
    for section in choose_sections(
        block((40, 60, 80), ((18, 22), (28, 34), (40, 43))), spacing=(3, 2, 1), upright=True
    ):
        left, right, bottom, top = section.field
        assert right - left == pytest.approx(42)
        assert abs(top - bottom) == pytest.approx(42)


def test_a_small_weight_still_gets_a_field_with_surroundings():
    axial, *_ = choose_sections(block((50, 80, 80), ((20, 21), (40, 41), (40, 41))), spacing=(1, 1, 1), upright=True)
    assert axial.field == (40.5 - SMALLEST_FIELD / 2, 40.5 + SMALLEST_FIELD / 2, 60.5, 20.5)


def test_rows_run_to_the_back_in_axial_and_to_the_head_in_the_other_planes():
    for section, downwards, sides in zip(
        choose_sections(block(), spacing=(3, 2, 1), upright=True),
        (True, False, False),
        ("RLPA", "RLIS", "APIS"),
        strict=True,
    ):
        _, _, bottom, top = section.field
        assert (bottom > top) == downwards
        assert "".join(section.sides) == sides


def test_no_side_is_named_where_the_orientation_is_not_known():
    assert all(section.sides == () for section in choose_sections(block(), spacing=(3, 2, 1), upright=False))


def test_the_field_moves_into_the_image_where_the_weight_lies_at_its_edge():
    (image,) = choose_sections(block((100, 100), ((0, 4), (96, 100))), spacing=(1, 1), upright=False)
    assert image.field == (100 - 2 * SMALLEST_FIELD / 2, 100, SMALLEST_FIELD, 0)


def test_the_field_is_no_larger_than_the_image():
    (image,) = choose_sections(block((30, 30), ((10, 20), (10, 20))), spacing=(1, 1), upright=False)
    assert image.field == (0, 30, 30, 0)


def test_a_2d_image_and_a_single_slice_have_one_section():
    (image,) = choose_sections(block((30, 40), ((3, 5), (7, 9))), spacing=(2, 1), upright=False)
    assert image.title == "image"
    (axial,) = choose_sections(block((1, 30, 40), ((0, 1), (3, 5), (7, 9))), spacing=(5, 2, 1), upright=True)
    assert axial.title == "axial"
    (sagittal,) = choose_sections(block((30, 40, 1), ((3, 5), (7, 9), (0, 1))), spacing=(5, 2, 1), upright=True)
    assert sagittal.title == "sagittal"


def test_a_single_voxel_is_shown_in_one_plane():
    assert len(choose_sections(np.ones((1, 1, 1)), spacing=(1, 1, 1), upright=True)) == 1


def test_without_any_weight_everything_is_shown_through_the_middle():
    axial, *_ = choose_sections(np.zeros((20, 30, 40)), spacing=(1, 1, 1), upright=True)
    assert axial.title == "axial, slice 11 of 20"
    assert axial.box[1:] == (slice(0, 30), slice(0, 40))


@given(
    shape=st.tuples(*[st.integers(1, 12)] * 3),
    spacing=st.tuples(*[st.floats(0.3, 6)] * 3),
    seed=st.integers(0, 1000),
)
def test_centres_and_extent_place_every_pixel_where_it_lies(shape, spacing, seed):
    weight = (np.random.default_rng(seed).random(shape) < 0.1).astype(np.uint8)
    for section in choose_sections(weight, spacing=spacing, upright=True):
        x, y = section.centres()
        assert section.cut(weight).shape == (len(y), len(x))
        left, right, first, last = section.extent
        assert (x[0] - left, right - x[-1]) == pytest.approx((section.spacing[1] / 2,) * 2)
        assert (y[0] - first, last - y[-1]) == pytest.approx((section.spacing[0] / 2,) * 2)
        assert x[0] / section.spacing[1] - 0.5 == pytest.approx(section.box[section.columns].start)
