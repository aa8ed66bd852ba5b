"""The top-label calibration error: region, bins, precision."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from twintrack.evaluation import pdacvi
from twintrack.evaluation.pdacvi.inputs import check_inputs
from twintrack.evaluation.pdacvi.tally import tally
from twintrack.evaluation.pdacvi.top_label import (
    Region,
    calibration_errors,
    corrected_region,
    official_region,
)
from twintrack.evaluation.scores.top_label import top_label_calibration_error


def found_for(raters, probability):
    inputs = check_inputs(raters, probability)
    return inputs.probability, tally(inputs)


def cut(array, region):
    return array[tuple(slice(a, b) for a, b in zip(region.start, region.stop, strict=True))]


class TestRegion:
    def test_official_ends_before_max_plus_20(self):
        region = official_region(((25, 30), (40, 40), (20, 79)), (60, 60, 100))
        assert region.start == (5, 20, 0)
        assert region.stop == (50, 60, 99)
        assert not region.wrapped

    def test_official_counts_a_negative_bound_from_the_far_end(self):
        region = official_region(((19, 30), (40, 40), (40, 40)), (96, 60, 60))
        assert region.start[0] == 95
        assert region.wrapped
        assert region.voxels == 0

    def test_official_can_land_on_voxels_that_have_nothing_to_do_with_it(self):
        region = official_region(((5, 30), (25, 25), (25, 25)), (45, 60, 60))
        assert (region.start[0], region.stop[0]) == (30, 45)
        assert region.voxels > 0

    def test_official_leaves_the_missing_axis_of_an_image_alone(self):
        region = official_region(((0, 0), (30, 31), (30, 31)), (1, 60, 60), dimensions=2)
        assert (region.start, region.stop) == ((0, 10, 10), (1, 51, 51))
        assert not region.wrapped

    def test_corrected_grows_by_20_to_every_side_and_stays_inside(self):
        raters = np.zeros((1, 60, 50, 70), dtype=np.uint8)
        raters[0, 30, 5, 60] = 1
        region = corrected_region(found_for(raters, np.zeros((60, 50, 70), dtype=np.float32))[1])
        assert region.start == (10, 0, 40)
        assert region.stop == (51, 26, 70)

    def test_corrected_takes_the_prediction_where_no_rater_drew(self):
        probability = np.zeros((60, 60, 60), dtype=np.float32)
        probability[30, 30, 30] = 0.11
        region = corrected_region(found_for(np.zeros((2, 60, 60, 60), dtype=np.uint8), probability)[1])
        assert (region.start, region.stop) == ((10,) * 3, (51,) * 3)

    def test_corrected_takes_the_whole_volume_where_nobody_drew(self):
        shape = (9, 8, 70)
        region = corrected_region(found_for(np.zeros((2, *shape), dtype=np.uint8), np.zeros(shape))[1])
        assert (region.start, region.stop) == ((0, 0, 0), shape)


class TestByHand:
    # A row of 10 voxels: p = 0.9 in four, of which the rater labels three; p = 0 in six, of which it labels one.
    # Confidence 0.9: accuracy 3/4, gap 0.15. Confidence 1: accuracy 5/6, gap 1/6.
    # ECE = 0.4 x 0.15 + 0.6 / 6 = 0.16.
    RATER = np.array([[[[1, 1, 1, 0, 1, 0, 0, 0, 0, 0]]]], dtype=np.uint8)
    P = np.array([[[0.9] * 4 + [0] * 6]], dtype=np.float32)

    def test_corrected(self):
        probability, found = found_for(self.RATER, self.P)
        errors = calibration_errors(probability, found, corrected_region(found), variant="corrected")
        assert errors == pytest.approx([0.16], abs=1e-7)  # 0.9 is a float32

    def test_two_raters_are_scored_apart(self):
        raters = np.concatenate([self.RATER, 1 - self.RATER])
        scores = pdacvi.score(raters, self.P, variant="corrected")
        # the other rater: accuracy 1/4 and 1/6, gaps 0.65 and 5/6
        assert scores["ece"] == pytest.approx({"0": 0.16, "1": 0.4 * 0.65 + 0.6 * 5 / 6}, abs=1e-7)
        assert scores["ece_mean"] == pytest.approx((0.16 + 0.76) / 2, abs=1e-7)

    def test_a_half_is_background(self):
        # p = 0.5 and 0.51 share a bin. Both right: accuracy 1, mean confidence 0.505.
        probability = np.array([[[0.5, 0.51]]], dtype=np.float32)
        for variant in ("corrected", "official"):
            scored, found = found_for(np.array([[[[0, 1]]]], dtype=np.uint8), probability)
            both = Region(start=(0, 0, 0), stop=(1, 1, 2))
            assert calibration_errors(scored, found, both, variant=variant) == pytest.approx([0.495], abs=1e-6)

    def test_corrected_puts_certainty_in_the_last_bin_and_official_in_a_bin_of_its_own(self):
        # p = 1 is wrong and p = 0.99 right. In one bin: |1 - 1.99| / 2. In two: (0.01 + 1) / 2.
        raters = np.array([[[[0, 1]]]], dtype=np.uint8)
        probability, found = found_for(raters, np.array([[[1, 0.99]]], dtype=np.float32))
        both = Region(start=(0, 0, 0), stop=(1, 1, 2))
        together = calibration_errors(probability, found, both, variant="corrected")
        apart = calibration_errors(probability, found, both, variant="official")
        assert together == pytest.approx([0.495], abs=1e-6)
        assert apart == pytest.approx([0.505], abs=1e-6)


@settings(deadline=None, max_examples=20)
@given(seed=st.integers(0, 2**32 - 1))
def test_both_variants_equal_the_plain_reference(reference, random_case, seed):
    case = random_case(seed, shape=(21, 23, 44))
    probability, found = found_for(case["raters"], case["probability"])
    region = corrected_region(found)
    official = calibration_errors(probability, found, region, variant="official")
    corrected = calibration_errors(probability, found, region, variant="corrected")
    p, masks = cut(probability, region), [cut(mask, region) for mask in case["raters"]]
    assert official == pytest.approx([reference.float32_calibration_error(p, m) for m in masks], abs=1e-7)
    assert corrected == pytest.approx([reference.calibration_error(p, m) for m in masks], abs=1e-12)
    assert corrected == pytest.approx(top_label_calibration_error(p, masks), abs=1e-6)


def test_confidences_on_and_beside_the_edges_of_bins_fall_where_they_belong(reference):
    # Pitfall: as float32, some edges lie below k / 50, and two of the evaluator's are a step above that.
    edges = np.unique(np.concatenate([np.linspace(0.5, 1, 26).astype(np.float32), reference.float32_edges()[25:]]))
    values = np.concatenate([edges, np.nextafter(edges, np.float32(0)), np.nextafter(edges[:-1], np.float32(1))])
    rng = np.random.default_rng(0)
    for _ in range(200):
        p = rng.choice(values, 6)[None, None]
        rater = rng.integers(0, 2, p.shape).astype(np.uint8)
        probability, found = found_for(rater[None], p)
        row = Region(start=(0, 0, 0), stop=p.shape)
        official, corrected = (
            calibration_errors(probability, found, row, variant=variant)[0] for variant in pdacvi.VARIANTS
        )
        assert official == pytest.approx(reference.float32_calibration_error(p, rater), abs=1e-6)
        assert corrected == pytest.approx(reference.calibration_error(p, rater), abs=1e-12)


def test_bin_edges_are_those_of_the_evaluators_library():
    # torchmetrics' binary_calibration_error([0.78, 0.79], [1, 0], n_bins=50) gives 0.5050: its edge lies above 0.78.
    p = np.float32([[[0.78, 0.79]]])
    probability, found = found_for(np.uint8([[[[1, 0]]]]), p)
    region = Region(start=(0, 0, 0), stop=p.shape)
    assert calibration_errors(probability, found, region, variant="official")[0] == pytest.approx(0.505, abs=1e-4)


def test_float32_counts_stand_still_at_16_million_in_official_alone():
    # Of 2**24 + 2**20 voxels of p = 0, the rater labels the first 2**20, which are therefore wrong. Confidence sums to
    # a float32 that cannot pass 2**24, while 2**24 are right all the same: no gap is left.
    shape = (1, 17, 1 << 20)
    raters = np.zeros((1, *shape), dtype=np.uint8)
    raters[0, 0, 0] = 1
    probability, found = found_for(raters, np.zeros(shape, dtype=np.float32))
    whole = Region(start=(0, 0, 0), stop=shape)
    assert calibration_errors(probability, found, whole, variant="corrected") == pytest.approx([1 / 17])
    assert calibration_errors(probability, found, whole, variant="official") == [0]


def test_an_empty_region_is_nan():
    probability, found = found_for(np.ones((2, 3, 3, 3), dtype=np.uint8), np.ones((3, 3, 3)))
    errors = calibration_errors(probability, found, Region(start=(2, 0, 0), stop=(1, 3, 3)), variant="official")
    assert all(math.isnan(error) for error in errors)
