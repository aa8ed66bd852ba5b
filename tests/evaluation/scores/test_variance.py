import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import entropy, pearsonr

from twintrack.errors import InputError
from twintrack.evaluation.scores.variance import (
    bernoulli_variance,
    expected_entropy,
    member_variance,
    normalised_cross_correlation,
    phiseg_ncc,
    rater_variance,
    variance_ncc,
)


def test_maps_worked_out_by_hand():
    masks = [np.uint8([[0, 1, 1, 1]]), np.uint8([[0, 0, 1, 1]]), np.uint8([[0, 0, 0, 1]]), np.uint8([[0, 0, 0, 1]])]
    assert rater_variance(masks) == pytest.approx(np.array([[0, 3 / 16, 1 / 4, 0]]))
    assert bernoulli_variance(np.float32([0, 0.25, 1])) == pytest.approx([0, 3 / 16, 0])
    members = [np.float32([0, 0.2, 1]), np.float32([0, 0.6, 0])]
    assert member_variance(members) == pytest.approx([0, 0.04, 0.25], abs=1e-7)
    assert expected_entropy([np.float32([0, 0.5, 1])]) == pytest.approx([0, np.log(2), 0])


def test_maps_agree_with_numpy_and_scipy():
    rng = np.random.default_rng(0)
    members = [rng.random((3, 4, 5), dtype=np.float32) for _ in range(3)]
    masks = [(rng.random((3, 4, 5)) < 0.5).astype(np.uint8) for _ in range(5)]
    assert rater_variance(masks) == pytest.approx(np.var(masks, axis=0), abs=1e-6)
    assert member_variance(members) == pytest.approx(np.var(members, axis=0), abs=1e-6)
    expected = np.mean([entropy([m, 1 - m], axis=0) for m in members], axis=0)
    assert expected_entropy(members) == pytest.approx(expected, abs=1e-6)


def test_correlation_worked_out_by_hand():
    masks = [np.uint8([[0, 1, 1]]), np.uint8([[0, 0, 1]])]  # variance 0, 1/4, 0
    # U = 0, 2, 1 about its mean: -1, 1, 0; V about its mean: -1, 2, -1 (twelfths): 3 / sqrt(2 * 6)
    assert variance_ncc(np.array([[0, 2, 1]]), masks) == pytest.approx(3 / np.sqrt(12))


@settings(deadline=None)
@given(st.integers(0, 10_000), st.floats(0.1, 10), st.floats(-5, 5))
def test_scale_and_offset_do_not_matter(seed, scale, offset):
    rng = np.random.default_rng(seed)
    a, b = rng.random((4, 5)), rng.random((4, 5))
    found = normalised_cross_correlation(a, b)
    assert found == pytest.approx(pearsonr(a.ravel(), b.ravel()).statistic, abs=1e-9)
    assert normalised_cross_correlation(scale * a + offset, b) == pytest.approx(found, abs=1e-9)
    assert normalised_cross_correlation(-a, b) == pytest.approx(-found, abs=1e-9)
    assert normalised_cross_correlation(a, a) == pytest.approx(1)


def test_a_large_mean_costs_no_digits():
    rng = np.random.default_rng(1)
    a, b = rng.random(100_000), rng.random(100_000)
    assert normalised_cross_correlation(a + 1e6, b + a) == pytest.approx(pearsonr(a, a + b).statistic, abs=1e-6)


def test_constant_maps_have_no_correlation():
    agreed = [np.uint8([[0, 1]])] * 3
    assert np.isnan(variance_ncc(np.array([[0.1, 0.2]]), agreed))
    assert np.isnan(normalised_cross_correlation(np.ones(3), np.arange(3)))


def test_a_map_constant_where_it_is_not_zero_is_not_constant():
    masks = [np.uint8([[0, 1, 1, 0]]), np.uint8([[0, 0, 0, 0]])]
    assert variance_ncc(np.array([[0, 1, 1, 0]]), masks) == pytest.approx(1)
    assert variance_ncc(np.array([[0, -1, -1, 0]]), masks) == pytest.approx(-1)


def test_knowing_the_response_correlates_perfectly():
    rng = np.random.default_rng(2)
    masks = [(rng.random((5, 6)) < 0.5).astype(np.uint8) for _ in range(4)]
    response = np.mean(masks, axis=0)
    assert variance_ncc(bernoulli_variance(response), masks) == pytest.approx(1)


