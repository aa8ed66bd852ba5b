"""The one pass: codes, histogram, sum and boxes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from twintrack.evaluation.pdacvi.drawn import FIRST_RATER
from twintrack.evaluation.pdacvi.inputs import check_inputs
from twintrack.evaluation.pdacvi.tally import tally, union
from twintrack.evaluation.scores.overlap import THRESHOLDS

SEEDS = st.integers(0, 2**32 - 1)


def box_of(mask):
    where = np.argwhere(mask)
    return tuple(zip(where.min(0).tolist(), where.max(0).tolist(), strict=True)) if len(where) else None


def check(case):
    found = tally(check_inputs(case["raters"], case["probability"], binary=case["binary"]))
    masks = [case["probability"] > np.float32(threshold) for threshold in THRESHOLDS]
    masks += [*(case["raters"] > 0), case["binary"] > 0]
    codes = np.zeros(case["probability"].shape, dtype=np.uint64)
    for bit, mask in enumerate(masks):
        codes |= mask.astype(np.uint64) << np.uint64(bit)
    assert (found.codes == codes).all()
    patterns, counts = np.unique(codes, return_counts=True)
    assert found.patterns.tolist() == patterns.tolist()
    assert found.counts.tolist() == counts.tolist()
    assert found.rater_voxels.tolist() == case["raters"].sum(axis=(1, 2, 3)).tolist()
    assert found.probability_sum == pytest.approx(float(case["probability"].sum(dtype=np.float64)), rel=1e-12)
    assert found.rater_box == box_of(case["raters"].any(axis=0))
    assert found.prediction_box == box_of(masks[0])
    return found


@settings(deadline=None, max_examples=25)
@given(seed=SEEDS)
def test_it_finds_what_numpy_finds(random_case, seed):
    shape = tuple(np.random.default_rng(seed).integers(1, 20, 3))
    check(random_case(seed, shape=shape))


@pytest.mark.parametrize(
    ("n_raters", "kind"), [(1, np.uint16), (9, np.uint16), (10, np.uint32), (14, np.uint32), (57, np.uint64)]
)
def test_any_number_of_raters_up_to_57_fits_a_code(random_case, n_raters, kind):
    found = check(random_case(1, n_raters=n_raters))
    assert found.codes.dtype == kind
    assert found.labels.shape == (len(found.patterns), n_raters)


def test_it_reads_arrays_in_any_memory_order_and_read_only(random_case):
    case = random_case(8)
    turned = {key: np.asfortranarray(array) for key, array in case.items()}
    for array in turned.values():
        array.setflags(write=False)
    check(turned)


def test_saturated_volumes_have_no_background_pattern(random_case):
    for n_raters in (2, 14):
        case = random_case(0, n_raters=n_raters)
        case["raters"][:], case["binary"][:], case["probability"][:] = 1, 1, 1
        found = check(case)
        assert found.patterns.tolist() == [(1 << (FIRST_RATER + n_raters + 1)) - 1]


def test_minus_zero_is_zero():
    probability = np.full((2, 3, 4), -0.0, dtype=np.float32)
    found = tally(check_inputs(np.ones((1, 2, 3, 4), dtype=np.uint8), probability))
    assert found.probability_sum == 0


def test_float32_sums_do_not_lose_small_probabilities():
    # Added one by one in float32, 1e-4 on top of 4096 would be lost.
    probability = np.full((1, 64, 4096), 1e-4, dtype=np.float32)
    probability[0, 0] = 1
    found = tally(check_inputs(np.ones((1, 1, 64, 4096), dtype=np.uint8), probability))
    assert found.probability_sum == pytest.approx(4096 + 63 * 4096 * float(np.float32(1e-4)), rel=1e-14)


def test_a_union_of_boxes_holds_them_all():
    assert union(((1, 2), (5, 6)), None, ((0, 1), (6, 9))) == ((0, 2), (5, 9))
    assert union(None, None) is None
