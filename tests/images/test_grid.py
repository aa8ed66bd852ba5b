"""Grids: what is refused, what counts as the same."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import SimpleITK
from hypothesis import given, settings
from hypothesis import strategies as st

from twintrack.errors import GeometryError
from twintrack.images import Grid, Volume

PLAIN = Grid.plain((4, 5, 6), spacing=(3, 2, 1))


def test_corners_are_where_simpleitk_puts_the_corner_voxels(grid_3d: Grid) -> None:
    image = SimpleITK.Image(grid_3d.shape[::-1], SimpleITK.sitkUInt8)
    image.SetSpacing(grid_3d.spacing[::-1])
    image.SetOrigin(grid_3d.origin)
    image.SetDirection(grid_3d.direction)
    wanted = {
        tuple(np.round(image.TransformIndexToPhysicalPoint((x, y, z)), 6))
        for x in (0, 5)
        for y in (0, 4)
        for z in (0, 3)
    }
    assert {tuple(corner) for corner in np.round(grid_3d.corners(), 6)} == wanted


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"shape": (4,), "spacing": (1.0,), "origin": (0.0,), "direction": (1.0,)}, "2 or 3 axes"),
        ({"spacing": (1.0, 1.0)}, "needs 3 spacings"),
        ({"spacing": (1.0, 0.0, 1.0)}, "positive"),
        ({"origin": (0.0, float("nan"), 0.0)}, "finite"),
        ({"direction": (1.0, 0.1, 0, 0, 1, 0, 0, 0, 1)}, "not orthonormal"),
        ({"direction": (1.1, 0.0, 0, 0, 1, 0, 0, 0, 1)}, "not orthonormal"),
    ],
)
def test_a_grid_that_makes_no_sense_is_refused(change: dict[str, tuple[float, ...]], said: str) -> None:
    with pytest.raises(GeometryError, match=said):
        dataclasses.replace(PLAIN, **change)


def test_directions_rounded_to_four_decimals_are_accepted(grid_3d: Grid) -> None:
    rounded = tuple(np.round(grid_3d.direction, 4).tolist())
    assert dataclasses.replace(grid_3d, direction=rounded).difference(grid_3d) is None


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"shape": (4, 5, 7)}, "shapes differ"),
        ({"shape": (6, 5, 4)}, "another order"),
        ({"spacing": (3.0, 2.0, 1.1)}, "spacings differ"),
        ({"origin": (0.0, 0.0, 0.5)}, "origins differ"),
        ({"direction": (-1.0, 0, 0, 0, 1, 0, 0, 0, 1)}, "directions differ"),
    ],
)
def test_grids_that_differ_say_how(change: dict[str, tuple[float, ...]], said: str) -> None:
    other = dataclasses.replace(PLAIN, **change)
    with pytest.raises(GeometryError, match=said) as error:
        PLAIN.require_same(other, name="a.nii", other_name="b.nii")
    assert "a.nii" in str(error.value)
    assert other.describe() in str(error.value)


@given(st.floats(-0.05, 0.05))
@settings(deadline=None)
def test_shifts_below_a_twentieth_of_a_voxel_do_not_count(shift: float) -> None:
    PLAIN.require_same(dataclasses.replace(PLAIN, origin=(shift, 0.0, 0.0)), name="a", other_name="b")


def test_an_unknown_grid_is_compared_by_shape_alone() -> None:
    assert Grid.plain((4, 5, 6)).difference(PLAIN) is None
    assert Grid.plain((4, 5, 5)).difference(PLAIN) == "the shapes differ"
    assert "no geometry" in Grid.plain((4, 5, 6)).describe()


def test_voxel_volume_is_the_product_of_the_spacings() -> None:
    assert PLAIN.voxel_volume == 6
    assert Grid.plain((4, 5)).voxel_volume == 1


def test_a_volume_whose_array_does_not_fit_its_grid_is_refused() -> None:
    with pytest.raises(GeometryError, match=r"mine: .*\(4, 5\).*\(4, 5, 6\)"):
        Volume(np.zeros((4, 5)), PLAIN, "mine")


def test_the_grid_of_a_part_puts_its_first_voxel_where_it_was():
    # Rotated about z by 90 degrees: array axis x points along y, so 3 voxels of 2 mm shift y by 6 mm.
    grid = Grid(
        shape=(4, 5, 6), spacing=(3.0, 1.0, 2.0), origin=(10.0, 20.0, 30.0), direction=(0, -1, 0, 1, 0, 0, 0, 0, 1)
    )
    part = grid.crop((slice(1, 3), slice(2, 5), slice(3, 6)))
    assert part.shape == (2, 3, 3)
    assert part.origin == pytest.approx((10.0 - 2.0, 20.0 + 6.0, 33.0))


@pytest.mark.parametrize("box", [(slice(0, 1),), (slice(0, 0), slice(0, 1)), (slice(0, 4, 2), slice(0, 1))])
def test_a_box_that_is_none_is_refused(box):
    with pytest.raises(GeometryError):
        Grid.plain((4, 5), spacing=(1, 1)).crop(box)
