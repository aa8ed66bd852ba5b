"""Dice and confidence where the raters agree."""

from __future__ import annotations

import math
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from twintrack.errors import TwinTrackWarning
from twintrack.evaluation import curvas2024

LIVER = {1: "liver"}

# Two slices of three rows of four voxels. The raters disagree about one voxel, (0, 1, 3).
FIRST = np.array([[[1, 1, 1, 1], [1, 1, 0, 0], [0, 0, 0, 0]], [[0, 0, 0, 0], [1, 0, 0, 0], [0, 1, 1, 1]]], np.uint8)
SECOND = FIRST.copy()
SECOND[0, 1, 3] = 1
HARD = np.array([[[0, 0, 0, 0], [1, 0, 1, 1], [1, 0, 0, 0]], [[0, 0, 0, 0], [1, 0, 0, 0], [0, 1, 0, 0]]], np.uint8)
RATERS = np.stack([FIRST, SECOND])


def dice(raters, hard, variant, **options):
    scores = curvas2024.score(
        raters, hard[None].astype(np.float32), labels=hard, structures=LIVER, variant=variant, **options
    )
    return scores["consensus_dice"]["liver"]


class TestDiceByHand:
    def test_corrected_counts_over_the_volume(self):
        # Both raters: 10 voxels. Predicted where they agree: 3 of them, and 2 that neither drew. 2 x 3 / (5 + 10).
        assert dice(RATERS, HARD, "corrected") == pytest.approx(0.4)

    def test_official_averages_over_rows_and_slices_without_the_first_row(self):
        # Slice 0: row 0 is not looked at; row 1: 2 x 1 / (2 + 2) = 0.5; row 2 holds no voxel of both raters.
        # Slice 1: row 1: 1; row 2: 2 x 1 / (1 + 3) = 0.5; mean 0.75. (0.5 + 0.75) / 2.
        assert dice(RATERS, HARD, "official") == pytest.approx(0.625)

    def test_voxels_the_raters_disagree_about_do_not_count(self):
        other = HARD.copy()
        other[0, 1, 3] = 0
        for variant in curvas2024.VARIANTS:
            assert dice(RATERS, other, variant) == dice(RATERS, HARD, variant)

    def test_official_does_not_see_what_is_predicted_in_rows_without_consensus_and_corrected_does(self):
        other = HARD.copy()
        other[0, 2] = 1  # 3 voxels more that no rater drew
        assert dice(RATERS, other, "official") == pytest.approx(0.625)
        assert dice(RATERS, other, "corrected") == pytest.approx(6 / 18)

    def test_official_looks_at_the_first_row_where_it_is_the_only_one(self):
        # Slice 1, row 2 as an image of one row: 2 x 1 / (1 + 3); the disagreement is in slice 0.
        raters, hard = RATERS[:, :, 1:2], HARD[:, 1:2]
        assert dice(raters, hard, "official") == pytest.approx((0.5 + 1) / 2)

    def test_a_mean_over_structures(self):
        raters = np.array([[[[1, 1, 2, 2, 0]]], [[[1, 1, 2, 0, 0]]]], np.uint8)
        hard = np.array([[[1, 0, 2, 2, 0]]], np.uint8)
        p = np.stack([hard == 1, hard == 2]).astype(np.float32)
        scores = curvas2024.score(raters, p, structures={1: "a", 2: "b"}, variant="corrected")
        assert scores["consensus_dice"] == pytest.approx({"a": 2 / 3, "b": 1})
        assert scores["consensus_dice_mean"] == pytest.approx(5 / 6)


