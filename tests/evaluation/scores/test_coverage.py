import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import mean_pinball_loss

from twintrack.errors import InputError
from twintrack.evaluation.scores.coverage import interval_coverage, interval_score


def test_score_worked_out_by_hand():
    # level .8: α = .2, 2/α = 10
    assert interval_score(2, 5, 4, level=0.8) == pytest.approx(3)
    assert interval_score(2, 5, 1.5, level=0.8) == pytest.approx(3 + 5)
    assert interval_score(2, 5, 7, level=0.8) == pytest.approx(3 + 20)


def test_cohort_worked_out_by_hand():
    found = interval_coverage([0, 10], [4, 12], [[0, 2, 4, 5], [11, 20]], level=0.5)
    # Inside 0, 2, 4 | 11, ends included. Scores, 2/α = 4: 4, 4, 4, 4 + 4 | 2, 2 + 32
    assert found.share == pytest.approx(4 / 6)
    assert found.case_share == pytest.approx((3 / 4 + 1 / 2) / 2)
    assert found.mean_width == pytest.approx(3)
    assert found.interval_score == pytest.approx((5 + 18) / 2)


@settings(deadline=None)
@given(st.floats(-100, 100), st.floats(0, 100), st.floats(-200, 200), st.floats(0.05, 0.95))
def test_score_is_the_pinball_loss_of_both_ends(low, width, value, level):
    alpha = 1 - level
    both = mean_pinball_loss([value], [low], alpha=alpha / 2) + mean_pinball_loss(
        [value], [low + width], alpha=1 - alpha / 2
    )
    assert interval_score(low, low + width, value, level=level) == pytest.approx(2 / alpha * both, abs=1e-8)


def test_the_quantiles_score_best():
    volumes = np.random.default_rng(0).normal(100, 10, 4000)
    low, high = np.quantile(volumes, [0.05, 0.95])

    def score(a, b):
        return interval_coverage([a], [b], [volumes], level=0.9).interval_score

    best = score(low, high)
    for a, b in ((low - 3, high), (low + 3, high), (low, high - 3), (low, high + 3)):
        assert score(a, b) > best
    assert interval_coverage([low], [high], [volumes]).share == pytest.approx(0.9, abs=1e-3)


def test_bad_input_is_refused():
    with pytest.raises(InputError, match="same cases, at least one; got 0, 0 and 0"):
        interval_coverage([], [], [])
    with pytest.raises(InputError, match="got 1, 2 and 1"):
        interval_coverage([1], [2, 3], [[1]])
    with pytest.raises(InputError, match="case 2: expected at least one"):
        interval_coverage([1, 1], [2, 2], [[1], []])
    with pytest.raises(InputError, match="case 1: expected finite low ≤ high"):
        interval_coverage([3], [2], [[1]])
    for numbers in ((np.nan, 1, 1), (0, np.inf, 1), (0, 1, np.nan)):
        with pytest.raises(InputError, match="expected finite"):
            interval_score(*numbers)
    for level in (0, 1, 1.5):
        with pytest.raises(InputError, match="level"):
            interval_score(0, 1, 0, level=level)
