import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import brier_score_loss, log_loss

from twintrack.errors import InputError
from twintrack.evaluation.scores.response_scores import BOUND, brier, brier_to_labels, disagreement, log_score

pairs = st.lists(
    st.tuples(st.floats(0, 1, width=32), st.sampled_from([0.0, 0.25, 0.5, 0.75, 1.0])), min_size=1, max_size=40
)


def columns(rows):
    return [np.array(column, np.float32) for column in zip(*rows, strict=True)]


def test_squared_error_worked_out_by_hand():
    p, r = np.float32([0.0, 0.5, 1.0, 0.25]), np.float32([0.5, 0.5, 0.75, 0.0])
    # (1/4 + 0 + 1/16 + 1/16) / 4
    assert brier(p, r) == pytest.approx(0.375 / 4)
    # r (1 - r): 1/4, 1/4, 3/16, 0
    assert disagreement(r) == pytest.approx(0.6875 / 4)
    assert brier_to_labels(p, r) == pytest.approx(1.0625 / 4)


def test_log_score_worked_out_by_hand():
    p, r = np.float32([0.5, 0.25]), np.float32([0.5, 1.0])
    # ln 2 and ln 4
    assert log_score(p, r) == pytest.approx((np.log(2) + np.log(4)) / 2)


def test_sure_and_wrong_costs_the_bound_and_sure_and_right_nothing():
    zero, one = np.zeros(1, np.float32), np.ones(1, np.float32)
    assert log_score(zero, 0.5 * one) == pytest.approx(0.5 * np.log(1 / BOUND), rel=1e-6)
    assert log_score(one, 0.25 * one) == pytest.approx(0.75 * np.log(1 / BOUND), rel=1e-6)
    assert log_score(zero, one, bound=1e-3) == pytest.approx(np.log(1000))
    assert log_score(zero, zero) == pytest.approx(0, abs=1e-7)
    assert log_score(one, one) == pytest.approx(0, abs=1e-7)


def test_equal_scikit_learn_over_the_raters_labels():
    rng = np.random.default_rng(0)
    p = rng.random((4, 5, 6), dtype=np.float32)
    masks = rng.integers(0, 2, (3, *p.shape))
    r = masks.mean(axis=0).astype(np.float32)
    per_rater = [brier_score_loss(mask.ravel(), p.ravel()) for mask in masks]
    assert brier_to_labels(p, r) == pytest.approx(np.mean(per_rater), rel=1e-6)
    per_rater = [log_loss(mask.ravel(), p.ravel().astype(float)) for mask in masks]
    assert log_score(p, r) == pytest.approx(np.mean(per_rater), rel=1e-6)


@settings(deadline=None)
@given(pairs)
def test_nothing_scores_better_than_the_response(rows):
    p, r = columns(rows)
    assert brier(r, r) == 0
    assert log_score(r, r) <= log_score(p, r) + 1e-9
    assert brier_to_labels(r, r) == pytest.approx(disagreement(r))


def test_many_blocks_sum_as_one():
    rng = np.random.default_rng(1)
    p, r = rng.random(200_001, dtype=np.float32), rng.random(200_001, dtype=np.float32)
    assert brier(p, r) == pytest.approx(np.mean((p.astype(float) - r) ** 2), rel=1e-12)


def test_bad_input_is_refused():
    half = np.full(2, 0.5, np.float32)
    with pytest.raises(InputError, match=r"probability has shape \(3,\), response \(2,\)"):
        brier(np.zeros(3, np.float32), half)
    with pytest.raises(InputError, match="probability: expected values in"):
        log_score(np.float32([np.nan, 0]), half)
    with pytest.raises(InputError, match="response: expected values in"):
        brier(half, np.float32([0, 4]))
    with pytest.raises(InputError, match="response: expected an array"):
        disagreement(np.zeros(0))
    for bound in (0, 0.5, -1):
        with pytest.raises(InputError, match="bound"):
            log_score(half, half, bound=bound)