def test_phiseg_worked_out_by_hand():
    # One member .5, .25: CE with itself ln 2 and .25 ln 4 + .75 ln(4/3); CE with the rater (1, 0) ln 2 and ln(4/3).
    # Two voxels correlate by +1 or -1: both maps fall from the first to the second.
    member = np.float32([[0.5, 0.25]])
    assert phiseg_ncc([member], [np.uint8([[1, 0]])]) == pytest.approx(1)
    # Against (0, 1) the rater's map rises: ln 2 and ln 4.
    assert phiseg_ncc([member], [np.uint8([[0, 1]])]) == pytest.approx(-1)
    assert phiseg_ncc([member], [np.uint8([[1, 0]]), np.uint8([[0, 1]])]) == pytest.approx(0)


def test_phiseg_equals_its_definition():
    rng = np.random.default_rng(3)
    members = rng.random((3, 4, 5), dtype=np.float32)
    members[0, 0] = 0
    members[1, 1] = 1
    masks = (rng.random((4, 4, 5)) < 0.5).astype(np.uint8)

    def cost(label, s):
        s = s.astype(float)
        return -label * np.log(np.maximum(s, 1e-8)) - (1 - label) * np.log(np.maximum(1 - s, 1e-8))

    own = np.mean([cost(members.mean(axis=0, dtype=float), s) for s in members], axis=0)
    theirs = [np.mean([cost(y, s) for s in members], axis=0) for y in masks.astype(float)]
    expected = np.mean([pearsonr(own.ravel(), one.ravel()).statistic for one in theirs])
    assert phiseg_ncc(list(members), list(masks)) == pytest.approx(expected, abs=1e-5)


def test_the_box_loses_nothing():
    rng = np.random.default_rng(4)
    members = [np.zeros((9, 10, 11), np.float32) for _ in range(3)]
    masks = [np.zeros((9, 10, 11), np.uint8) for _ in range(4)]
    for member in members:
        member[2:5, 3:6, 4:7] = rng.random((3, 3, 3))
    for mask in masks:
        mask[3:6, 3:5, 5:8] = rng.random((3, 2, 3)) < 0.5
    map_ = expected_entropy(members)
    expected = pearsonr(map_.ravel(), np.var(masks, axis=0).ravel()).statistic
    assert variance_ncc(map_, masks) == pytest.approx(expected, abs=1e-6)
    whole = normalised_cross_correlation(map_, rater_variance(masks))
    assert variance_ncc(map_, masks) == pytest.approx(whole, abs=1e-9)
    costs = [np.log(np.maximum(np.stack([m, 1 - m]).astype(float), 1e-8)) for m in members]
    tumour, background = -np.mean(costs, axis=0)
    mean = np.mean(members, axis=0, dtype=float)
    theirs = [
        pearsonr((mean * tumour + (1 - mean) * background).ravel(), np.where(m, tumour, background).ravel())
        for m in masks
    ]
    assert phiseg_ncc(members, masks) == pytest.approx(np.mean([one.statistic for one in theirs]), abs=1e-5)


def test_nothing_drawn_and_nothing_predicted_has_no_correlation():
    empty = np.zeros((3, 3), np.uint8)
    assert np.isnan(variance_ncc(empty, [empty, empty]))
    assert np.isnan(phiseg_ncc([empty], [empty, empty]))


def test_bad_input_is_refused():
    mask, p = np.uint8([[0, 1]]), np.float32([[0.1, 0.2]])
    with pytest.raises(InputError, match="two maps of one shape"):
        normalised_cross_correlation(np.zeros(3), np.zeros(2))
    with pytest.raises(InputError, match="two maps of one shape"):
        normalised_cross_correlation(np.zeros(0), np.zeros(0))
    with pytest.raises(InputError, match=r"uncertainty has shape \(1, 3\), a mask \(1, 2\)"):
        variance_ncc(np.zeros((1, 3)), [mask])
    with pytest.raises(InputError, match="finite"):
        variance_ncc(np.array([[np.nan, 1]]), [mask])
    with pytest.raises(InputError, match="at least one member"):
        member_variance([])
    with pytest.raises(InputError, match="members differ in shape"):
        expected_entropy([p, p[:, :1]])
    with pytest.raises(InputError, match="member 2: expected values in"):
        member_variance([p, p + 1])
    with pytest.raises(InputError, match=r"members have shape \(1, 2\), a mask \(2, 2\)"):
        phiseg_ncc([p], [np.zeros((2, 2), np.uint8)])
    with pytest.raises(InputError, match="bound"):
        phiseg_ncc([p], [mask], bound=0)
    with pytest.raises(InputError, match="at least one rater"):
        rater_variance([])
