"""The region of interest holds the exact dilation of what was found, and little more."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from twintrack.errors import GeometryError, InputError
from twintrack.images import Grid, Volume
from twintrack.segmentation.bundle import RoiSettings
from twintrack.segmentation.roi import dilated, given_region, plausible, recall, region_of_interest, whole_image

ALL = RoiSettings(margin=0, smallest=0, keep=0)


def grid_of(shape, spacing):
    return Grid.plain(shape, spacing=spacing)


def whole(roi, shape):
    mask = np.zeros(shape, np.uint8)
    mask[roi.box] = roi.mask
    return mask


def test_small_components_are_implausible_by_volume_and_beside_a_large_one():
    lattice = np.zeros((10, 10, 30), bool)
    lattice[1:5, 1:6, 1:6] = True  # 100 voxels of 8 mm³
    lattice[6:8, 1:6, 10:11] = True  # 10
    lattice[6:7, 1:4, 20:23] = True  # 9
    lattice[9, 9, 29] = True
    spacing = (2.0, 2.0, 2.0)

    def sizes(**given_settings):
        labels, n = ndimage.label(plausible(lattice, spacing, RoiSettings(**given_settings)))
        return sorted(np.bincount(labels.ravel())[1:].tolist()) if n else []

    assert sizes(smallest=0, keep=0) == [1, 9, 10, 100]
    assert sizes(smallest=72, keep=0) == [9, 10, 100]
    assert sizes(smallest=72.1, keep=0) == [10, 100]
    assert sizes(smallest=0, keep=0.1) == [10, 100]
    assert sizes(smallest=801, keep=0) == []


def test_voxels_that_touch_at_a_corner_are_one_component():
    lattice = np.zeros((4, 4, 4), bool)
    lattice[0, 0, 0] = lattice[1, 1, 1] = True
    assert plausible(lattice, (1.0, 1.0, 1.0), RoiSettings(smallest=2, keep=1)).sum() == 2


def box_gap(a, b, spacing):
    """Distance of two lattice voxels as boxes, in mm."""
    gaps = np.maximum(np.abs(np.subtract(a, b)) - 1, 0) * np.array(spacing)
    return float(np.sqrt((gaps**2).sum()))


@given(st.integers(0, 10**6), st.sampled_from([0.5, 2.9, 3.0, 4.1, 7.5]), st.sampled_from([(3, 1.5, 1), (1, 1, 4)]))
@settings(max_examples=30)
def test_the_dilation_is_by_the_distance_between_voxels_not_between_their_centres(seed, margin, spacing):
    rng = np.random.default_rng(seed)
    mask = rng.random((5, 6, 7)) < 0.03
    mask[tuple(rng.integers(0, mask.shape))] = True
    points = np.argwhere(mask)
    expected = np.zeros_like(mask)
    for place in np.ndindex(*mask.shape):
        expected[place] = any(box_gap(place, point, spacing) < margin for point in points)
    np.testing.assert_array_equal(dilated(mask, spacing, margin), expected | mask)


def test_a_margin_of_nothing_dilates_by_nothing():
    mask = np.zeros((5, 5, 5), bool)
    mask[2, 2, 2] = True
    np.testing.assert_array_equal(dilated(mask, (1.0, 1.0, 1.0), 0), mask)


@given(st.integers(0, 10**6), st.floats(0.5, 12))
@settings(max_examples=40)
def test_the_roi_holds_the_exact_dilation_and_reaches_at_most_a_voxel_beyond(seed, margin):
    """Points are compared in mm: everything nearer than the margin to a found lattice voxel is inside."""
    rng = np.random.default_rng(seed)
    shape, spacing = tuple(rng.integers(5, 22, 3).tolist()), tuple(rng.uniform(0.6, 4.0, 3).tolist())
    cells = tuple(rng.integers(2, 12, 3).tolist())
    lattice = np.zeros(cells, bool)
    cell = tuple(int(rng.integers(0, n)) for n in cells)
    lattice[cell] = True
    size = np.array(shape) * spacing / np.array(cells)
    roi = region_of_interest(lattice, grid_of(shape, spacing), RoiSettings(margin=margin, smallest=0))
    mask = whole(roi, shape)
    low, high = np.array(cell) * size, (np.array(cell) + 1) * size
    centres = np.moveaxis(np.indices(shape), 0, -1) * spacing + np.array(spacing) / 2
    away = np.linalg.norm(np.maximum(np.maximum(low - centres, centres - high), 0), axis=-1)
    assert mask[away < margin - 1e-9].all()
    beyond = float(np.linalg.norm(size) + np.linalg.norm(spacing))
    assert not mask[away > margin + beyond].any()


@given(st.integers(0, 10**6))
@settings(max_examples=40)
def test_turning_the_image_over_turns_the_roi_over(seed):
    rng = np.random.default_rng(seed)
    shape, cells = tuple(rng.integers(3, 14, 3).tolist()), tuple(rng.integers(2, 17, 3).tolist())
    lattice = rng.random(cells) < 0.2
    lattice[0, 0, 0] = True
    grid = grid_of(shape, (2.0, 0.9, 1.3))
    chosen = RoiSettings(margin=1.5, smallest=0, keep=0)
    here = whole(region_of_interest(lattice, grid, chosen), shape)
    there = whole(region_of_interest(lattice[::-1, :, ::-1], grid, chosen), shape)
    np.testing.assert_array_equal(here[::-1, :, ::-1], there)


def test_a_finer_lattice_than_the_image_loses_nothing():
    lattice = np.zeros((40, 4, 4), bool)
    lattice[17, 1, 1] = True  # a tenth of a slice
    roi = region_of_interest(lattice, grid_of((4, 4, 4), (10.0, 1.0, 1.0)), ALL)
    assert roi.box == (slice(1, 2), slice(1, 2), slice(1, 2))


def test_the_box_is_tight_and_the_mask_fills_it_to_every_face():
    lattice = np.zeros((6, 6, 6), bool)
    lattice[1, 2, 2] = lattice[4, 2, 3] = True
    roi = region_of_interest(lattice, grid_of((12, 18, 6), (1.0, 1.0, 1.0)), ALL)
    assert roi.box == (slice(2, 10), slice(6, 9), slice(2, 4))
    assert roi.mask.dtype == np.uint8
    assert roi.voxels == int(roi.mask.sum()) == 2 * (2 * 3 * 1)
    for axis in range(3):
        assert roi.mask.take(0, axis).any()
        assert roi.mask.take(-1, axis).any()


@pytest.mark.parametrize("found", [False, True])
def test_nothing_or_nothing_plausible_gives_no_roi(found):
    lattice = np.zeros((4, 4, 4), bool)
    lattice[1, 1, 1] = found
    assert region_of_interest(lattice, grid_of((8, 8, 8), (1.0, 1.0, 1.0)), RoiSettings(smallest=8.1)) is None


def test_recall_is_the_fraction_inside():
    truth = np.zeros((4, 4, 4), np.uint8)
    truth[0] = 1
    roi = region_of_interest(np.eye(4, dtype=bool)[:, :, None].repeat(4, 2), grid_of((4, 4, 4), (1.0,) * 3), ALL)
    assert recall(roi, truth) == 0.25
    assert recall(None, truth) == 1.0
    assert recall(roi, np.zeros((4, 4, 4))) is None
    assert recall(whole_image(grid_of((4, 4, 4), (1.0,) * 3)), truth) == 1.0


def test_a_given_roi_is_taken_as_it_is_in_its_tight_box():
    mask = np.zeros((5, 6, 7))
    mask[1:3, 2, 3:7] = 1
    roi = given_region(Volume(mask, grid_of((5, 6, 7), (1.0,) * 3), "roi"), grid_of((5, 6, 7), (1.0,) * 3), name="ct")
    assert roi.box == (slice(1, 3), slice(2, 3), slice(3, 7))
    assert roi.voxels == 8
    assert roi.mask.dtype == np.uint8


def test_a_given_roi_must_be_a_mask_with_something_in_it_on_the_same_grid():
    grid = grid_of((5, 6, 7), (1.0,) * 3)
    with pytest.raises(InputError, match="holds 0, 3"):
        given_region(Volume(np.eye(6, 7)[None].repeat(5, 0) * 3, grid, "roi"), grid, name="ct")
    with pytest.raises(InputError, match="the ROI is empty"):
        given_region(Volume(np.zeros((5, 6, 7)), grid, "roi"), grid, name="ct")
    with pytest.raises(GeometryError, match="ct and roi do not lie on the same grid"):
        given_region(Volume(np.ones((5, 6, 8)), grid_of((5, 6, 8), (1.0,) * 3), "roi"), grid, name="ct")
