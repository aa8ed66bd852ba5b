"""Simulated raters differ as real ones do: by temper, at the border, and about whole regions."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from twintrack.errors import InputError
from twintrack.raters import case_agreement, response
from twintrack.synthetic import Personality, Phantom, personalities, simulate_raters
from twintrack.synthetic.raters import draw_outline


def test_masks_are_binary_on_the_phantoms_grid_and_no_two_are_the_same(phantom: Phantom) -> None:
    masks = simulate_raters(phantom, seed=3)
    assert len(masks) == 5
    for mask in masks:
        assert mask.dtype == np.uint8
        assert mask.shape == phantom.ct.shape
        assert set(np.unique(mask)) == {0, 1}
    assert len({mask.tobytes() for mask in masks}) == 5


def test_the_same_seed_gives_the_same_masks_and_another_seed_others(phantom: Phantom) -> None:
    first, again, other = (simulate_raters(phantom, n_raters=2, seed=seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


def test_the_first_raters_stay_the_same_when_more_are_asked_for(phantom: Phantom) -> None:
    few = simulate_raters(phantom, n_raters=2, seed=4, personality_seed=9)
    many = simulate_raters(phantom, n_raters=6, seed=4, personality_seed=9)
    np.testing.assert_array_equal(few, many[:2])


def test_raters_agree_about_as_well_as_real_ones(phantoms: list[Phantom]) -> None:
    dice = []
    for seed, phantom in enumerate(phantoms):
        agreement = case_agreement(simulate_raters(phantom, seed=seed), voxel_volume=phantom.grid.voxel_volume)
        dice.append(agreement.mean_dice)
    assert 0.6 < np.mean(dice) < 0.85
    assert np.std(dice) > 0.05  # some cases are easy, some are not


def test_the_response_follows_how_tumour_like_the_voxels_look(phantom: Phantom) -> None:
    drawn = response(simulate_raters(phantom, n_raters=40, seed=0))
    fuzzy = phantom.fuzzy
    assert drawn[fuzzy > 0.9].mean() > 0.9
    assert drawn[(fuzzy > 0) & (fuzzy < 0.05)].mean() < 0.02
    assert not drawn[fuzzy == 0].any()
    near = fuzzy > 0.02
    assert np.corrcoef(drawn[near], fuzzy[near])[0, 1] > 0.9


def test_raters_disagree_about_a_whole_doubtful_region(phantoms: list[Phantom]) -> None:
    shares = []
    for seed, phantom in enumerate(phantoms):
        for region in (1, 2):
            inside = phantom.doubtful == region
            if inside.sum() >= 10:
                shares += [mask[inside].mean() for mask in simulate_raters(phantom, seed=seed)]
    taken, left = np.mean(np.array(shares) > 0.8), np.mean(np.array(shares) < 0.2)
    assert 0.15 < taken < 0.6
    assert 0.3 < left < 0.8
    assert taken + left > 0.7  # rarely half of it


def test_a_generous_rater_draws_more_than_a_strict_one_in_every_case(phantoms: list[Phantom]) -> None:
    for seed, phantom in enumerate(phantoms[:6]):
        sizes = [
            draw_outline(phantom, Personality(bias, 1.0), np.random.default_rng(seed)).sum()
            for bias in (-1.0, 0.0, 1.0)
        ]
        assert sizes[0] < sizes[1] < sizes[2]


def test_persons_keep_their_temper_from_case_to_case(phantoms: list[Phantom]) -> None:
    temper = np.array([person.bias for person in personalities(5, seed=7)])
    sizes = np.array(
        [[mask.sum() for mask in simulate_raters(phantoms[k], seed=k, personality_seed=7)] for k in range(12)]
    )
    drawn = np.where(sizes > 0, sizes, np.nan)
    usual = np.nanmean(drawn / np.nanmean(drawn, axis=1, keepdims=True), axis=0)
    assert usual.argmax() == temper.argmax()
    assert np.corrcoef(usual, temper)[0, 1] > 0.8


def test_now_and_then_a_rater_draws_nothing_but_not_often(phantoms: list[Phantom]) -> None:
    person = Personality(0.0, 1.0)
    empty = sum(not draw_outline(phantoms[2], person, np.random.default_rng(seed)).any() for seed in range(400))
    assert 1 <= empty <= 20


def test_nothing_that_looks_like_tumour_is_nothing_drawn_outside_its_neighbourhood(phantom: Phantom) -> None:
    mask = draw_outline(phantom, Personality(3.0, 1.3), np.random.default_rng(0))
    assert not mask[phantom.fuzzy < 1e-3].any()


def test_small_loose_pieces_are_not_drawn(phantoms: list[Phantom]) -> None:
    fuzzy = phantoms[2].fuzzy.copy()
    z, y, x = np.argwhere(fuzzy > 0.5)[0]
    far = np.zeros_like(fuzzy)
    far[max(z - 8, 0), y, x] = 0.999
    crumb = replace(phantoms[2], fuzzy=np.maximum(fuzzy * (fuzzy > 1e-3), far))
    mask = draw_outline(crumb, Personality(0.0, 0.0), np.random.default_rng(1))
    assert mask.any()
    assert not mask[max(z - 8, 0), y, x]


@pytest.mark.parametrize(("n", "seed", "said"), [(0, 1, "at least one"), (5, -3, "-3")])
def test_what_cannot_be_used_is_refused_in_words(phantom: Phantom, n: int, seed: int, said: str) -> None:
    with pytest.raises(InputError, match=said):
        simulate_raters(phantom, n_raters=n, seed=seed)
