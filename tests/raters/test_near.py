"""Counting the votes near what raters drew: how far it reaches, where it ends, and what it refuses."""

from __future__ import annotations

import numpy as np
import pytest

from twintrack.errors import GeometryError, InputError
from twintrack.raters.near import count_votes

WHOLE = 1e4
"""A margin in mm that reaches over the whole image."""


def test_background_is_counted_as_far_as_the_margin_reaches_in_mm():
    # One voxel drawn, 1 mm by 2 mm. Within 2 mm: two up, two down, one left, one right; diagonal √5 is too far.
    mask = np.zeros((9, 7), np.uint8)
    mask[4, 3] = 1
    masks = {"A": mask, "B": np.zeros_like(mask)}
    counts = [
        count_votes(masks, spacing=(1.0, 2.0), margin_mm=margin).voxels.tolist() for margin in (0, 1.9, 2, 2.3, WHOLE)
    ]
    assert counts == [[1], [2, 1], [6, 1], [10, 1], [62, 1]]


def test_background_ends_where_the_image_does():
    mask = np.zeros((3, 5), np.uint8)
    mask[0, 0] = 1
    votes = count_votes({"B": mask, "A": mask}, spacing=(1.0, 1.0), margin_mm=2.0)
    # Of the 13 voxels within two steps of the corner, 6 are in the image.
    assert (votes.raters, votes.voxels.tolist(), votes.margin_mm) == (("A", "B"), [5, 1], 2.0)
    assert votes.labels.tolist() == [[False, False], [True, True]]


def test_a_margin_of_whole_voxels_is_not_lost_to_rounding():
    mask = np.zeros((1, 9), np.uint8)
    mask[0, 0] = 1
    assert 3 * 0.1 > 0.3
    assert count_votes({"A": mask}, spacing=(0.1, 0.1), margin_mm=0.3).voxels.tolist() == [3, 1]


@pytest.mark.parametrize("margin", [-1.0, np.inf, np.nan])
def test_a_margin_that_is_no_distance_is_refused(margin):
    with pytest.raises(InputError, match="the margin must be a finite number of mm, at least 0; got"):
        count_votes({"A": np.eye(3, dtype=bool)}, spacing=(1.0, 1.0), margin_mm=margin)


def test_masks_and_spacings_that_do_not_fit_are_refused():
    mask = np.eye(3, dtype=bool)
    with pytest.raises(GeometryError):
        count_votes({"A": mask}, spacing=(1.0, 1.0, 1.0))
    with pytest.raises(InputError, match="differ in shape"):
        count_votes({"A": mask, "B": mask[:2]}, spacing=(1.0, 1.0))
    with pytest.raises(InputError, match="at most 16 raters in one case; got 17"):
        count_votes({str(k): mask for k in range(17)}, spacing=(1.0, 1.0))
