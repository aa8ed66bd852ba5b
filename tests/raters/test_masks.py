"""What is refused as a rater's mask, and that the message says why."""

from __future__ import annotations

import numpy as np
import pytest

from twintrack.errors import InputError
from twintrack.raters import case_agreement, majority, response, staple, vote_count
from twintrack.raters.masks import as_votes

GOOD = np.zeros((3, 4), dtype=np.uint8)

BAD = {
    "none": ([], "at least one rater; got none"),
    "other shape": ([GOOD, GOOD, GOOD.T], r"rater 1 has \(3, 4\), rater 3 has \(4, 3\)"),
    "labels": ([GOOD, GOOD + np.uint8(2)], "rater 2: expected a binary mask with values 0 and 1; found 2"),
    "255": ([np.full((3, 4), 255, dtype=np.uint8)], "rater 1: .* found 255"),
    "float": ([GOOD.astype(float)], "rater 1: expected a bool or uint8 mask; got float64"),
    "int": ([GOOD, GOOD.astype(np.int64)], "rater 2: expected a bool or uint8 mask; got int64"),
    "1-D": ([np.zeros(5, dtype=np.uint8)], r"rater 1: expected a 2-D or 3-D mask .* got shape \(5,\)"),
    "4-D": ([np.zeros((1, 2, 2, 2), dtype=np.uint8)], r"got shape \(1, 2, 2, 2\)"),
    "no voxels": ([np.zeros((0, 5), dtype=np.uint8)], r"got shape \(0, 5\)"),
    "one 3-D array": (np.zeros((2, 3, 4), dtype=np.uint8), r"one array of shape \(2, 3, 4\)"),
    "one 2-D array": (GOOD, r"one array of shape \(3, 4\)"),
}


@pytest.mark.parametrize(("masks", "message"), BAD.values(), ids=BAD.keys())
@pytest.mark.parametrize(
    "function",
    [vote_count, response, majority, staple, lambda masks: case_agreement(masks, voxel_volume=1.0)],
    ids=["vote_count", "response", "majority", "staple", "case_agreement"],
)
def test_bad_masks_are_refused(function, masks, message):
    with pytest.raises(InputError, match=message):
        function(masks)


def test_a_4d_array_counts_raters_along_its_first_axis():
    masks = np.zeros((2, 3, 4, 5), dtype=np.uint8)
    masks[1] = 1
    np.testing.assert_array_equal(response(masks), np.full((3, 4, 5), 0.5))


@pytest.mark.parametrize("kind", [np.uint8, np.bool_])
def test_good_masks_are_not_copied(kind):
    mask = np.eye(3, dtype=kind)
    (vote,) = as_votes([mask])
    assert vote.dtype == np.uint8
    assert np.shares_memory(vote, mask)
    np.testing.assert_array_equal(vote, np.eye(3))
