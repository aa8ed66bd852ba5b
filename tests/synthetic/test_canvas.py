"""The canvas paints a solid wherever it lies, and nothing where it does not."""

from __future__ import annotations

import numpy as np
import pytest

from twintrack.images.grid import Grid
from twintrack.synthetic.canvas import AIR, Canvas, Region
from twintrack.synthetic.shapes import Ellipsoid


def canvas(seed: int = 0) -> Canvas:
    grid = Grid(
        shape=(20, 30, 40), spacing=(5.0, 4.0, 3.0), origin=(-60.0, -60.0, -50.0), direction=tuple(np.eye(3).ravel())
    )
    return Canvas(grid, np.random.default_rng(seed))


@pytest.mark.parametrize("seed", range(8))
def test_the_box_of_a_region_misses_no_voxel_of_the_solid(seed: int) -> None:
    sheet = canvas(seed)
    solid = Ellipsoid((8.0, -6.0, 4.0), (14.0, 11.0, 17.0), turn=20.0)
    region = sheet.region(solid)
    whole = solid.distance(sheet.points) < sheet.soft
    found = np.zeros_like(whole)
    found[region.box] = region.distance < sheet.soft
    assert whole.any()
    np.testing.assert_array_equal(found, whole)


def test_a_solid_outside_the_lattice_is_an_empty_region_that_paints_nothing() -> None:
    sheet = canvas()
    region = sheet.region(Ellipsoid((900.0, 0.0, 0.0), (5.0, 5.0, 5.0)), rough=1.0)
    sheet.fill(region, 77.0)
    assert region.distance.size == 0
    assert (sheet.ct == AIR).all()


def test_fill_paints_the_inside_fades_at_the_border_and_respects_grow_and_within() -> None:
    sheet = canvas()
    sheet.soft = 2.0
    distance = np.full(sheet.ct.shape, 50, np.float32)
    distance[0, 0, :5] = (-9, -0.5, 0, 0.5, 9)
    region = Region((slice(None),) * 3, distance)
    sheet.fill(region, 0.0)
    # Coverage by smoothstep of 0.5 - d/2: 1, 0.84375, 0.5, 0.15625, 0.
    np.testing.assert_allclose(sheet.ct[0, 0, :5], AIR * (1 - np.array([1, 0.84375, 0.5, 0.15625, 0])), atol=1e-3)
    sheet.fill(region, 50.0, grow=-8.0, within=np.full(sheet.ct.shape, 0.5, np.float32))
    assert sheet.ct[0, 0, 0] == pytest.approx(25 * 1.0, abs=1e-3)
    assert sheet.ct[0, 0, 2] == pytest.approx(AIR / 2)


def test_the_bend_is_mild_and_differs_between_patients() -> None:
    first, second = canvas(1), canvas(2)
    x = np.broadcast_to(first.axes[2], first.ct.shape)
    assert np.abs(first.points[0] - x).max() < 25
    assert not np.array_equal(first.points[0], second.points[0])
