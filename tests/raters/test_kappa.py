"""Fleiss' kappa: by hand, against counting pairs of raters, and its bounds."""

from __future__ import annotations

import itertools
from fractions import Fraction

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from twintrack.errors import InputError
from twintrack.raters import fleiss_kappa

histograms = st.lists(st.lists(st.integers(0, 30), min_size=2, max_size=7).filter(any), min_size=1, max_size=5)


def counted(histograms: list[list[int]]) -> Fraction | None:
    """Count agreeing pairs voxel by voxel, in exact fractions."""
    agreements, responses = [], []
    for histogram in histograms:
        raters = len(histogram) - 1
        for votes, voxels in enumerate(histogram):
            pairs = list(itertools.combinations([1] * votes + [0] * (raters - votes), 2))
            if pairs:
                agreements += [Fraction(sum(a == b for a, b in pairs), len(pairs))] * voxels
                responses += [Fraction(votes, raters)] * voxels
    if not responses or sum(responses) in (0, len(responses)):
        return None
    share = sum(responses) / len(responses)
    chance = share**2 + (1 - share) ** 2
    return (sum(agreements) / len(agreements) - chance) / (1 - chance)


def test_three_raters_worked_by_hand():
    # 10 voxels with 0, 1, 2, 3 votes: 4, 1, 2, 3. Share of agreeing pairs: 1, 1/3, 1/3, 1.
    # P = (4 + 1/3 + 2/3 + 3) / 10 = 4/5; share = (0 + 1 + 4 + 9) / 30 = 7/15; E = (49 + 64) / 225 = 113/225.
    # kappa = (180/225 - 113/225) / (112/225) = 67/112
    assert fleiss_kappa([[4, 1, 2, 3]]) == pytest.approx(67 / 112, rel=1e-14)


def test_two_raters_give_scotts_pi():
    # Two raters, 100 voxels: 40 both, 20 one, 40 none. P = 0.8, share 1/2, E = 1/2: kappa = 0.3 / 0.5.
    assert fleiss_kappa([[40, 20, 40]]) == pytest.approx(0.6, rel=1e-14)


def test_unequal_numbers_of_raters_worked_by_hand():
    # Two raters, 3 + 1 + 2 voxels: agreements 3 + 0 + 2 = 5, responses 1/2 + 2 = 5/2.
    # Four raters, 1 + 1 + 1 + 0 + 1 voxels: agreements 1 + 6/12 + 4/12 + 1 = 17/6, responses 7/4.
    # P = (5 + 17/6) / 10 = 47/60; share = (5/2 + 7/4) / 10 = 17/40; E = (289 + 529) / 1600 = 409/800.
    # kappa = (47/60 - 409/800) / (391/800) = (1880 - 1227) / 1173 = 653/1173
    assert fleiss_kappa([[3, 1, 2], [1, 1, 1, 0, 1]]) == pytest.approx(653 / 1173, rel=1e-14)


def test_a_single_rater_adds_nothing():
    assert fleiss_kappa([[4, 1, 2, 3], [100, 50]]) == fleiss_kappa([[4, 1, 2, 3]])


@pytest.mark.parametrize("raters", [2, 3, 5])
def test_perfect_agreement_is_exactly_1(raters):
    assert fleiss_kappa([[1000, *[0] * (raters - 1), 7]]) == 1.0


def test_two_raters_who_always_differ_reach_the_lower_bound():
    assert fleiss_kappa([[0, 12, 0]]) == -1.0


def test_votes_dealt_by_chance_give_0():
    # Three raters who label with probability 1/2: 1, 3, 3, 1 of 8 voxels.
    assert fleiss_kappa([[1, 3, 3, 1]]) == pytest.approx(0, abs=1e-15)


def test_background_raises_kappa():
    assert fleiss_kappa([[1000, 1, 2, 3]]) > fleiss_kappa([[4, 1, 2, 3]]) > fleiss_kappa([[0, 1, 2, 3]])


@pytest.mark.parametrize("undefined", [[], [[5, 5]], [[9, 0, 0]], [[0, 0, 0, 9]], [[0, 0, 0]]])
def test_kappa_is_none_without_pairs_or_with_one_label_alone(undefined):
    assert fleiss_kappa(undefined) is None


@pytest.mark.parametrize("bad", [[3], [], [1, -1, 2]])
def test_bad_histograms_are_refused(bad):
    with pytest.raises(InputError, match=r"a vote histogram holds .* got \["):
        fleiss_kappa([[1, 2, 3], bad])


@given(cases=histograms)
@settings(deadline=None)
def test_kappa_is_that_of_counting_pairs(cases):
    expected = counted(cases)
    found = fleiss_kappa(cases)
    if expected is None:
        assert found is None
    else:
        assert found == pytest.approx(float(expected), rel=1e-9, abs=1e-9)


@given(cases=histograms)
@settings(deadline=None)
def test_kappa_lies_between_its_bounds_and_swapping_the_labels_keeps_it(cases):
    found = fleiss_kappa(cases)
    assume(found is not None)
    assert -1 - 1e-12 <= found <= 1
    assert fleiss_kappa([case[::-1] for case in cases]) == pytest.approx(found, rel=1e-9, abs=1e-9)


def test_many_raters_on_empty_tissue_do_not_break_the_lower_bound():
    # P = 1/2, share 1/4, E = 5/8. Were the share that of all votes, 5 / 5010, kappa would be below -249.
    assert fleiss_kappa([[0, 5, 0], [5, *[0] * 1000]]) == pytest.approx((0.5 - 0.625) / 0.375)
