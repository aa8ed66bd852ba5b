import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from twintrack.errors import InputError
from twintrack.evaluation.scores.overlap import THRESHOLDS, thresholded_dice


def test_worked_out_by_hand():
    p = np.float32([0.9, 0.6, 0.3, 0.0])
    masks = [np.uint8([1, 1, 0, 0]), np.uint8([1, 0, 0, 0])]
    # response 1, .5, 0, 0. Threshold .2: p has 3, response 2, both 2 -> 4/5. Threshold .7: 1, 1, 1 -> 1.
    assert thresholded_dice(p, masks, thresholds=(0.2, 0.7)) == pytest.approx((0.8 + 1) / 2)


def test_five_raters_make_the_thresholds_one_two_two_three_four_five():
    masks = [np.uint8([k < n for n in range(6)]) for k in range(5)]  # voxel n has n votes
    response = np.mean(masks, axis=0)
    assert [int((response > t).sum()) for t in THRESHOLDS] == [5, 4, 4, 3, 2, 1]
    assert thresholded_dice(response.astype(np.float32), masks) == 1.0


def test_threshold_is_strict():
    p = np.float32([0.5])
    assert thresholded_dice(p, [np.uint8([1])], thresholds=(0.5,)) == 0.0


def test_both_empty_is_one_and_one_empty_is_zero():
    empty, full = np.zeros((2, 2), np.uint8), np.ones((2, 2), np.uint8)
    assert thresholded_dice(np.zeros((2, 2), np.float32), [empty]) == 1.0
    assert thresholded_dice(np.zeros((2, 2), np.float32), [full]) == 0.0
    assert thresholded_dice(np.ones((2, 2), np.float32), [empty]) == 0.0


@settings(deadline=None, max_examples=50)
@given(st.integers(0, 10_000), st.integers(1, 6))
def test_equals_the_definition(seed, k):
    rng = np.random.default_rng(seed)
    p = rng.random((3, 5), dtype=np.float32)
    masks = [(rng.random((3, 5)) < 0.5).astype(np.uint8) for _ in range(k)]
    response = np.sum(masks, axis=0) / k
    expected = []
    for t in THRESHOLDS:
        a, b = p.astype(float) > t, response > t
        expected.append(2 * (a & b).sum() / (a.sum() + b.sum()) if a.any() or b.any() else 1.0)
    assert thresholded_dice(p, masks) == pytest.approx(np.mean(expected), abs=1e-12)


def test_shapes_must_match():
    with pytest.raises(InputError, match=r"probability has shape \(2,\), a mask \(3,\)"):
        thresholded_dice(np.zeros(2, np.float32), [np.zeros(3, np.uint8)])
