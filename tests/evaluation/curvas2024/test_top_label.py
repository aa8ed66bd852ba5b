"""The multi-class calibration error: bins, precision, the softmax that should not be there."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from twintrack.evaluation import curvas2024
from twintrack.evaluation.curvas.bins import official_edges
from twintrack.evaluation.curvas2024.inputs import check_inputs
from twintrack.evaluation.curvas2024.top_label import applies_softmax, calibration_errors
from twintrack.evaluation.scores.top_label import top_label_calibration_error

NAMES = ("pancreas", "kidney", "liver")


def errors(raters, probabilities, variant, names=NAMES):
    return calibration_errors(check_inputs(raters, probabilities, names=names), variant=variant)


def row(*columns):
    """Foreground probabilities of a row of voxels."""
    return np.array(columns, np.float32).T[:, None, None]


class TestByHand:
    # Four voxels of (0.1, 0.2, 0.59): confidence 0.59 in liver; the first rater calls two of them liver, one kidney and
    # one background. Six of (0, 0, 0): confidence 1 in background, right in five.
    # First rater: 0.4 |1/2 - 0.59| + 0.6 |5/6 - 1| = 0.136. Second: all right: 0.4 x 0.41 = 0.164.
    P = row(*[(0.1, 0.2, 0.59)] * 4, *[(0, 0, 0)] * 6)
    RATERS = np.array([[[[3, 3, 2, 0, 0, 0, 0, 0, 0, 1]]], [[[3, 3, 3, 3, 0, 0, 0, 0, 0, 0]]]], np.uint8)

    @pytest.mark.parametrize("variant", curvas2024.VARIANTS)
    def test_each_rater_is_scored_apart(self, variant):
        assert errors(self.RATERS, self.P, variant) == pytest.approx([0.136, 0.164], abs=1e-7)

    def test_the_mean_over_raters(self, said):
        scores, _ = said(curvas2024.score, self.RATERS, self.P, variant="corrected")  # no consensus on the pancreas
        assert scores["ece"] == pytest.approx({"0": 0.136, "1": 0.164}, abs=1e-7)
        assert scores["ece_mean"] == pytest.approx(0.15, abs=1e-7)

    @pytest.mark.parametrize("variant", curvas2024.VARIANTS)
    def test_of_equal_probabilities_the_smaller_label_is_on_top(self, variant):
        # Background and liver 0.5; then pancreas and kidney 0.5. Both right: |1 - 0.5|.
        raters = np.array([[[[0, 1]]]], np.uint8)
        assert errors(raters, row((0, 0, 0.5), (0.5, 0.5, 0)), variant) == [0.5]

    def test_certainty_has_a_bin_of_its_own_in_official(self):
        # p = 1 is wrong and p = 0.99 right. In one bin: |1 - 1.99| / 2. In two: (0.01 + 1) / 2.
        raters, p = np.array([[[[0, 3]]]], np.uint8), row((0, 0, 1), (0, 0, 0.99))
        assert errors(raters, p, "corrected") == pytest.approx([0.495], abs=1e-6)
        assert errors(raters, p, "official") == pytest.approx([0.505], abs=1e-6)

    def test_a_sum_above_1_by_rounding_makes_logits_of_all_voxels_in_official(self, said):
        # 1 + 1e-7 is above 1 in float32. Confidence e / (e + 3) in the first voxel and, with (1, 0, 0, 0), the second:
        # both are right, and the gap is 1 - e / (e + 3). Without it they are certain and right.
        raters, p = np.array([[[[1, 0]]], [[[1, 0]]]], np.uint8), row((1, 1e-7, 0), (0, 0, 0))
        scores, warned = said(curvas2024.score, raters, p)
        assert scores["ece_mean"] == pytest.approx(3 / (np.e + 3), abs=1e-6)
        assert any(text.startswith("ece carries no meaning") for text in warned)
        scores, warned = said(curvas2024.score, raters, p, variant="corrected")
        assert scores["ece_mean"] == 0
        assert not any(text.startswith("ece") for text in warned)

    def test_the_background_given_counts_in_corrected_alone(self):
        # Background given as 0.5 and 0.5; left by the structure: 0.5002 and 0.5001. On top and right either way.
        p, raters = np.array([[[[0.5, 0.5]]], [[[0.4998, 0.4999]]]], np.float32), np.zeros((1, 1, 1, 2), np.uint8)
        assert errors(raters, p, "corrected", ("a",)) == pytest.approx([0.5], abs=1e-7)
        assert errors(raters, p, "official", ("a",)) == pytest.approx([0.49985], abs=1e-7)


def applies(p):
    return applies_softmax(check_inputs(np.zeros((1, *p.shape[1:]), np.uint8), p, names=NAMES))


def test_the_edges_of_official_are_pytorchs(reference):
    assert (official_edges() == reference.float32_edges()).all()


def test_confidences_on_and_beside_the_edges_of_bins_fall_where_they_belong(reference):
    edges = np.concatenate([official_edges(), np.linspace(0, 1, 51).astype(np.float32)])
    edges = edges[edges > 0.55]
    values = np.concatenate([edges, np.nextafter(edges, np.float32(0)), np.nextafter(edges[edges < 1], np.float32(1))])
    rng = np.random.default_rng(0)
    for _ in range(200):
        p = rng.choice(values, 6)[None, None, None]
        rater = rng.integers(0, 2, p.shape).astype(np.uint8)
        official, corrected = (errors(rater, p, variant, ("liver",))[0] for variant in curvas2024.VARIANTS)
        assert official == pytest.approx(reference.float32_calibration_error(rater, p), abs=1e-6)
        both = np.concatenate([1 - p.astype(np.float64), p])
        assert corrected == pytest.approx(reference.calibration_error(rater, both), abs=1e-12)


def test_float32_counts_stand_still_at_16_million_in_official_alone():
    # Of 2**24 + 2**20 voxels of background, the rater calls the first 2**20 liver. In float32 neither the confidence
    # nor the hits pass 2**24, and no gap is left.
    shape = (1, 17, 1 << 20)
    raters = np.zeros((1, *shape), dtype=np.uint8)
    raters[0, 0, 0] = 1
    inputs = check_inputs(raters, np.zeros((1, *shape), np.float32), names=("liver",))
    assert calibration_errors(inputs, variant="corrected") == pytest.approx([1 / 17])
    assert calibration_errors(inputs, variant="official") == [0]


@settings(deadline=None, max_examples=40)
@given(seed=st.integers(0, 2**32 - 1), n_structures=st.integers(1, 4))
def test_both_variants_equal_the_plain_reference(reference, random_case, seed, n_structures):
    case = random_case(seed, shape=(3, 7, 9), n_structures=n_structures)
    names, p, raters = tuple("abcd"[:n_structures]), case["probabilities"], case["raters"]
    official, corrected = (errors(raters, p, variant, names) for variant in curvas2024.VARIANTS)
    assert official == pytest.approx([reference.float32_calibration_error(r, p[1:]) for r in raters], abs=1e-6)
    assert corrected == pytest.approx([reference.calibration_error(r, p) for r in raters], abs=1e-12)


@settings(deadline=None, max_examples=20)
@given(seed=st.integers(0, 2**32 - 1))
def test_with_a_softmax_official_equals_the_plain_reference(reference, random_case, seed):
    case = random_case(seed)
    p = case["probabilities"][1:].copy()
    p[:, 0, 0, 0] = 1, 1e-7, 0
    assert applies(p)
    expected = [reference.float32_calibration_error(r, p) for r in case["raters"]]
    assert errors(case["raters"], p, "official") == pytest.approx(expected, abs=1e-6)


@settings(deadline=None, max_examples=20)
@given(seed=st.integers(0, 2**32 - 1))
def test_one_structure_is_the_binary_error_of_the_package(random_case, seed):
    case = random_case(seed, n_structures=1)
    expected = top_label_calibration_error(case["probabilities"][1], list(case["raters"]))
    assert errors(case["raters"], case["probabilities"], "corrected", ("a",)) == pytest.approx(expected, abs=1e-12)
