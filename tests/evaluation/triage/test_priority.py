"""What cases and voxels are ranked by, and what is to be found, worked out by hand on a few voxels."""

import math

import numpy as np
import pytest

from twintrack.cohort import Case
from twintrack.errors import CohortError, InputError
from twintrack.evaluation.triage.priority import (
    RANKINGS,
    MapSums,
    case_priorities,
    margin_voxels,
    require_ranking,
    uncertain_range,
    voxel_priorities,
)
from twintrack.evaluation.triage.targets import Overlap, require_raters, voxel_targets
from twintrack.evaluation.triage.voxels import rank_voxels

FIVE = np.float32([[0, 0.25, 0.5, 0.75, 1]])


def data_of(members, raters=(), spacing=(2.0, 0.5)):
    return Case("c", members=list(members), raters=list(raters), spacing=spacing).read(raters=bool(len(raters)))


def test_sums_of_five_voxels_by_hand():
    found = MapSums.of(FIVE)
    assert found.expected == 2.5
    assert found.disagreement == pytest.approx(3 / 16 + 1 / 4 + 3 / 16)
    quarter = 0.25 * 2 + 0.75 * math.log2(4 / 3)
    assert found.entropy == pytest.approx(2 * quarter + 1)
    assert (found.segmented, found.kept) == (2, 1.75)
    # 2 · 1.75 / (2.5 + 2)
    assert found.dice_loss == pytest.approx(1 - 3.5 / 4.5)


def test_where_nothing_is_segmented_the_expected_dice_loss_is_the_chance_of_a_mask():
    assert MapSums.of(np.float32([0, 0, 0])).dice_loss == 0
    assert MapSums.of(np.float32([0.01, 0.02, 0])).dice_loss == pytest.approx(0.03)
    assert MapSums.of(np.float32([0.5, 0.5, 0.5])).dice_loss == 1


def test_a_sure_map_expects_no_loss():
    sure = MapSums.of(np.float32([0, 1, 1]))
    assert (sure.dice_loss, sure.disagreement, sure.entropy) == (0, 0, 0)


def test_a_case_by_hand():
    # Voxels of 2 × 0.5 mm², so that each counts 1 mm²; two members that differ by 0.2 in one voxel.
    members = [np.float32([[0, 0.4, 1]]), np.float32([[0, 0.6, 1]])]
    data = data_of(members)
    found = case_priorities(data, probability=data.probability(), response=np.float32([[0, 0.25, 0.9]]), n_raters=4)
    assert set(found) == set(RANKINGS)
    assert found["disagreement"] == pytest.approx(3 / 16 + 0.09)
    assert found["raw_disagreement"] == pytest.approx(0.25)
    assert found["entropy"] == pytest.approx(1)
    # Of 4 experts, from 1/8 to below 7/8: one voxel.
    assert found["margin"] == 1
    assert found["members"] == pytest.approx(0.1 * math.sqrt(2), rel=1e-5)
    assert found["dice_loss"] == pytest.approx(1 - 1.8 / 2.15, rel=1e-6)


def test_one_member_does_not_disagree():
    data = data_of([FIVE])
    found = case_priorities(data, probability=FIVE, response=FIVE, n_raters=3)
    assert math.isnan(found["members"])
    assert "members" not in voxel_priorities([FIVE[0]], FIVE[0], FIVE[0])


def test_the_margin_lies_between_any_and_all_experts():
    assert [float(end) for end in uncertain_range(5)] == pytest.approx([0.1, 0.9])
    assert [float(end) for end in uncertain_range(1)] == [0.25, 0.75]
    # 5 experts: from 0.1 on, below 0.9
    assert margin_voxels(np.float32([0, 0.05, 0.1, 0.5, 0.89, 0.9, 1]), n_raters=5) == 3
    with pytest.raises(InputError, match="number of raters is 0"):
        uncertain_range(0)


def test_voxels_are_ranked_by_numbers_from_0_to_1():
    members = [np.float32([0, 1, 0.5, 0.2]), np.float32([0, 0, 0.5, 0.4])]
    found = voxel_priorities(members, np.float32([0, 0.5, 0.5, 0.3]), np.float32([0, 0.5, 0.25, 0.25]))
    assert found["disagreement"] == pytest.approx([0, 1, 0.75, 0.75])
    assert found["entropy"][:3] == pytest.approx([0, 1, 1])
    assert found["members"] == pytest.approx([0, 1, 0, 0.2])


def test_outside_the_roi_the_members_are_not_asked():
    found = voxel_priorities([np.float32([0.2]), np.float32([0.8])], np.float32([0]), np.float32([0]))
    assert found["members"].tolist() == [0]


def test_targets_of_five_voxels_by_hand():
    votes = np.uint8([0, 1, 2, 3, 4])
    p, r = np.float32([0.6, 0.6, 0.6, 0.6, 0.6]), np.float32([0, 0.5, 0.6, 0.6, 0.1])
    found = voxel_targets(votes, 4, probability=p, response=r)
    # The majority is 3 votes and more: 2 of 4 are none.
    assert found["error"].tolist() == [0, 0, 1, 0, 1]
    assert found["raw_error"].tolist() == [1, 1, 1, 0, 0]
    assert found["disagreement"] == pytest.approx([0, 3 / 12, 4 / 12, 3 / 12, 0])


def test_overlap_by_hand():
    overlap = Overlap()
    assert overlap.loss == 0
    overlap.add(np.array([True, True, False]), np.array([True, False, False]))
    overlap.add(np.array([False]), np.array([True]))
    assert overlap.loss == pytest.approx(1 - 2 / 4)


def test_a_whole_case_by_hand():
    # 3 raters, 5 voxels of 1 mm²; the response finds the majority but for one voxel, the probability but for two.
    raters = [np.uint8([[0, 0, 1, 1, 1]]), np.uint8([[0, 0, 0, 1, 1]]), np.uint8([[0, 0, 0, 0, 1]])]
    probability, response = np.float32([[0, 0.6, 0.1, 0.4, 1]]), np.float32([[0, 0.2, 0.1, 0.4, 1]])
    data = data_of([probability, probability], raters)
    found = rank_voxels(data, probability=probability, response=response)
    assert found.n_voxels == 5
    assert found.targets == pytest.approx(
        {"error": 1, "raw_error": 2, "disagreement": 2 / 3, "dice_loss": 1 - 2 / 3, "raw_dice_loss": 1 - 2 / 4}
    )
    error = found.rankings["disagreement"].held["error"]
    # The wrong voxel, r = 0.4, is the most uncertain.
    assert error[np.flatnonzero(found.rankings["disagreement"].count)[-1]] == 1
    assert found.oracles["error"].held["error"].sum() == 1


def test_one_rater_neither_agrees_nor_disagrees():
    data = data_of([FIVE], [np.uint8(FIVE > 0.5)])
    with pytest.raises(CohortError, match="case c: 1 rater; disagreement of raters needs at least 2"):
        require_raters(data)


def test_an_unknown_ranking_is_refused_by_name():
    with pytest.raises(InputError, match="expected one of disagreement, margin.* got 'beauty'"):
        require_ranking("beauty")
