"""Vascular involvement: contact, degrees and the distance between two sets of them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import wasserstein_distance

from twintrack.evaluation import pdacvi
from twintrack.evaluation.pdacvi.contact import contact_pixels, edge_pixels
from twintrack.evaluation.pdacvi.inputs import check_inputs
from twintrack.evaluation.pdacvi.tally import tally
from twintrack.evaluation.pdacvi.vascular import (
    gaussian_distance,
    involvement,
    largest_degrees,
    sample_distance,
)

NAMES = {1: "one", 2: "two", 3: "three"}
SEEDS = st.integers(0, 2**32 - 1)


def picture(rows):
    """A slice drawn with `v` for vessel and `t` for tumour, as a volume of one slice."""
    letters = np.array([list(row) for row in rows])
    return (letters == "t").astype(np.uint8)[None], (letters == "v").astype(np.uint8)[None]


def degrees_of(tumour, vessels, variant, plane="cor"):
    scores = pdacvi.score(
        tumour[None], tumour.astype(np.float32), vessels=vessels, vessel_names={1: "V"}, variant=variant
    )
    return scores["vi_degrees"]["V"][plane]["raters"][0]


@pytest.mark.filterwarnings("ignore::twintrack.errors.TwinTrackWarning")
class TestByHand:
    # The vessel is a 3 x 3 square: 8 edge pixels around 1 inner one, so one contact pixel is 45 degrees.
    # Reach: columns 6 to 8; near side: column 6 in rows 3 to 5. Right edge, top to bottom: right, right-below
    # and right-or-below (3); the same (3); right and right-or-below (2). In all 8.
    RIGHT = (".........",) * 3 + ("...vvv.t.",) * 3 + (".........",) * 3

    def test_official_counts_a_pixel_once_per_kernel(self):
        assert degrees_of(*picture(self.RIGHT), "official") == 8 * 45

    def test_corrected_counts_a_pixel_once(self):
        assert degrees_of(*picture(self.RIGHT), "corrected") == 3 * 45

    def test_official_is_blind_on_the_left_and_above(self):
        tumour, vessels = picture(self.RIGHT)
        assert degrees_of(tumour[:, :, ::-1], vessels[:, :, ::-1], "official") == 0
        assert degrees_of(tumour[:, :, ::-1].swapaxes(1, 2), vessels.swapaxes(1, 2), "official") == 0

    def test_touching_from_the_left_counts_once_in_both(self):
        # The dilation of column 2 covers column 3, the vessel's own edge: 3 pixels within reach. No other edge
        # pixel has anything within reach to its right or below.
        rows = (".........",) * 3 + ("..tvvv...",) * 3 + (".........",) * 3
        assert degrees_of(*picture(rows), "official") == 3 * 45

    def test_a_tumour_all_around_passes_360_in_official_alone(self):
        around = (".........", ".ttttttt.", ".t.....t.") + (".t.vvv.t.",) * 3
        around += (".t.....t.", ".ttttttt.", ".........")
        # Near side: the ring of rows and columns 2 and 6. Right edge, (3, 5) and (4, 5): right, right-below, either,
        # 3 each. Corner (5, 5): these and below, 4. Bottom edge, (5, 3) and (5, 4): below, right-below, either, 3
        # each. The rest has vessel to the right and below. In all 16.
        assert degrees_of(*picture(around), "official") == 16 * 45
        assert degrees_of(*picture(around), "corrected") == 360

    def test_the_border_of_the_volume_is_the_vessels_edge(self):
        # All pixels but the middle one are edge, although the volume ends with them.
        vessels = np.ones((1, 3, 3), dtype=np.uint8)
        assert edge_pixels(vessels, [1])[0, 0, 0] == 8

    def test_a_plane_is_the_axis_it_slices(self):
        # A plate in z = 0 on a plate in z = 1. Along axis 0 no slice holds both; in the others every one does.
        vessels = np.zeros((2, 4, 4), dtype=np.uint8)
        tumour = vessels.copy()
        tumour[0], vessels[1] = 1, 1
        found = [degrees_of(tumour, vessels, "corrected", plane) for plane in pdacvi.PLANES]
        assert found == [0, 360, 360]

    def test_the_slice_with_the_largest_degrees_decides(self):
        tumour, vessels = picture(self.RIGHT)
        twice = np.concatenate([vessels, vessels])
        assert degrees_of(np.concatenate([tumour, 0 * tumour]), twice, "corrected") == 3 * 45

    def test_two_vessels_side_by_side_have_edges_of_their_own(self):
        vessels = np.zeros((1, 3, 6), dtype=np.uint8)
        vessels[0, :, :3], vessels[0, :, 3:] = 1, 2
        assert edge_pixels(vessels, [1, 2])[0, 0].tolist() == [8, 8]


@settings(deadline=None, max_examples=25)
@given(seed=SEEDS, symmetric=st.booleans())
def test_degrees_equal_the_plain_reference_on_random_volumes(reference, random_case, seed, symmetric):
    shape = tuple(np.random.default_rng(seed).integers(1, 16, 3))
    case = random_case(seed, shape=shape)
    found = tally(check_inputs(case["raters"], case["probability"]))
    labels = list(NAMES)
    contact = contact_pixels(case["vessels"], labels, found, symmetric=symmetric)
    fast = largest_degrees(contact, edge_pixels(case["vessels"], labels))
    for axis in range(3):
        for vessel, label in enumerate(labels):
            for mask, voxels in enumerate(reference.masks(case["raters"], case["probability"])):
                slow = reference.degrees(voxels, case["vessels"] == label, axis, symmetric=symmetric)
                assert fast[axis, vessel, mask] == slow


@settings(deadline=None, max_examples=25)
@given(seed=SEEDS, axis=st.integers(0, 2))
def test_corrected_does_not_change_when_the_volume_is_mirrored(random_case, seed, axis):
    case = random_case(seed)
    names = {"vessel_names": NAMES, "variant": "corrected"}
    mirrored = {key: np.flip(array, axis - 3) for key, array in case.items()}  # views: no contiguous copy is needed
    one, other = pdacvi.score(**case, **names), pdacvi.score(**mirrored, **names)
    assert one["vi"] == other["vi"]
    assert one["vi_degrees"] == other["vi_degrees"]


@settings(deadline=None, max_examples=25)
@given(seed=SEEDS)
def test_corrected_degrees_are_bounded(random_case, seed):
    case = random_case(seed)
    found = tally(check_inputs(case["raters"], case["probability"]))
    contact = contact_pixels(case["vessels"], list(NAMES), found, symmetric=True)
    assert (contact <= edge_pixels(case["vessels"], list(NAMES))[..., None]).all()


class TestGaussianDistance:
    def test_two_equal_sets_are_at_distance_0(self):
        assert gaussian_distance([30, 60, 90], [30, 60, 90]) == 0

    def test_well_inside_the_grid_it_is_the_distance_of_the_means(self):
        assert gaussian_distance([90, 100, 110], [140, 150, 160]) == pytest.approx(50, rel=1e-6)

    def test_quirk_values_between_grid_points_vanish_and_agree_with_everything_that_vanishes(self):
        assert gaussian_distance([45.0] * 5, [50.0] * 6) == 0

    def test_quirk_values_between_grid_points_are_360_from_everything_else(self):
        assert gaussian_distance([45.0] * 5, [44, 45, 46]) == 360

    def test_quirk_degrees_far_beyond_360_vanish(self):
        assert gaussian_distance([900, 901], [100, 110, 120]) == 360
        assert gaussian_distance([100, 110, 120], [900, 901]) == 360

    def test_a_set_on_one_point_of_the_grid_gives_its_degrees_against_one_that_vanishes(self):
        assert gaussian_distance([40.0] * 5, [45.0] * 6) == pytest.approx(40)
        assert gaussian_distance([45.0] * 5, [0.0] * 6) == 0


class TestSampleDistance:
    def test_by_hand(self):
        # F: steps of 1/2 at 0 and 100. G: 1 at 50. |F - G| = 1/2 from 0 to 50 and from 50 to 100: 50.
        assert sample_distance([0, 100], [50]) == 50

    def test_sets_of_unequal_size(self):
        # Quantile functions: the first steps from 0 to 30 at 1/3, the second at 1/2; they differ by 30 between.
        assert sample_distance([0, 30, 30], [0, 30]) == pytest.approx(30 / 6)

    @pytest.mark.parametrize(("raters", "prediction"), [([40] * 5, [50] * 6), ([610] * 5, [600] * 6)])
    def test_equal_values_are_as_far_apart_as_they_are(self, raters, prediction):
        assert sample_distance(raters, prediction) == pytest.approx(10)

    def test_it_is_the_limit_of_fine_gaussians(self):
        levels = np.linspace(0, 360, 1000)
        one, other = (np.exp(-0.5 * ((levels - mean) / 9) ** 2) for mean in (100, 130))
        assert sample_distance([100], [130]) == pytest.approx(
            wasserstein_distance(levels, levels, one, other), rel=1e-6
        )


@pytest.mark.parametrize(("variant", "value"), [("official", 0.0), ("corrected", np.nan)])
def test_a_vessel_the_volume_does_not_hold_is_named_and_has_no_angle(random_case, variant, value):
    case = random_case(3)
    case["vessels"][case["vessels"] == 2] = 0
    found = tally(check_inputs(case["raters"], case["probability"]))
    edges = edge_pixels(case["vessels"], list(NAMES))
    distances, degrees, absent = involvement(case["vessels"], edges, NAMES, found, variant=variant)
    assert absent == ["two"]
    np.testing.assert_equal(distances["two"], value)
    np.testing.assert_equal(degrees["two"]["sag"], {"raters": [value] * 5, "prediction": [value] * 6})
    assert np.isfinite(distances["one"])
