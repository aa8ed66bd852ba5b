"""Regions by hand: where they are, in voxels and in mm, and which come first."""

import numpy as np
import pytest

from twintrack.errors import InputError
from twintrack.evaluation.triage.regions import find_regions, require_range
from twintrack.images import Grid

UNCERTAIN = (np.float32(0.1), np.float32(0.9))


def turned_grid(shape):
    """A grid whose x runs to the right and whose y runs forward, away from the origin."""
    return Grid(
        shape=shape, spacing=(3.0, 2.0, 1.0), origin=(100.0, 200.0, -50.0), direction=(-1, 0, 0, 0, -1, 0, 0, 0, 1)
    )


def test_two_regions_by_hand():
    response = np.zeros((4, 5, 6), np.float32)
    response[1, 1, 1:3] = 0.5  # two voxels, half a disagreement
    response[3, 4, 5] = 0.2  # one of 0.16
    response[2, 2, 3] = 1  # sure, though it touches the first
    found = find_regions(response, turned_grid(response.shape), uncertain=UNCERTAIN)
    first, second = found.found
    assert (first.voxels, first.volume, first.disagreement) == (2, 12.0, pytest.approx(3.0))
    assert first.box == ((1, 1), (1, 1), (1, 2))
    assert (first.first_slice, first.last_slice, first.busiest_slice) == (1, 1, 1)
    assert first.centre == pytest.approx((1, 1, 1.5))
    # x = 100 − 1.5, y = 200 − 2, z = −50 + 3
    assert first.centre_mm == pytest.approx((98.5, 198, -47))
    assert (second.voxels, second.disagreement) == (1, pytest.approx(0.16 * 6))
    assert second.box == ((3, 3), (4, 4), (5, 5))
    assert (found.voxels, found.n_slices, found.n_more) == (3, 2, 0)
    assert found.disagreement == pytest.approx(3.96)


def test_corners_connect():
    response = np.zeros((3, 3), np.float32)
    response[0, 0] = response[1, 1] = response[2, 2] = 0.5
    found = find_regions(response, Grid.plain((3, 3), spacing=(1, 1)), uncertain=UNCERTAIN)
    assert [one.voxels for one in found.found] == [3]
    assert found.found[0].centre_mm == (1, 1)
    assert (found.n_slices, found.found[0].first_slice, found.found[0].last_slice) == (1, 0, 0)


def test_the_busiest_slice_holds_most_disagreement_and_the_centre_is_weighted():
    response = np.zeros((5, 1, 1), np.float32)
    response[1:4, 0, 0] = 0.5, 0.8, 0.8
    (one,) = find_regions(response, Grid.plain((5, 1, 1), spacing=(1, 1, 1)), uncertain=UNCERTAIN).found
    assert (one.first_slice, one.last_slice, one.busiest_slice) == (1, 3, 1)
    # Weights .25, .16, .16 at 1, 2, 3.
    assert one.centre[0] == pytest.approx((0.25 + 0.32 + 0.48) / 0.57)


def test_only_the_largest_are_told_apart():
    response = np.zeros((1, 9), np.float32)
    response[0, ::2] = 0.2, 0.5, 0.3, 0.2, 0.4
    found = find_regions(response, Grid.plain((1, 9)), uncertain=UNCERTAIN, most=2)
    assert [one.box[1][0] for one in found.found] == [2, 8]
    assert (found.n_more, found.voxels) == (3, 5)
    assert found.found[0].centre_mm is None  # where the grid is, nobody knows
    equal = find_regions(np.float32([[0.5, 0, 0.5, 0, 0.5]]), Grid.plain((1, 5)), uncertain=UNCERTAIN)
    assert [one.box[1][0] for one in equal.found] == [0, 2, 4]


def test_the_range_holds_its_lower_end_only():
    response = np.float32([[0.1, 0, 0.9, 0, 0.89]])
    found = find_regions(response, Grid.plain((1, 5)), uncertain=UNCERTAIN)
    assert sorted(one.box[1][0] for one in found.found) == [0, 4]


@pytest.mark.parametrize("value", [0, 1, 0.95])
def test_a_sure_case_has_none(value):
    found = find_regions(np.full((2, 3, 4), value, np.float32), Grid.plain((2, 3, 4)), uncertain=UNCERTAIN)
    assert (found.found, found.n_more, found.voxels, found.disagreement, found.n_slices) == ((), 0, 0, 0, 0)


@pytest.mark.parametrize("ends", [(0, 0.5), (0.5, 0.5), (0.6, 0.4), (0.1, 1.1), (float("nan"), 0.5)])
def test_a_range_that_is_none_is_refused(ends):
    with pytest.raises(InputError, match="0 < low < high ≤ 1"):
        require_range(*ends)