class TestWithoutConsensus:
    """Rater A draws voxels 0 and 1, rater B voxels 2 and 3, of eight: nothing in common."""

    RATERS = np.array([[[[1, 1, 0, 0, 0, 0, 0, 0]]], [[[0, 0, 1, 1, 0, 0, 0, 0]]]], np.uint8)
    NOTHING = np.zeros((1, 1, 8), np.uint8)

    def test_official_is_0_and_says_so(self, said):
        value, warned = said(dice, self.RATERS, self.NOTHING, "official")
        assert value == 0
        assert any(re.match("consensus_dice is 0 whatever is predicted.*: liver$", text) for text in warned)

    def test_corrected_is_nan_and_says_so(self, said):
        value, warned = said(dice, self.RATERS, self.NOTHING, "corrected")
        assert math.isnan(value)
        assert any(re.match("consensus_dice is NaN.*: liver$", text) for text in warned)

    def test_corrected_is_0_where_the_prediction_contradicts_all(self, said):
        hard = self.NOTHING.copy()
        hard[0, 0, 7] = 1
        value, warned = said(dice, self.RATERS, hard, "corrected")
        assert value == 0
        assert [text.split(",")[0] for text in warned] == ["confidence is NaN"]

    def test_corrected_is_1_where_nobody_drew_and_nothing_is_predicted(self, said):
        value, warned = said(dice, np.zeros_like(self.RATERS), self.NOTHING, "corrected")
        assert value == 1
        assert [text.split(",")[0] for text in warned] == ["confidence is NaN"]

    @pytest.mark.parametrize("variant", curvas2024.VARIANTS)
    def test_confidence_is_nan_in_both(self, said, variant):
        p = np.full((1, 1, 1, 8), 0.25, np.float32)
        scores, warned = said(curvas2024.score, self.RATERS, p, structures=LIVER, variant=variant)
        found = scores["confidence"]["liver"]
        assert math.isnan(found["foreground"])
        assert found["background"] == 0.75
        assert math.isnan(found["mean"])
        assert math.isnan(scores["confidence_mean"])
        assert any(re.match("confidence is NaN.*: liver$", text) for text in warned)

    def test_official_is_0_where_the_consensus_lies_in_the_first_row_alone(self):
        raters = np.zeros((2, 1, 3, 4), np.uint8)
        raters[:, 0, 0] = 1
        raters[0, 0, 1, 0] = 1
        with pytest.warns(TwinTrackWarning, match="the first row of each slice aside"):
            assert dice(raters, raters[1], "official") == 0
        assert dice(raters, raters[1], "corrected") == 1


@pytest.mark.parametrize("variant", curvas2024.VARIANTS)
def test_confidence_by_hand(variant):
    # All drew voxels 0 and 1 (p = 1 and 0.5: 0.75), none voxels 3 to 6 (p = 0.25, 0.25, 0, 0: 0.125), some voxel 2.
    raters = np.array([[[[1, 1, 0, 0, 0, 0, 0]]], [[[1, 1, 1, 0, 0, 0, 0]]]], np.uint8)
    p = np.array([[[[1, 0.5, 0.9, 0.25, 0.25, 0, 0]]]], np.float32)
    scores = curvas2024.score(raters, p, structures=LIVER, variant=variant)
    assert scores["confidence"] == {"liver": {"foreground": 0.75, "background": 0.875, "mean": 0.8125}}
    assert scores["confidence_mean"] == 0.8125


def test_confidence_is_nan_where_every_voxel_is_drawn():
    raters = np.ones((2, 1, 2, 2), np.uint8)
    with pytest.warns(TwinTrackWarning, match="every voxel has from a rater"):
        scores = curvas2024.score(raters, np.ones((1, 1, 2, 2)), structures=LIVER, variant="corrected")
    assert scores["confidence"]["liver"]["foreground"] == 1
    assert math.isnan(scores["confidence"]["liver"]["background"])


@settings(deadline=None, max_examples=40)
@given(seed=st.integers(0, 2**32 - 1), shape=st.tuples(*[st.integers(1, 6)] * 3), n_raters=st.integers(1, 4))
def test_both_variants_equal_the_plain_reference(reference, random_case, seed, shape, n_raters):
    case = random_case(seed, shape=shape, n_raters=n_raters)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("twintrack.evaluation.curvas2024.scoring._warn", lambda message: None)
        official, corrected = (curvas2024.score(**case, variant=variant) for variant in curvas2024.VARIANTS)
    raters, hard = case["raters"], case["labels"]
    for label, name in curvas2024.STRUCTURES.items():
        expected = reference.row_dice(raters, hard, label)
        assert official["consensus_dice"][name] == pytest.approx(expected, abs=1e-12)
        expected = reference.volume_dice(raters, hard, label)
        assert corrected["consensus_dice"][name] == pytest.approx(expected, abs=1e-12, nan_ok=True)
        expected = reference.confidence(raters, case["probabilities"][label], label)
        for scores in (official, corrected):
            assert scores["confidence"][name]["mean"] == pytest.approx(expected, abs=1e-12, nan_ok=True)
