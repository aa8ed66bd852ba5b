"""Solids: signed distances worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from twintrack.synthetic.shapes import Difference, Ellipsoid, Points, Tube, Union

COORDINATE = st.floats(-60, 60, allow_nan=False, width=32)


def at(*places: tuple[float, float, float]) -> Points:
    x, y, z = np.array(places, np.float32).T
    return x, y, z


@given(x=COORDINATE, y=COORDINATE, z=COORDINATE)
@settings(deadline=None)
def test_the_distance_from_a_ball_is_exact(x: float, y: float, z: float) -> None:
    ball = Ellipsoid((10.0, -5.0, 3.0), (20.0, 20.0, 20.0))
    expected = np.linalg.norm(np.array([x, y, z]) - (10, -5, 3)) - 20
    assert ball.distance(at((x, y, z)))[0] == pytest.approx(expected, abs=1e-3)


def test_an_ellipsoid_is_zero_on_its_surface_and_turns_with_its_angle() -> None:
    solid = Ellipsoid((0.0, 0.0, 0.0), (30.0, 10.0, 5.0))
    np.testing.assert_allclose(solid.distance(at((30, 0, 0), (0, -10, 0), (0, 0, 5))), 0, atol=1e-4)
    np.testing.assert_allclose(solid.distance(at((31, 0, 0), (0, 9, 0))), [1, -1], atol=0.15)
    turned = Ellipsoid((0.0, 0.0, 0.0), (30.0, 10.0, 5.0), turn=90.0)
    np.testing.assert_allclose(turned.distance(at((0, 30, 0), (10, 0, 0))), 0, atol=1e-3)


def test_the_centre_of_an_ellipsoid_lies_inside() -> None:
    assert Ellipsoid((1.0, 2.0, 3.0), (30.0, 10.0, 5.0)).distance(at((1, 2, 3)))[0] == pytest.approx(-5, rel=0.01)


def test_a_cylinder_does_not_end() -> None:
    cylinder = Ellipsoid((0.0, 0.0, 0.0), (4.0, 4.0, np.inf))
    np.testing.assert_allclose(cylinder.distance(at((6, 0, 0), (6, 0, 900))), 2, atol=1e-4)
    assert np.isinf(cylinder.bounds()[1][2])


def test_a_tube_is_a_cone_with_round_ends() -> None:
    cone = Tube(np.array([[0.0, 0, 0], [10, 0, 0]]), np.array([2.0, 4.0]))
    np.testing.assert_allclose(
        cone.distance(at((5, 6, 0), (-3, 0, 0), (10, 0, 7), (5, 0, 0))), [3, 1, 3, -3], atol=1e-5
    )


@pytest.mark.parametrize("n", [2, 3, 6])
def test_a_smooth_tube_passes_through_its_knots_with_radii_between_theirs(n: int) -> None:
    knots = np.random.default_rng(n).uniform(1, 9, (n, 4)) * (10, 10, 10, 1)
    knots[-1, 3] = 0.5
    tube = Tube.through(knots.tolist(), per_knot=5)
    np.testing.assert_allclose(tube.path[::5], knots[:, :3], atol=1e-9)
    np.testing.assert_allclose(tube.radii[::5], knots[:, 3], atol=1e-9)
    assert tube.radii.min() == pytest.approx(0.5)
    assert tube.radii.max() <= knots[:, 3].max() + 1e-9


def test_a_union_is_the_nearer_part_and_blending_fills_the_groove() -> None:
    parts = (Ellipsoid((-5.0, 0.0, 0.0), (5.0, 5.0, 5.0)), Ellipsoid((5.0, 0.0, 0.0), (5.0, 5.0, 5.0)))
    groove, far = at((0, 3, 0)), at((40, 0, 0))
    assert Union(parts).distance(groove)[0] == pytest.approx(np.hypot(5, 3) - 5, abs=1e-4)
    # Where both are equally near, the polynomial smooth minimum lies a quarter of the blend deeper.
    assert Union(parts, 4.0).distance(groove)[0] == pytest.approx(np.hypot(5, 3) - 5 - 1, abs=1e-4)
    assert Union(parts, 4.0).distance(far)[0] == pytest.approx(30, abs=1e-3)


def test_a_difference_has_the_cut_outside() -> None:
    shell = Difference(Ellipsoid((0.0, 0.0, 0.0), (10.0,) * 3), Ellipsoid((0.0, 0.0, 0.0), (6.0,) * 3))
    np.testing.assert_allclose(shell.distance(at((0, 0, 5), (0, 0, 8), (0, 0, 12))), [1, -2, 2], atol=1e-3)


@pytest.mark.parametrize(
    "solid",
    [
        Ellipsoid((3.0, 4.0, 5.0), (9.0, 4.0, 6.0), turn=33.0),
        Tube.through([(0, 0, 0, 3), (10, 5, 0, 4), (20, -5, 9, 2)]),
        Union((Ellipsoid((-5.0, 0.0, 0.0), (5.0,) * 3), Ellipsoid((5.0, 0.0, 0.0), (5.0,) * 3)), 6.0),
        Difference(Ellipsoid((0.0, 0.0, 0.0), (10.0,) * 3), Ellipsoid((9.0, 0.0, 0.0), (6.0,) * 3)),
    ],
)
def test_nothing_of_a_solid_lies_beyond_its_bounds(solid: Ellipsoid | Tube | Union | Difference) -> None:
    low, high = solid.bounds()
    places = np.random.default_rng(0).uniform(-40, 40, (3, 20000)).astype(np.float32)
    inside = solid.distance((places[0], places[1], places[2])) < 0
    assert inside.any()
    assert (places[:, inside] >= low[:, None] - 1e-3).all()
    assert (places[:, inside] <= high[:, None] + 1e-3).all()
