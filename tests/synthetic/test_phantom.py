"""The phantom is a CT with one tumour of the pancreas; the same seed is the same patient on every grid."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.ndimage import binary_dilation, label

from twintrack.errors import InputError
from twintrack.images.grid import Grid
from twintrack.synthetic import Phantom, make_phantom

ARRAYS = ("ct", "tumour", "fuzzy", "doubtful", "pancreas", "vessels")


def volume(phantom: Phantom) -> float:
    return float(phantom.tumour.sum() * phantom.grid.voxel_volume)


def test_types_shapes_and_ranges(phantom: Phantom) -> None:
    types = {"ct": np.int16, "tumour": np.uint8, "fuzzy": np.float32, "doubtful": np.uint8}
    types |= {"pancreas": np.uint8, "vessels": np.uint8}
    for name in ARRAYS:
        array = getattr(phantom, name)
        assert array.shape == phantom.grid.shape == (48, 128, 128)
        assert array.dtype == types[name], name
    assert phantom.ct.min() >= -1024
    assert 0 <= phantom.fuzzy.min() <= phantom.fuzzy.max() <= 1
    assert set(np.unique(phantom.tumour)) == set(np.unique(phantom.pancreas)) == {0, 1}
    assert set(np.unique(phantom.vessels)) == {0, 1, 2, 3, 4, 5}
    assert phantom.grid.spacing == (3.0, 2.5, 2.5)
    assert phantom.grid.known


def test_the_same_seed_gives_the_same_phantom_and_another_seed_another(coarse: dict[str, Any]) -> None:
    first, again, other = (make_phantom(seed, **coarse) for seed in (5, 5, 6))
    for name in ARRAYS:
        np.testing.assert_array_equal(getattr(first, name), getattr(again, name))
        assert not np.array_equal(getattr(first, name), getattr(other, name)), name
    assert first.grid == again.grid


def test_the_reference_is_where_the_soft_border_passes_one_half(phantom: Phantom) -> None:
    np.testing.assert_array_equal(phantom.tumour, phantom.fuzzy >= 0.5)


def test_every_tumour_lies_in_the_pancreas_and_outside_the_vessels(phantoms: list[Phantom]) -> None:
    for phantom in phantoms:
        assert phantom.tumour.any()
        assert phantom.pancreas[phantom.tumour > 0].all()
        assert not phantom.fuzzy[phantom.vessels > 0].any()
        assert not phantom.pancreas[phantom.vessels > 0].any()
        sizes = np.bincount(label(phantom.tumour)[0].ravel())[1:]
        assert sizes.max() > 0.85 * sizes.sum()  # a vessel may cut a piece off


def test_doubtful_regions_are_beside_the_tumour_and_look_somewhat_like_it(phantoms: list[Phantom]) -> None:
    for phantom in phantoms:
        inside = phantom.doubtful > 0
        assert phantom.doubtful.max() <= 2
        assert (phantom.fuzzy[inside] > 0.05).all()
        assert (phantom.fuzzy[inside] < 0.5).all()
    assert sum(phantom.doubtful.any() for phantom in phantoms) > len(phantoms) / 2


def test_tumours_differ_widely_in_size(phantoms: list[Phantom]) -> None:
    volumes = [volume(phantom) for phantom in phantoms]
    assert min(volumes) < 1500
    assert max(volumes) > 12000
    assert max(volumes) < 80000


def test_some_tumours_touch_a_vessel_and_some_do_not(phantoms: list[Phantom]) -> None:
    touching = [(binary_dilation(phantom.tumour) & (phantom.vessels > 0)).any() for phantom in phantoms]
    assert 0.35 < np.mean(touching) < 0.8


def test_the_tumours_volume_in_mm3_does_not_depend_on_the_sampling(phantoms: list[Phantom]) -> None:
    fine = [make_phantom(seed) for seed in range(6)]
    ratios = [volume(coarse) / volume(whole) for coarse, whole in zip(phantoms, fine, strict=False)]
    assert np.mean(ratios) == pytest.approx(1, abs=0.12)
    large = [ratio for ratio, whole in zip(ratios, fine, strict=True) if volume(whole) > 5000]
    assert len(large) >= 2
    np.testing.assert_allclose(large, 1, atol=0.12)


def test_the_soft_border_is_the_same_where_two_grids_share_a_voxel() -> None:
    # Every third voxel of the fine grid is one of the coarse.
    fine = make_phantom(4, shape=(60, 135, 135), spacing=(2.0, 2.0, 2.0))
    coarse = make_phantom(4, shape=(20, 45, 45), spacing=(6.0, 6.0, 6.0))
    np.testing.assert_allclose(coarse.fuzzy, fine.fuzzy[1::3, 1::3, 1::3], atol=1e-4)
    np.testing.assert_array_equal(coarse.vessels, fine.vessels[1::3, 1::3, 1::3])


def test_tissues_have_the_hu_of_a_contrast_enhanced_ct(phantoms: list[Phantom]) -> None:
    for phantom in phantoms:
        aorta, porta = (np.median(phantom.ct[phantom.vessels == k]) for k in (3, 1))
        assert 170 < aorta < 320
        assert 100 < porta < aorta
        gland = phantom.ct[(phantom.pancreas > 0) & (phantom.fuzzy < 0.02)]
        assert -20 < np.median(gland) < 140
        assert phantom.ct[:, :4].max() < -850  # air in front of the patient


def test_the_tumour_is_even_and_somewhat_darker_than_the_gland(phantoms: list[Phantom]) -> None:
    contrasts = []
    for phantom in phantoms:
        core = phantom.ct[phantom.fuzzy > 0.9]
        if core.size >= 5:
            assert 15 < np.median(core) < 100
            assert core.std() < 35  # noise, and what the slice's blur brings in; gland, fat and gut would be far more
            contrasts.append(np.median(phantom.ct[(phantom.pancreas > 0) & (phantom.fuzzy < 0.02)]) - np.median(core))
    assert len(contrasts) >= 5
    assert 10 < np.mean(contrasts) < 60


@pytest.mark.parametrize(
    ("shape", "spacing"),
    [
        ((24, 64, 64), (3.0, 2.5, 2.5)),
        ((32, 32, 32), (2.5, 2.5, 2.5)),
        ((32, 32, 32), (6.0, 6.0, 6.0)),
        ((32, 160, 33), (3.0, 0.7, 4.0)),
        ((33, 32, 128), (5.0, 5.0, 5.0)),
    ],
)
def test_other_shapes_and_spacings_work(shape: tuple[int, ...], spacing: tuple[float, ...]) -> None:
    for seed in range(3):
        phantom = make_phantom(seed, shape=shape, spacing=spacing)
        assert phantom.ct.shape == shape
        assert phantom.tumour.any()
        assert phantom.pancreas.sum() > phantom.tumour.sum()


def test_the_smallest_field_of_view_still_shows_the_tumour() -> None:
    for seed in range(20):
        phantom = make_phantom(seed, shape=(24, 24, 24), spacing=(3.0, 3.0, 3.0))
        edge = phantom.tumour.copy()
        edge[1:-1, 1:-1, 1:-1] = 0
        assert phantom.fuzzy.max() > 0.6
        assert edge.sum() < 0.5 * phantom.tumour.sum()  # cut off in part at most


def test_the_field_of_view_may_be_much_larger_than_the_patient() -> None:
    phantom = make_phantom(0, shape=(64, 100, 100), spacing=(6.0, 6.0, 6.0))
    assert phantom.ct[:, :, :10].max() < -900
    assert (phantom.vessels[[0, -1]] == 3).any()  # the aorta runs through


def test_the_grid_has_its_origin_at_the_first_voxel() -> None:
    grid = make_phantom(0, shape=(21, 41, 41), spacing=(5.0, 4.0, 4.0)).grid
    assert isinstance(grid, Grid)
    assert grid.origin == (-80.0, -92.0, -50.0)
    assert grid.direction == (1, 0, 0, 0, 1, 0, 0, 0, 1)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"seed": -1}, "-1"),
        ({"shape": (48, 128)}, "three axes"),
        ({"shape": (48, 128, 4)}, "at least 8"),
        ({"spacing": (3.0, 2.5)}, "up to 6 mm"),
        ({"spacing": (3.0, 2.5, 0.0)}, "up to 6 mm"),
        ({"spacing": (7.0, 2.5, 2.5)}, "up to 6 mm"),
        ({"spacing": (float("nan"), 2.5, 2.5)}, "up to 6 mm"),
        ({"shape": (8, 128, 128)}, "24 x 320 x 320 mm .*too small to hold a tumour"),
    ],
)
def test_what_cannot_be_used_is_refused_in_words(arguments: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=said):
        make_phantom(**{"seed": 0, **arguments})
