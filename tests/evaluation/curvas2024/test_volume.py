"""The continuous ranked probability score of each structure's volume."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from twintrack.errors import TwinTrackWarning
from twintrack.evaluation import curvas2024

LIVER = {1: "liver"}


def bars(*volumes, size=12):
    """One rater per volume, who labels that many voxels of a row."""
    return np.stack([(np.arange(size) < volume).astype(np.uint8)[None, None] for volume in volumes])


def crps(volumes, predicted, variant, **options):
    p = np.full((1, 1, 1, 12), predicted / 12)
    return curvas2024.score(bars(*volumes), p, structures=LIVER, variant=variant, **options)["crps"]["liver"]


def test_at_the_centre_of_the_raters():
    # Volumes 3, 5: mean 4, SD 1, predicted 4: CRPS = 2 φ(0) - 1 / sqrt(pi) = 0.797885 - 0.564190.
    assert crps([3, 5], 4, "corrected") == pytest.approx(0.233695, abs=1e-6)
    assert crps([3, 5], 4, "official") == pytest.approx(0.233695, abs=2e-3)


def test_far_from_the_raters_official_stands_still():
    # In corrected: distance - SD / sqrt(pi).
    assert crps([3, 5], 12, "corrected") == pytest.approx(8 - 0.564190, abs=1e-6)
    # In official, from 3 SD on, the integral of F² with F = 0, Φ, 1 below, between and above the quantiles ± 2.3263. As
    # the integral of Φ² is z Φ² + 2 Φ φ - Φ(√2 z) / sqrt(pi): 1.7689 + (3 - 2.3263) = 2.4425; the lines cost 5e-5.
    assert crps([3, 5], 12, "official") == pytest.approx(2.4425, abs=1e-4)
    assert crps([3, 5], 12, "official") == crps([3, 5], 8, "official")


def test_raters_of_equal_volume_forgive_everything_in_official():
    assert crps([4, 4], 10, "corrected") == pytest.approx(6)
    with pytest.warns(TwinTrackWarning, match="crps is 0 whatever is predicted.*: liver"):
        assert crps([4, 4], 10, "official") == 0


def test_it_is_in_the_unit_of_the_voxel():
    for variant in curvas2024.VARIANTS:
        assert crps([3, 5], 7, variant, voxel_volume=2.5) == pytest.approx(2.5 * crps([3, 5], 7, variant))


def test_a_rater_without_a_structure_fails_in_official_for_all_and_counts_0_in_corrected(said):
    raters = np.array([[[[1, 2, 2, 0]]], [[[1, 1, 0, 0]]]], np.uint8)
    p = np.array([[[[1, 0.5, 0, 0]]], [[[0, 0.5, 0.5, 0]]]], np.float32)
    names = {1: "a", 2: "b"}
    official, warned = said(curvas2024.score, raters, p, structures=names)
    assert all(math.isnan(value) for value in official["crps"].values())
    assert any(text.startswith("crps is NaN: a rater's map lacks a structure") for text in warned)
    corrected, warned = said(curvas2024.score, raters, p, structures=names, variant="corrected")
    assert not any(text.startswith("crps") for text in warned)
    # Volumes 1, 2 with 1.5 predicted; 2, 0 with 1: at the centre, 0.233695 SD.
    assert corrected["crps"] == pytest.approx({"a": 0.233695 / 2, "b": 0.233695}, abs=1e-6)


def test_a_rater_without_background_fails_in_official_too(said):
    raters = np.array([[[[1, 1]]], [[[1, 0]]]], np.uint8)
    scores, warned = said(curvas2024.score, raters, np.ones((1, 1, 1, 2)), structures=LIVER)
    assert math.isnan(scores["crps"]["liver"])
    assert any("lacks a structure or the background" in text for text in warned)


@settings(deadline=None, max_examples=25)
@given(seed=st.integers(0, 2**32 - 1))
def test_both_variants_equal_the_plain_reference(reference, random_case, seed):
    case = random_case(seed, shape=(5, 9, 8))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("twintrack.evaluation.curvas2024.scoring._warn", lambda message: None)
        found = {variant: curvas2024.score(**case, variant=variant)["crps"] for variant in curvas2024.VARIANTS}
    for label, name in curvas2024.STRUCTURES.items():
        p = case["probabilities"][label]
        official = reference.crps(case["raters"], p, label, official=True)
        corrected = reference.crps(case["raters"], p, label, official=False)
        assert found["official"][name] == pytest.approx(official, rel=1e-6, abs=1e-6)
        assert found["corrected"][name] == pytest.approx(corrected, rel=1e-5, abs=1e-5)
