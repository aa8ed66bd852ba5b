"""Votes, mean human response and majority."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from twintrack.errors import InputError
from twintrack.raters import majority, response, vote_count


def stack(*rows: str) -> list[np.ndarray]:
    """Make one mask of shape (1, n) per string of 0 and 1."""
    return [np.array([[int(sign) for sign in row]], dtype=np.uint8) for row in rows]


@st.composite
def masks_of_raters(draw: st.DrawFn) -> list[np.ndarray]:
    shape = draw(hnp.array_shapes(min_dims=2, max_dims=3, max_side=5))
    kind = draw(st.sampled_from([np.uint8, np.bool_]))
    mask = hnp.arrays(np.bool_, shape).map(lambda array: array.astype(kind))
    return draw(st.lists(mask, min_size=1, max_size=6))


def test_response_is_the_fraction_of_raters():
    masks = stack("0001", "0011", "0111", "0011")
    np.testing.assert_array_equal(vote_count(masks), [[0, 1, 3, 4]])
    np.testing.assert_array_equal(response(masks), np.array([[0, 0.25, 0.75, 1]], dtype=np.float32))
    assert response(masks).dtype == np.float32


@pytest.mark.parametrize("raters", [1, 2, 3, 5, 7, 11, 97, 254, 255, 256, 300])
def test_response_is_the_nearest_float32_for_every_count(raters):
    counts = np.arange(raters + 1)
    masks = list((counts[None, None, :] > np.arange(raters)[:, None, None]).astype(np.uint8))
    np.testing.assert_array_equal(vote_count(masks), counts[None])
    np.testing.assert_array_equal(response(masks), (counts[None] / raters).astype(np.float32))


@pytest.mark.parametrize(("raters", "kind"), [(1, np.uint8), (255, np.uint8), (256, np.uint16)])
def test_votes_take_the_smallest_type_that_holds_them(raters, kind):
    count = vote_count([np.ones((2, 2), dtype=bool)] * raters)
    assert count.dtype == kind
    assert (count == raters).all()


def test_more_raters_than_uint16_can_count_are_refused():
    with pytest.raises(InputError, match="at most 65535 raters can be counted; got 65536"):
        vote_count([np.ones((1, 1), dtype=bool)] * 65536)


def test_a_tie_is_not_a_majority():
    #                 votes of 4: 2, 3, 4, 1
    np.testing.assert_array_equal(majority(stack("1110", "1111", "0110", "0010")), [[0, 1, 1, 0]])
    np.testing.assert_array_equal(majority(stack("10", "01")), [[0, 0]])
    np.testing.assert_array_equal(majority(stack("10", "11", "00")), [[1, 0]])
    np.testing.assert_array_equal(majority(stack("10")), [[1, 0]])


def test_majority_of_many_raters_does_not_wrap_around():
    # 2 * 130 = 260 = 4 in uint8
    masks = [np.full((1, 1), number < 130, dtype=np.uint8) for number in range(200)]
    np.testing.assert_array_equal(majority(masks), [[1]])


@given(masks=masks_of_raters())
@settings(deadline=None)
def test_response_and_majority_agree_with_the_mean_of_the_stack(masks):
    mean = np.mean([mask.astype(np.float64) for mask in masks], axis=0)
    np.testing.assert_array_equal(response(masks), mean.astype(np.float32))
    np.testing.assert_array_equal(response(masks[::-1]), response(masks))
    np.testing.assert_array_equal(majority(masks), mean > 0.5)
    assert majority(masks).dtype == np.uint8


def test_the_masks_are_left_as_they_were():
    masks = stack("0011", "0101", "1111")
    before = [mask.copy() for mask in masks]
    vote_count(masks)
    np.testing.assert_array_equal(masks, before)


def test_results_are_contiguous_whatever_the_order_of_the_masks():
    masks = [np.asfortranarray(np.eye(3, 4, dtype=np.uint8)[:, ::-1]) for _ in range(2)]
    assert vote_count(masks).flags.c_contiguous
    np.testing.assert_array_equal(vote_count(masks), 2 * np.eye(3, 4)[:, ::-1])


def test_response_of_real_raters(data_dir, read_raters):
    masks = read_raters(data_dir / "lidc2d" / "LIDC-IDRI-0001_n0001")
    found = response(masks)
    assert len(masks) == 4
    assert set(np.unique(found)) <= {0, 0.25, 0.5, 0.75, 1}
    assert found.sum(dtype=np.float64) == np.mean([mask.sum() for mask in masks])
    assert majority(masks).sum() == np.count_nonzero(found > 0.5)
