"""Agreement of the raters: by hand, against scikit-learn, and on real cohorts."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn.metrics import f1_score

from twintrack.errors import CohortError, InputError
from twintrack.raters import CaseAgreement, case_agreement, cohort_agreement, fleiss_kappa, vote_count


def stack(*rows: str) -> list[np.ndarray]:
    """Make one mask of shape (2, n / 2) per string of 0 and 1."""
    return [np.array([int(sign) for sign in row], dtype=np.uint8).reshape(2, -1) for row in rows]


THREE = stack("11110000", "11100000", "00110000")
"""Sizes 4, 3, 2; common 1∩2: 3, 1∩3: 2, 2∩3: 1; votes 2, 2, 3, 2, 0, 0, 0, 0."""


def test_three_raters_worked_by_hand():
    found = case_agreement(THREE, voxel_volume=0.5, names=["ann", "bob", "cy"])
    assert found.names == ("ann", "bob", "cy")
    assert found.volumes == (2.0, 1.5, 1.0)
    np.testing.assert_allclose(found.dice, [[1, 6 / 7, 4 / 6], [6 / 7, 1, 2 / 5], [4 / 6, 2 / 5, 1]])
    assert found.vote_histogram == (4, 0, 3, 1)
    assert found.ambiguous_fraction == 3 / 4
    assert found.mean_dice == pytest.approx((6 / 7 + 4 / 6 + 2 / 5) / 3)
    # mean 1.5, deviations 0.5, 0, -0.5: sample SD = sqrt(0.5 / 2) = 0.5
    assert found.volume_variation == pytest.approx(0.5 / 1.5)


def test_raters_without_names_are_numbered():
    assert case_agreement(THREE, voxel_volume=1).names == ("rater 1", "rater 2", "rater 3")


def test_two_empty_masks_agree_and_an_empty_one_disagrees_with_the_rest():
    found = case_agreement(stack("0000", "0000", "0110"), voxel_volume=1)
    np.testing.assert_array_equal(found.dice, [[1, 1, 0], [1, 1, 0], [0, 0, 1]])
    assert found.vote_histogram == (2, 2, 0, 0)
    assert found.ambiguous_fraction == 1


def test_where_nobody_drew_anything_no_share_is_given():
    found = case_agreement(stack("0000", "0000"), voxel_volume=1)
    assert (found.volumes, found.vote_histogram, found.mean_dice) == ((0, 0), (4, 0, 0), 1)
    assert found.ambiguous_fraction is None
    assert found.volume_variation is None


def test_one_rater_has_a_volume_and_no_agreement():
    found = case_agreement(stack("0110"), voxel_volume=3)
    assert (found.volumes, found.vote_histogram) == ((6,), (2, 2))
    np.testing.assert_array_equal(found.dice, [[1]])
    assert (found.mean_dice, found.ambiguous_fraction, found.volume_variation) == (None, None, None)


def test_masks_that_fill_the_image_leave_no_background():
    assert case_agreement(stack("1111", "1110"), voxel_volume=1).vote_histogram == (0, 1, 3)


@given(data=st.data())
@settings(deadline=None)
def test_case_figures_are_those_of_independent_code_in_any_order_of_raters(data):
    shape = data.draw(hnp.array_shapes(min_dims=2, max_dims=3, max_side=5))
    masks = data.draw(st.lists(hnp.arrays(np.bool_, shape), min_size=1, max_size=5))
    found = case_agreement(masks, voxel_volume=2.5)
    for first, second in itertools.product(range(len(masks)), repeat=2):
        expected = f1_score(masks[first].ravel(), masks[second].ravel(), zero_division=1.0)
        assert found.dice[first, second] == pytest.approx(expected)
    assert found.volumes == tuple(2.5 * mask.sum() for mask in masks)
    votes = np.sum(masks, axis=0)
    assert found.vote_histogram == tuple((votes == count).sum() for count in range(len(masks) + 1))

    turned = case_agreement(masks[::-1], voxel_volume=2.5)
    np.testing.assert_array_equal(turned.dice, found.dice[::-1, ::-1])
    assert turned.vote_histogram == found.vote_histogram
    assert turned.mean_dice == pytest.approx(found.mean_dice)
    assert turned.volume_variation == pytest.approx(found.volume_variation)


@pytest.mark.parametrize("volume", [0, -1.0, float("nan"), float("inf")])
def test_a_voxel_volume_that_is_no_volume_is_refused(volume):
    with pytest.raises(InputError, match="the voxel volume must be a positive number of mm³; got"):
        case_agreement(THREE, voxel_volume=volume)


@pytest.mark.parametrize("names", [["a", "b"], ["a", "b", "a"], "abc", []])
def test_names_that_do_not_tell_the_raters_apart_are_refused(names):
    with pytest.raises(InputError, match="expected 3 different names of raters; got"):
        case_agreement(THREE, voxel_volume=1, names=names)


@pytest.mark.parametrize(
    "wrong",
    [
        {"names": ()},
        {"names": ("a",)},
        {"volumes": (1.0,)},
        {"dice": np.ones((2, 3))},
        {"vote_histogram": (1, 2)},
    ],
)
def test_a_case_whose_figures_belong_to_other_numbers_of_raters_cannot_be_made(wrong):
    right = {"names": ("a", "b"), "volumes": (1.0, 2.0), "dice": np.ones((2, 2)), "vote_histogram": (1, 2, 3)}
    CaseAgreement(**right)
    with pytest.raises(InputError, match="raters need"):
        CaseAgreement(**{**right, **wrong})


def test_a_cohort_worked_by_hand():
    # Three raters as above; two, sizes 2 and 1, common 1, votes 2 1 0 0; one alone, 8 mm³; two empty masks.
    cases = [
        case_agreement(THREE, voxel_volume=0.5),
        case_agreement(stack("1100", "1000"), voxel_volume=2),
        case_agreement(stack("1100"), voxel_volume=4),
        case_agreement(stack("0000", "0000"), voxel_volume=1),
    ]
    found = cohort_agreement(iter(cases))
    assert found.cases == 4
    assert list(found.cases_by_raters.items()) == [(1, 1), (2, 2), (3, 1)]
    # 1.5, (4 + 2) / 2 = 3, 8, 0
    assert found.mean_volume == pytest.approx(12.5 / 4)
    assert found.mean_dice == pytest.approx(((6 / 7 + 4 / 6 + 2 / 5) / 3 + 2 / 3 + 1) / 3)
    # 4 and 2 mm³: sample SD sqrt(2), mean 3; the empty case has none
    assert found.volume_variation == pytest.approx((1 / 3 + np.sqrt(2) / 3) / 2)
    # ambiguous 3 of 4 and 1 of 2
    assert found.ambiguous_fraction == pytest.approx(4 / 6)
    # Image: 8 + 4 + 4 voxels. Agreements: 4 + 3/3 + 1 = 6, then 3, then 4: P = 13/16. Responses:
    # 3 * 2/3 + 1 = 3, then 3/2: share = 9/32; E = (81 + 529) / 1024 = 305/512.
    # kappa = (416 - 305) / (512 - 305) = 111/207.
    assert found.kappa_image == pytest.approx(111 / 207)
    # Union: 4 + 2 voxels. P = (1 + 1 + 1) / 6 = 1/2; share = (3 + 3/2) / 6 = 3/4; E = 5/8.
    # kappa = (1/2 - 5/8) / (3/8) = -1/3.
    assert found.kappa_union == pytest.approx(-1 / 3)


def test_a_cohort_of_single_raters_has_volumes_only():
    found = cohort_agreement([case_agreement(stack("0110"), voxel_volume=3)])
    assert (found.cases, found.cases_by_raters, found.mean_volume) == (1, {1: 1}, 6)
    assert {
        found.mean_dice,
        found.volume_variation,
        found.ambiguous_fraction,
        found.kappa_image,
        found.kappa_union,
    } == {None}


def test_perfect_agreement_is_perfect_in_every_figure():
    found = cohort_agreement([case_agreement(stack("0110", "0110"), voxel_volume=1)] * 2)
    assert (found.mean_dice, found.volume_variation, found.ambiguous_fraction) == (1, 0, 0)
    assert found.kappa_image == 1
    # every vote within the union is the same label, so there is nothing to correct for chance
    assert found.kappa_union is None


def test_a_cohort_without_cases_is_refused():
    with pytest.raises(CohortError, match="at least one case; got none"):
        cohort_agreement([])


def test_lung_nodules_with_two_to_four_raters(data_dir, read_raters):
    folders = sorted(path for path in (data_dir / "lidc2d").iterdir() if path.is_dir())[::25]
    masks = [read_raters(folder) for folder in folders]
    found = cohort_agreement(case_agreement(case, voxel_volume=0.5) for case in masks)
    assert found.cases == len(folders)
    assert set(found.cases_by_raters) == {2, 3, 4}
    dice = [
        np.mean([f1_score(a.ravel(), b.ravel(), zero_division=1.0) for a, b in itertools.combinations(case, 2)])
        for case in masks
    ]
    assert found.mean_dice == pytest.approx(np.mean(dice))
    assert 0.7 < found.mean_dice < 0.95
    assert found.kappa_union < 0.5 < found.kappa_image < 1
    # voxel by voxel, straight from the definition
    agreement, share = [], []
    for case in masks:
        votes, raters = np.sum(case, axis=0, dtype=float).ravel(), len(case)
        agreement.append((votes * (votes - 1) + (raters - votes) * (raters - votes - 1)) / (raters * (raters - 1)))
        share.append(votes / raters)
    p, pi = np.concatenate(agreement).mean(), np.concatenate(share).mean()
    chance = pi**2 + (1 - pi) ** 2
    assert found.kappa_image == pytest.approx((p - chance) / (1 - chance))


def test_kidney_tumours_with_three_raters(data_dir, read_raters):
    folders = sorted(path for path in (data_dir / "kits23_raters").iterdir() if path.is_dir())[:4]
    cases = []
    for folder in folders:
        masks = read_raters(folder, label=2)
        case = case_agreement(masks, voxel_volume=1.0)
        assert case.vote_histogram == tuple(np.bincount(vote_count(masks).ravel(), minlength=4))
        assert sum(case.volumes) == sum(mask.sum() for mask in masks) > 0
        cases.append(case)
    found = cohort_agreement(cases)
    assert found.cases_by_raters == {3: 4}
    assert found.mean_dice > 0.8
    assert found.kappa_image == fleiss_kappa([case.vote_histogram for case in cases])
    assert found.kappa_image > found.kappa_union
