"""What cannot be scored is refused, and what it was is said."""

from __future__ import annotations

import numpy as np
import pytest

from twintrack.errors import GeometryError, InputError
from twintrack.evaluation import pdacvi
from twintrack.evaluation.curvas.inputs import check_voxel_volume
from twintrack.evaluation.pdacvi.inputs import check_inputs


@pytest.fixture
def case(random_case):
    case = random_case(6)
    case["vessel_names"] = {1: "one", 2: "two", 3: "three"}
    return case


def with_value(array, value):
    changed = array.copy()
    changed.ravel()[7] = value
    return changed


@pytest.mark.parametrize("name", ["probability", "binary", "vessels"])
def test_arrays_of_another_shape(case, name):
    case[name] = case[name][1:]
    with pytest.raises(GeometryError, match=r"\(12, 17, 15\)"):
        pdacvi.score(**case)


def test_raters_of_different_shapes(case):
    case["raters"] = [*case["raters"][:4], case["raters"][4][:, 1:]]
    with pytest.raises(GeometryError, match=r"\(13, 16, 15\)"):
        pdacvi.score(**case)


def test_one_mask_that_is_not_a_stack(case):
    case["raters"] = case["raters"][0]
    with pytest.raises(InputError, match=r"raters\[None\]"):
        pdacvi.score(**case)


@pytest.mark.parametrize("value", [np.nan, -0.25, 1.5, np.inf, -np.inf])
def test_a_probability_that_is_none(case, value):
    case["probability"] = with_value(case["probability"], value)
    with pytest.raises(InputError, match="NaN in 1 voxels" if np.isnan(value) else r"must lie in \[0, 1\]"):
        pdacvi.score(**case)


def test_a_mask_coded_255_is_refused_with_its_rater(case):
    case["raters"][3] *= 255
    with pytest.raises(InputError, match=r"rater 3's mask .* found 255"):
        pdacvi.score(**case)


def test_a_binary_prediction_coded_255_is_refused(case):
    case["binary"] = with_value(case["binary"], 255)
    with pytest.raises(InputError, match=r"binary must hold 0 and 1; found 255"):
        pdacvi.score(**case)


@pytest.mark.parametrize("value", [6, 255])
@pytest.mark.parametrize("variant", pdacvi.VARIANTS)
def test_a_vessel_without_a_name_is_refused(case, value, variant):
    case["vessels"] = with_value(case["vessels"], value)
    with pytest.raises(InputError, match=f"label {value}, which has no name"):
        pdacvi.score(**case, variant=variant)


@pytest.mark.parametrize("name", ["raters", "binary", "vessels"])
@pytest.mark.parametrize("value", [0.5, -1.0, 300.0, np.nan])
def test_labels_that_are_not_whole_numbers_of_a_byte(case, name, value):
    case[name] = with_value(case[name].astype(np.float64), value)
    with pytest.raises(InputError, match=f"{name} must hold whole numbers"):
        pdacvi.score(**case)


def test_values_that_are_not_numbers(case):
    with pytest.raises(InputError, match="must hold numbers"):
        pdacvi.score(case["raters"].astype(str), case["probability"])


@pytest.mark.parametrize("shape", [(7,), (2, 2, 2, 2), (0, 4, 4), ()])
def test_images_that_are_neither_2d_nor_3d_or_empty(shape):
    with pytest.raises(InputError, match=r"2-D or 3-D"):
        pdacvi.score(np.zeros((2, *shape), dtype=np.uint8), np.zeros(shape, dtype=np.float32))


@pytest.mark.parametrize("n_raters", [0, 58])
def test_no_raters_or_too_many(n_raters):
    with pytest.raises(InputError, match="1 to 57"):
        pdacvi.score(np.zeros((n_raters, 3, 3, 3), dtype=np.uint8), np.zeros((3, 3, 3)))


def test_a_2d_image_with_vessels(case):
    flat = {key: case[key][..., 0] for key in ("probability", "binary", "vessels")}
    with pytest.raises(InputError, match="leave vessels out"):
        pdacvi.score(case["raters"][..., 0], **flat)


@pytest.mark.parametrize("names", [{}, {0: "zero"}, {256: "far"}, {1: "a", 2: "a"}])
def test_vessel_names_that_name_nothing(case, names):
    case["vessel_names"] = names
    with pytest.raises(InputError, match="vessel_names must give"):
        pdacvi.score(**case)


def test_an_unknown_variant(case):
    with pytest.raises(InputError, match="official, corrected; got 'offical'"):
        pdacvi.score(**case, variant="offical")


@pytest.mark.parametrize("volume", [0, -1.0, np.nan, np.inf])
def test_a_voxel_volume_that_is_none(case, volume):
    with pytest.raises(InputError, match="voxel_volume must be positive"):
        pdacvi.score(**case, voxel_volume=volume)


def test_spacing_gives_the_voxel_volume():
    assert check_voxel_volume(1.0, spacing=(2.5, 0.8, 0.8)) == pytest.approx(1.6)
    assert check_voxel_volume(1.6, spacing=(2.5, 0.8, 0.8)) == pytest.approx(1.6)
    assert check_voxel_volume(0.9) == 0.9


@pytest.mark.parametrize(
    ("volume", "spacing", "message"),
    [
        (2.0, (2.5, 0.8, 0.8), "contradicts"),
        (1.0, (0.8, 0.8), "one size per axis"),
        (1.0, (2.5, -0.8, -0.8), "every spacing must be positive"),
        (1.0, (2.5, np.nan, 1.0), "positive"),
    ],
)
def test_spacings_that_are_none(volume, spacing, message):
    with pytest.raises(InputError, match=message):
        check_voxel_volume(volume, spacing=spacing)


def test_other_types_that_hold_the_same_are_taken(case):
    expected = pdacvi.score(**case, variant="corrected")
    others = {
        "raters": list(case["raters"].astype(bool)),
        "probability": case["probability"].astype(np.float64),
        "binary": case["binary"].astype(np.int16),
        "vessels": case["vessels"].astype(np.float32),
    }
    assert pdacvi.score(**{**case, **others}, variant="corrected") == expected


def test_arrays_of_the_right_type_are_not_copied(case):
    inputs = check_inputs(case["raters"], case["probability"], binary=case["binary"], vessels=case["vessels"])
    for name in ("raters", "probability", "binary", "vessels"):
        assert np.shares_memory(getattr(inputs, name), case[name])
    boolean = check_inputs(case["raters"].view(bool), case["probability"])
    assert np.shares_memory(boolean.raters, case["raters"])
