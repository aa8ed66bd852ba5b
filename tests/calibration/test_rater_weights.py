"""Weights by number of raters: numbers worked out by hand, and less noise where the truth is known."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import twintrack as tt
from twintrack.calibration.methods import IsotonicMap
from twintrack.calibration.rater_weights import rater_weight, vote_correlation, weighted_curve
from twintrack.compute.levels import N_LEVELS, level_values, levels
from twintrack.errors import CalibrationError

from .conftest import make_case

HALF = int(levels(np.float32([0.5]))[0])
GRID = levels(np.linspace(0.05, 0.95, 19, dtype=np.float32))
TRUTH = level_values()[GRID] ** 1.5
"""The response at each level of the grid in the simulations."""


def table_of(*rows, target="response"):
    """Make a table of rows (level, number of voxels with 0 … K votes)."""
    counts = {}
    for level, voxels in rows:
        counts.setdefault(len(voxels) - 1, np.zeros((N_LEVELS, len(voxels)), np.int64))[level] += voxels
    return tt.ResponseTable(counts, target)


def simulated(rng, *, correlation, voxels):
    """Draw votes at each level of the grid from a beta-binomial distribution; `voxels` maps K to their number."""
    rows = []
    for k, n in voxels.items():
        for level, mean in zip(GRID, TRUTH, strict=True):
            strength = 1 / correlation - 1
            chance = rng.beta(mean * strength, (1 - mean) * strength, size=n)
            rows.append((level, np.bincount(rng.binomial(k, chance), minlength=k + 1)))
    return table_of(*rows)


@pytest.mark.parametrize(
    ("k", "correlation", "expected"),
    [(1, 0, 1), (1, 0.7, 1), (2, 0, 2), (5, 0, 5), (2, 0.5, 4 / 3), (5, 0.5, 5 / 3), (5, 0.25, 2.5), (5, 1, 1)],
)
def test_weights_worked_by_hand(k, correlation, expected):
    assert rater_weight(k, correlation) == pytest.approx(expected)


def test_without_a_correlation_a_rater_counts_one():
    assert [rater_weight(k) for k in (1, 2, 5)] == [1, 2, 5]


@given(k=st.integers(1, 100), correlation=st.floats(0, 1))
def test_a_rater_more_adds_something_and_no_more_than_one(k, correlation):
    first, second = rater_weight(k, correlation), rater_weight(k + 1, correlation)
    assert 1 - 1e-12 <= first <= k
    assert -1e-9 <= second - first <= 1 + 1e-9


@pytest.mark.parametrize(("k", "correlation"), [(0, 0.5), (2, -0.1), (2, 1.1), (2, np.nan)])
def test_weights_of_nothing_are_refused(k, correlation):
    with pytest.raises(CalibrationError, match=f"got {k} raters and {correlation}"):
        rater_weight(k, correlation)


def test_a_correlation_of_two_raters_worked_by_hand():
    # f = 1/2. Residuals' products: no vote or two .25, one vote −.25: 4 · .25 − 2 · .25 + 4 · .25 = 1.5, of 10 · .25.
    assert vote_correlation(table_of((HALF, [4, 2, 4]))) == pytest.approx(0.6)


def test_a_correlation_of_unequal_numbers_of_raters_worked_by_hand():
    # Further two voxels where all of five agree: .25 each. f stays 15/30. (1.5 + .5) / (12 · .25).
    # One rater alone has no pair: the two voxels, one labelled, change nothing.
    table = table_of((HALF, [4, 2, 4]), (HALF, [1, 0, 0, 0, 0, 1]), (HALF, [1, 1]))
    assert vote_correlation(table) == pytest.approx(2 / 3)


def test_three_raters_of_whom_one_or_two_vote_worked_by_hand():
    # f = 1/2; at one vote 0 − 1/3 + 1/4 = −1/12, at two 1/3 − 2/3 + 1/4 = −1/12; the same where the pairs are 1/4 of
    # them with all votes: (3 · (−1/12) + 1/4) / (4 · 1/4).
    assert vote_correlation(table_of((HALF, [0, 4, 4, 0]))) == 0
    assert vote_correlation(table_of((HALF, [1, 3, 3, 1]))) == pytest.approx(0, abs=1e-12)
    assert vote_correlation(table_of((HALF, [3, 3, 3, 3]))) == pytest.approx(1 / 3)


def test_raters_who_always_agree_have_correlation_1():
    assert vote_correlation(table_of((HALF, [3, 0, 5]), (HALF + 9, [1, 0, 0, 2]))) == 1


def test_raters_who_never_agree_have_no_less_than_0():
    assert vote_correlation(table_of((HALF, [0, 8, 0]))) == 0


@pytest.mark.parametrize("correlation", [0.05, 0.3, 0.8])
def test_the_correlation_of_simulated_raters_is_recovered(correlation):
    table = simulated(np.random.default_rng(5), correlation=correlation, voxels={2: 2000, 3: 2000, 5: 2000})
    assert vote_correlation(table) == pytest.approx(correlation, abs=0.015)


def test_what_the_probability_explains_is_no_correlation():
    # Independent votes, but of unlike chances: .1 at one probability, .9 at another.
    rng = np.random.default_rng(2)
    rows = [
        (level, np.bincount(rng.binomial(3, chance, 4000), minlength=4)) for level, chance in ((900, 0.1), (9000, 0.9))
    ]
    assert vote_correlation(table_of(*rows)) == pytest.approx(0, abs=0.02)
    assert vote_correlation(table_of(*((HALF, voxels) for _, voxels in rows))) == pytest.approx(0.64, abs=0.02)


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (table_of((HALF, [3, 4])), "cases with two raters or more; this table has none"),
        (table_of((HALF, [3, 4]), target="staple"), "this table has one mask for each case, the target staple"),
        (table_of((HALF, [5, 0, 0])), "at each probability all votes are the same"),
        (table_of((0, [5, 2, 1])), "nothing to fit"),
    ],
)
def test_where_the_correlation_cannot_be_told_that_is_said(table, message):
    with pytest.raises(CalibrationError, match=message):
        vote_correlation(table)


def test_the_probability_of_0_counts_unless_it_is_pinned():
    table = table_of((0, [0, 8, 0]), (HALF, [4, 2, 4]))
    assert vote_correlation(table) == pytest.approx(0.6)
    # f = 1/2 at both: (1.5 − 8 · .25) / (18 · .25) is below 0.
    assert vote_correlation(table, pin_zero=False) == 0
    assert weighted_curve(table).weight.tolist() == [10]
    assert weighted_curve(table, pin_zero=False).weight.tolist() == [8, 10]


@pytest.mark.parametrize(
    ("correlation", "expected"),
    # Three voxels with one vote of two, one with five of five.
    [(0.0, 8 / 11), (0.5, 11 / 17), (1.0, 2.5 / 4)],
)
def test_a_weighted_curve_worked_by_hand(correlation, expected):
    curve = weighted_curve(table_of((HALF, [0, 3, 0]), (HALF, [0, 0, 0, 0, 0, 1])), correlation=correlation)
    assert curve.probability.tolist() == [0.5]
    assert curve.response == pytest.approx([expected])
    assert curve.weight == pytest.approx([4])


def test_weights_of_a_curve_worked_by_hand():
    # Two voxels of two raters at one level, one voxel of five at another; ρ = 0: 4 and 5, of which 3 voxels.
    curve = weighted_curve(table_of((HALF, [1, 1, 0]), (HALF + 5, [0, 0, 0, 1, 0, 0])), correlation=0.0)
    assert curve.response == pytest.approx([0.25, 0.6])
    assert curve.weight == pytest.approx([4 / 3, 5 / 3])


def test_where_none_is_given_the_correlation_is_estimated():
    table = table_of((HALF, [4, 2, 4]), (HALF + 9, [1, 0, 0, 0, 1, 3]))
    given_one = weighted_curve(table, correlation=vote_correlation(table))
    found = weighted_curve(table)
    assert found.response.tolist() == given_one.response.tolist()
    assert found.weight.tolist() == given_one.weight.tolist()


@settings(deadline=None, max_examples=10)
@given(seed=st.integers(0, 10_000))
def test_correlation_1_gives_the_plain_curve_and_0_that_of_all_votes(seed):
    cases = [make_case(seed + k, name=f"c{k}", shape=(2, 8, 8), n_raters=2 + k) for k in range(3)]
    table = tt.tabulate(cases)
    plain, one = table.curve(), weighted_curve(table, correlation=1.0)
    np.testing.assert_array_equal(one.probability, plain.probability)
    np.testing.assert_allclose(one.response, plain.response, atol=1e-12)
    np.testing.assert_allclose(one.weight, plain.weight)
    pooled = weighted_curve(table, correlation=0.0)
    votes = sum(counts @ np.arange(k + 1) for k, counts in table.counts.items())
    given_votes = sum(k * counts.sum(axis=1) for k, counts in table.counts.items())
    occupied = np.flatnonzero(given_votes[1:]) + 1
    np.testing.assert_allclose(pooled.response, votes[occupied] / given_votes[occupied], atol=1e-12)
    assert pooled.weight.sum() == pytest.approx(plain.weight.sum())


@pytest.mark.parametrize("target", ["response", "staple", "rater:1"])
@pytest.mark.parametrize("weighting", ["voxels", "cases"])
def test_with_one_number_of_raters_the_curve_is_the_plain_one(target, weighting):
    table = tt.tabulate([make_case(seed) for seed in range(3)], target=target, weighting=weighting)
    plain, weighted = table.curve(target=target), weighted_curve(table)
    np.testing.assert_allclose(weighted.response, plain.response, atol=1e-12)
    np.testing.assert_allclose(weighted.weight, plain.weight)


def test_a_correlation_out_of_range_is_refused():
    with pytest.raises(CalibrationError, match=r"in \[0, 1\]; got 2 raters and 1.5"):
        weighted_curve(table_of((HALF, [1, 1, 1])), correlation=1.5)


def test_a_table_without_a_voxel_above_0_is_refused():
    with pytest.raises(CalibrationError, match="nothing to fit"):
        weighted_curve(table_of((0, [3, 1, 1]), (0, [3, 1])), correlation=0.0)


@pytest.mark.parametrize(
    ("correlation", "ratio"),
    # n voxels of each: unweighted (v2 + v5) / 4, weighted 1 / (1/v2 + 1/v5), with 1/v = rater_weight.
    [(0.02, 0.836), (0.3, 0.963)],
)
def test_the_weighted_curve_is_less_noisy_than_the_plain_one(correlation, ratio):
    w2, w5 = rater_weight(2, correlation), rater_weight(5, correlation)
    assert 4 / ((w2 + w5) * (1 / w2 + 1 / w5)) == pytest.approx(ratio, abs=1e-3)
    rng = np.random.default_rng(8)
    plain, weighted, plain_fit, weighted_fit = [], [], [], []
    for _ in range(120):
        table = simulated(rng, correlation=correlation, voxels={2: 60, 5: 60})
        for curve, noise, fit_noise in (
            (table.curve(), plain, plain_fit),
            (weighted_curve(table, correlation=correlation), weighted, weighted_fit),
        ):
            noise.append(np.square(curve.response - TRUTH).mean())
            fit_noise.append(np.square(IsotonicMap.fit(curve)(curve.probability) - TRUTH).mean())
    assert np.mean(weighted) / np.mean(plain) == pytest.approx(ratio, abs=0.03)
    assert np.mean(weighted_fit) < np.mean(plain_fit)
