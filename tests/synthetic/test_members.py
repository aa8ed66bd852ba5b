"""Simulated members are sure of themselves, wrong together, and gain from calibration."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.isotonic import IsotonicRegression

from twintrack.errors import InputError
from twintrack.raters import response
from twintrack.synthetic import Phantom, personalities, region_of_interest, simulate_members, simulate_raters


@pytest.fixture(scope="module")
def voxels(phantoms: list[Phantom]) -> list[tuple[NDArray[np.float64], NDArray[np.float32]]]:
    """Per case, probability and response within the ROI."""
    out = []
    for seed, phantom in enumerate(phantoms):
        members = simulate_members(phantom, seed=seed, personality_seed=1)
        roi = region_of_interest(phantom) > 0
        drawn = response(simulate_raters(phantom, seed=seed, personality_seed=1))
        out.append((np.mean(members, axis=0, dtype=np.float64)[roi], drawn[roi]))
    return out


def pooled(cases: list[tuple[NDArray[np.float64], NDArray[np.float32]]]) -> list[NDArray[np.floating]]:
    return [np.concatenate(column) for column in zip(*cases, strict=True)]


def test_maps_are_probabilities_above_0_in_the_roi_and_exactly_0_outside(phantom: Phantom) -> None:
    members = simulate_members(phantom, seed=2)
    roi = region_of_interest(phantom) > 0
    assert len(members) == 3
    for member in members:
        assert member.dtype == np.float32
        assert member.shape == phantom.ct.shape
        assert not member[~roi].any()
        assert (member[roi] > 0).all()
        assert 1e-9 < member[roi].min() < 1e-5
        assert 0.99 < member.max() <= 1


def test_the_same_seed_gives_the_same_maps_and_another_seed_others(phantoms: list[Phantom]) -> None:
    first, again, other = (simulate_members(phantoms[0], n_members=2, seed=seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)
    assert not np.array_equal(first[0], first[1])


def test_the_first_members_stay_the_same_when_more_are_asked_for(phantoms: list[Phantom]) -> None:
    few, many = (simulate_members(phantoms[1], n_members=n, seed=5) for n in (1, 4))
    np.testing.assert_array_equal(few[0], many[0])


def test_members_find_the_tumour(phantoms: list[Phantom]) -> None:
    dice = []
    for seed, phantom in enumerate(phantoms):
        found = np.mean(simulate_members(phantom, seed=seed), axis=0) > 0.5
        dice.append(2 * (found & (phantom.tumour > 0)).sum() / (found.sum() + phantom.tumour.sum()))
    assert 0.5 < np.mean(dice) < 0.9


def test_members_err_together_more_than_alone(phantoms: list[Phantom]) -> None:
    alike, with_truth = [], []
    for seed, phantom in enumerate(phantoms):
        first, second = (member > 0.5 for member in simulate_members(phantom, n_members=2, seed=seed))
        truth = phantom.tumour > 0
        alike.append((first ^ second).sum())
        with_truth.append(((first ^ truth).sum() + (second ^ truth).sum()) / 2)
    assert np.sum(alike) < 0.8 * np.sum(with_truth)


def test_the_raw_mean_is_overconfident_on_both_sides(
    voxels: list[tuple[NDArray[np.float64], NDArray[np.float32]]],
) -> None:
    p, r = pooled(voxels)
    high, low = p > 0.9, (p > 1e-3) & (p < 0.05)
    assert r[high].mean() < p[high].mean() - 0.04
    assert r[low].mean() > 5 * p[low].mean()


def test_isotonic_regression_improves_held_out_cases(
    voxels: list[tuple[NDArray[np.float64], NDArray[np.float32]]],
) -> None:
    half = len(voxels) // 2
    p, r = pooled(voxels[:half])
    q, s = pooled(voxels[half:])
    calibrated = IsotonicRegression(out_of_bounds="clip").fit(p, r).predict(q)
    assert np.mean((calibrated - s) ** 2) < 0.97 * np.mean((q - s) ** 2)
    assert pooled_error(calibrated, s) < 0.8 * pooled_error(q, s)


def pooled_error(p: NDArray[np.floating], r: NDArray[np.floating], bins: int = 50) -> float:
    at = np.minimum((p * bins).astype(int), bins - 1)
    return float(np.abs(np.bincount(at, p - r, minlength=bins)).sum() / p.size)


def test_the_first_raters_temper_is_what_members_learn(phantoms: list[Phantom]) -> None:
    by_bias = sorted(range(40), key=lambda seed: personalities(1, seed=seed)[0].bias)
    strict, generous = (
        sum(np.mean(simulate_members(phantom, seed=0, personality_seed=who), axis=0).sum() for phantom in phantoms[:4])
        for who in (by_bias[0], by_bias[-1])
    )
    assert strict < generous


def test_a_gland_that_is_all_tumour_leaves_no_room_for_a_false_alarm(phantoms: list[Phantom]) -> None:
    full = replace(phantoms[2], pancreas=phantoms[2].tumour)
    for member in simulate_members(full, n_members=20, seed=0):  # 15 % of them would raise one
        assert np.isfinite(member).all()
        assert member[phantoms[2].fuzzy < 1e-4].max(initial=0) < 0.5


def test_the_roi_is_the_pancreas_dilated_by_mm(phantom: Phantom) -> None:
    roi = region_of_interest(phantom, margin=8.0)
    assert roi.dtype == np.uint8
    assert roi[phantom.pancreas > 0].all()
    gland = np.argwhere(phantom.pancreas > 0) * phantom.grid.spacing
    rng = np.random.default_rng(0)
    for voxel in rng.integers(0, phantom.ct.shape, (400, 3)):
        gap = np.sqrt(((gland - voxel * phantom.grid.spacing) ** 2).sum(axis=1)).min()
        assert roi[tuple(voxel)] == (gap <= 8.0)
    near = np.argwhere(roi ^ phantom.pancreas)
    for voxel in near[rng.integers(0, len(near), 50)]:
        assert np.sqrt(((gland - voxel * phantom.grid.spacing) ** 2).sum(axis=1)).min() <= 8.0


def test_a_larger_margin_holds_a_smaller_one_and_0_is_the_pancreas(phantoms: list[Phantom]) -> None:
    for phantom in phantoms[:3]:
        tight, wide = (region_of_interest(phantom, margin=margin) for margin in (15.0, 30.0))
        assert (tight <= wide).all()
        assert tight.sum() < wide.sum()
        np.testing.assert_array_equal(region_of_interest(phantom, margin=0.0), phantom.pancreas)


def test_the_roi_holds_nearly_all_that_raters_draw(phantoms: list[Phantom]) -> None:
    for seed, phantom in enumerate(phantoms):
        drawn = response(simulate_raters(phantom, seed=seed))
        assert drawn[region_of_interest(phantom) > 0].sum() > 0.9 * drawn.sum()


@pytest.mark.parametrize("margin", [-1.0, float("nan"), float("inf")])
def test_a_margin_that_is_no_distance_is_refused(phantom: Phantom, margin: float) -> None:
    with pytest.raises(InputError, match="margin"):
        region_of_interest(phantom, margin=margin)


@pytest.mark.parametrize(("n", "seed", "said"), [(0, 1, "at least one"), (3, -3, "-3")])
def test_what_cannot_be_used_is_refused_in_words(phantom: Phantom, n: int, seed: int, said: str) -> None:
    with pytest.raises(InputError, match=said):
        simulate_members(phantom, n_members=n, seed=seed)
