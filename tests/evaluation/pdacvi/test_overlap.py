"""Dice over thresholds, and against the STAPLE consensus."""

from __future__ import annotations

import numpy as np
import pytest
import SimpleITK
from hypothesis import given, settings
from hypothesis import strategies as st

from twintrack.errors import TwinTrackWarning
from twintrack.evaluation import pdacvi
from twintrack.evaluation.pdacvi.inputs import check_inputs
from twintrack.evaluation.pdacvi.overlap import consensus, staple_dice, thresholded_dice
from twintrack.evaluation.pdacvi.tally import tally
from twintrack.evaluation.scores.overlap import thresholded_dice as dice_of_overlap

SEEDS = st.integers(0, 2**32 - 1)


def found_for(case):
    return tally(check_inputs(case["raters"], case["probability"], binary=case.get("binary")))


def test_thresholds_of_five_raters_mean_1_2_2_3_4_and_5_of_them():
    # Voxel i is labelled by i raters; the prediction holds voxels 3 to 5 at every threshold.
    raters = (np.arange(6) > np.arange(5)[:, None]).astype(np.uint8)[:, None, :]
    case = {"raters": raters, "probability": (np.arange(6) > 2).astype(np.float32)[None]}
    # Reference of 5, 4, 4, 3, 2, 1 voxels, of which 3, 3, 3, 3, 2, 1 are predicted, of 3.
    expected = np.mean([6 / 8, 6 / 7, 6 / 7, 6 / 6, 4 / 5, 2 / 4])
    assert thresholded_dice(found_for(case), variant="corrected") == pytest.approx(expected, rel=1e-12)
    assert thresholded_dice(found_for(case), variant="official") < expected


@pytest.mark.parametrize("n_raters", [1, 3, 5, 10])
def test_a_prediction_equal_to_the_response_is_perfect(random_case, n_raters):
    # Pitfall: as float32, 4/5 is greater than 0.8 and 1/10 greater than 0.1, while the raters' means are not.
    raters = random_case(5, n_raters=n_raters)["raters"]
    case = {"raters": raters, "probability": raters.mean(axis=0).astype(np.float32)}
    assert thresholded_dice(found_for(case), variant="corrected") == 1


@settings(deadline=None, max_examples=20)
@given(seed=SEEDS)
def test_thresholded_dice_is_the_mean_over_voxel_masks(reference, random_case, seed):
    case = random_case(seed)
    mean = case["raters"].mean(axis=0)
    pairs = [(case["probability"] > np.float32(t), mean > t) for t in pdacvi.THRESHOLDS]
    for variant, epsilon in (("official", 1e-6), ("corrected", 0.0)):
        expected = np.mean([reference.dice(*pair, epsilon=epsilon) for pair in pairs])
        assert thresholded_dice(found_for(case), variant=variant) == pytest.approx(expected, rel=1e-12)
    assert thresholded_dice(found_for(case), variant="corrected") == pytest.approx(
        dice_of_overlap(case["probability"], list(case["raters"]))
    )


@settings(deadline=None, max_examples=10)
@given(seed=SEEDS)
def test_staple_dice_is_that_of_simpleitk(reference, random_case, seed):
    case = random_case(seed)
    images = [SimpleITK.GetImageFromArray(mask) for mask in case["raters"]]
    mask = SimpleITK.GetArrayFromImage(SimpleITK.STAPLE(images, 1.0, 1.0, 100)) > 0.5
    expected = reference.dice(mask, case["binary"] > 0, epsilon=1e-6)
    assert staple_dice(found_for(case), variant="official") == pytest.approx(expected, rel=1e-12)


def test_one_raters_consensus_is_the_rater(random_case):
    case = random_case(2, n_raters=1)
    found = found_for(case)
    chosen = consensus(found, variant="corrected")
    assert (chosen == found.labels[:, 0]).all()


def test_binary_defaults_to_probability_above_a_half(random_case):
    case = random_case(4)
    given_binary = (case["probability"] > 0.5).astype(np.uint8)
    default = found_for({**case, "binary": None})
    assert staple_dice(default, variant="official") == staple_dice(
        found_for({**case, "binary": given_binary}), variant="official"
    )


def test_all_empty_is_a_dice_of_1_in_both():
    case = {"raters": np.zeros((3, 4, 4, 4), dtype=np.uint8), "probability": np.zeros((4, 4, 4))}
    for variant in pdacvi.VARIANTS:
        assert thresholded_dice(found_for(case), variant=variant) == 1
        assert staple_dice(found_for(case), variant=variant) == 1


def test_all_full_is_an_empty_consensus_in_official_as_in_itk_and_a_full_one_in_corrected():
    masks = np.ones((3, 4, 4, 4), dtype=np.uint8)
    images = [SimpleITK.GetImageFromArray(mask) for mask in masks]
    assert np.isnan(SimpleITK.GetArrayFromImage(SimpleITK.STAPLE(images, 1.0, 1.0, 100))).all()
    found = found_for({"raters": masks, "probability": np.ones((4, 4, 4))})
    assert staple_dice(found, variant="official") == 0
    assert staple_dice(found, variant="corrected") == 1
    with pytest.warns(TwinTrackWarning) as caught:
        pdacvi.score(masks, np.ones((4, 4, 4), dtype=np.float32))
    assert any("all raters label every voxel" in str(warning.message) for warning in caught)
