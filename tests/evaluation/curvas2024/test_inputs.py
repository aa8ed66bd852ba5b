"""What cannot be scored is refused, and what it was is said."""

from __future__ import annotations

import numpy as np
import pytest

from twintrack.errors import GeometryError, InputError
from twintrack.evaluation import curvas2024
from twintrack.evaluation.curvas2024.inputs import check_inputs

NAMES = tuple(curvas2024.STRUCTURES.values())


@pytest.fixture
def case(random_case):
    return random_case(5)


def with_value(array, value):
    changed = array.copy()
    changed.ravel()[7] = value
    return changed


def test_raters_on_another_grid(case):
    case["raters"] = case["raters"][:, 1:]
    with pytest.raises(GeometryError, match=r"\(3, 5, 6\)"):
        curvas2024.score(**case)


def test_raters_of_different_shapes(case):
    case["raters"] = [case["raters"][0], case["raters"][1][:, 1:]]
    with pytest.raises(GeometryError, match=r"\(4, 4, 6\)"):
        curvas2024.score(**case)


def test_labels_on_another_grid(case):
    case["labels"] = case["labels"][..., 1:]
    with pytest.raises(GeometryError, match=r"labels has shape \(4, 5, 5\)"):
        curvas2024.score(**case)


def test_one_map_that_is_not_a_stack(case):
    case["raters"] = case["raters"][0]
    with pytest.raises(InputError, match=r"raters\[None\]"):
        curvas2024.score(**case)


def test_no_rater(case):
    case["raters"] = case["raters"][:0]
    with pytest.raises(InputError, match="1 to 57"):
        curvas2024.score(**case)


@pytest.mark.parametrize("channels", [slice(0, 2), slice(0, 0)])
def test_too_few_channels(case, channels):
    case["probabilities"] = case["probabilities"][channels]
    with pytest.raises(InputError, match="C = 4, background and pancreas, kidney, liver, or C = 3"):
        curvas2024.score(**case)


def test_too_many_channels(case):
    case["probabilities"] = np.concatenate([case["probabilities"], 0 * case["probabilities"][:1]])
    with pytest.raises(InputError, match=r"the shape is \(5, 4, 5, 6\)"):
        curvas2024.score(**case)


@pytest.mark.parametrize("shape", [(4, 5, 6), (4, 0, 5, 6)])
def test_probabilities_that_are_no_volumes(case, shape):
    case["probabilities"] = np.zeros(shape, np.float32)
    with pytest.raises(InputError, match=r"probabilities must be \(C, z, y, x\)"):
        curvas2024.score(**case)


@pytest.mark.parametrize("value", [np.nan, -0.25, 1.5, np.inf])
def test_a_probability_that_is_none(case, value):
    case["probabilities"] = with_value(case["probabilities"], value)
    with pytest.raises(InputError, match=r"probabilities: expected values in \[0, 1\]"):
        curvas2024.score(**case)


def test_sigmoids_that_do_not_sum_to_1(case):
    sigmoids = np.full((3, 4, 5, 6), 0.5, np.float32)
    with pytest.raises(InputError, match=r"sum to at most 1 .* off by 0\.5: give a softmax"):
        curvas2024.score(case["raters"], sigmoids)


@pytest.mark.parametrize("value", [0.125, -0.125])
def test_a_background_that_does_not_fill_up_to_1(case, value):
    case["probabilities"] = np.full((4, 4, 5, 6), 0.25, np.float32)
    case["probabilities"][0, 1, 2, 3] += value
    with pytest.raises(InputError, match=r"background's sum to 1 .* off by 0\.125"):
        curvas2024.score(**case)


def test_sums_within_the_rounding_of_half_precision_are_taken(case):
    case["probabilities"] = np.full((4, 4, 5, 6), 0.2501, np.float32)
    assert check_inputs(case["raters"], case["probabilities"], names=NAMES).background is not None


def test_a_rater_with_a_label_that_has_no_name(case):
    case["raters"][1] = with_value(case["raters"][1], 4)
    with pytest.raises(InputError, match=r"rater 1's map holds label 4.*1, pancreas, 2, kidney, 3, liver"):
        curvas2024.score(**case)


def test_a_prediction_with_a_label_that_has_no_name(case):
    case["labels"] = with_value(case["labels"], 255)
    with pytest.raises(InputError, match="labels holds label 255"):
        curvas2024.score(**case)


@pytest.mark.parametrize("name", ["raters", "labels"])
@pytest.mark.parametrize("value", [0.5, -1.0, 300.0, np.nan])
def test_labels_that_are_not_whole_numbers_of_a_byte(case, name, value):
    case[name] = with_value(case[name].astype(np.float64), value)
    with pytest.raises(InputError, match=f"{name} must hold whole numbers"):
        curvas2024.score(**case)


def test_values_that_are_not_numbers(case):
    with pytest.raises(InputError, match="must hold numbers"):
        curvas2024.score(case["raters"].astype(str), case["probabilities"])


@pytest.mark.parametrize("structures", [{}, {0: "a", 1: "b"}, {1: "a", 3: "b"}, {1: "a", 2: "a"}])
def test_structures_that_name_nothing(case, structures):
    with pytest.raises(InputError, match="structures must give the labels 1, 2, 3"):
        curvas2024.score(**case, structures=structures)


def test_an_unknown_variant(case):
    with pytest.raises(InputError, match="official, corrected; got 'offical'"):
        curvas2024.score(**case, variant="offical")


@pytest.mark.parametrize("volume", [0, -1.0, np.nan, np.inf])
def test_a_voxel_volume_that_is_none(case, volume):
    with pytest.raises(InputError, match="voxel_volume must be positive"):
        curvas2024.score(**case, voxel_volume=volume)


def test_other_types_that_hold_the_same_are_taken(case):
    expected = curvas2024.score(**case, variant="corrected")
    others = {
        "raters": list(case["raters"].astype(np.int64)),
        "probabilities": case["probabilities"].astype(np.float64),
        "labels": case["labels"].astype(np.float32),
    }
    assert curvas2024.score(**others, variant="corrected") == expected


def test_arrays_that_are_not_contiguous_score_the_same(case):
    expected = curvas2024.score(**case, variant="corrected")
    strided = {key: np.asfortranarray(array) for key, array in case.items()}
    assert curvas2024.score(**strided, variant="corrected") == expected


def test_arrays_of_the_right_type_are_not_copied(case):
    inputs = check_inputs(case["raters"], case["probabilities"], labels=case["labels"], names=NAMES)
    assert np.shares_memory(inputs.raters, case["raters"])
    assert np.shares_memory(inputs.labels, case["labels"])
    assert np.shares_memory(inputs.foreground, case["probabilities"])
    assert np.shares_memory(inputs.background, case["probabilities"])
