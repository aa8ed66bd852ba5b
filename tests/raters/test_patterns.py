"""Vote patterns against the plain sum of shifted votes."""

from __future__ import annotations

import numpy as np
import pytest

from twintrack.raters.patterns import vote_patterns


@pytest.mark.parametrize(
    ("raters", "kind"), [(1, np.uint8), (3, np.uint8), (8, np.uint8), (9, np.uint16), (16, np.uint16)]
)
@pytest.mark.parametrize("shape", [(5, 6), (3, 300, 301), (200_000, 1), (1, 70_000), (2, 3, 4)])
def test_codes_and_counts_are_those_of_the_plain_sum(raters, kind, shape):
    rng = np.random.default_rng(raters)
    votes = [(rng.random(shape) < 0.4).astype(np.uint8) for _ in range(raters)]
    plain = sum(vote.astype(np.int64) << number for number, vote in enumerate(votes))
    found = vote_patterns(votes)
    assert found.codes.dtype == kind
    np.testing.assert_array_equal(found.codes, plain)
    np.testing.assert_array_equal(found.voxels, np.bincount(plain.ravel(), minlength=2**raters))


def test_parts_without_any_label_are_counted_and_written_too():
    votes = [np.zeros((4, 300, 300), dtype=np.uint8) for _ in range(2)]
    votes[0][2, 7, 7] = votes[1][2, 7, 7] = votes[1][3, 0, 0] = 1
    found = vote_patterns(votes)
    np.testing.assert_array_equal(found.voxels, [4 * 300 * 300 - 2, 0, 1, 1])
    written = found.look_up(np.array([0.125, 9, 0.25, 0.5], dtype=np.float32))
    assert written.dtype == np.float32
    assert (written[2, 7, 7], written[3, 0, 0]) == (0.5, 0.25)
    assert np.count_nonzero(written == 0.125) == 4 * 300 * 300 - 2
