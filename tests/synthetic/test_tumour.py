"""Tumours are drawn onto vessels: that is what makes them hard to resect."""

from __future__ import annotations

import numpy as np
import pytest

from twintrack.synthetic.tumour import _nearest, _towards_vessel
from twintrack.synthetic.vessels import CELIAC_TRUNK, PORTA, SMA, SMV, vessel_course


def test_the_nearest_wall_is_that_of_the_nearest_vessel() -> None:
    course = vessel_course(SMV)
    middle = course.path[6] + (0.0, -20.0, 0.0)
    distance, way = _nearest(middle, (SMV,))
    gaps = np.linalg.norm(course.path - middle, axis=1)
    assert distance == pytest.approx(gaps.min() - course.radii[gaps.argmin()])
    np.testing.assert_allclose(middle + way, course.path[gaps.argmin()])
    assert _nearest(middle, (SMV, CELIAC_TRUNK))[0] == distance


@pytest.mark.parametrize("labels", [(PORTA, SMV), (SMA, CELIAC_TRUNK)])
def test_a_tumour_moves_until_it_is_as_near_as_wanted(labels: tuple[int, ...]) -> None:
    center = np.array([20.0, -34.0, 9.0])
    before, way = _nearest(center, labels)
    moved = _towards_vessel(center, labels, wanted=before - 4, limit=10.0)
    np.testing.assert_allclose(moved - center, 4 * way / np.linalg.norm(way))
    assert _nearest(moved, labels)[0] == pytest.approx(before - 4, abs=0.5)


def test_a_tumour_moves_no_further_than_the_limit_and_backs_off_a_little_only() -> None:
    center = np.array([60.0, -5.0, 20.0])
    near = _towards_vessel(center, (SMA,), wanted=0.0, limit=7.0)
    back = _towards_vessel(center, (SMA,), wanted=500.0, limit=7.0)
    assert np.linalg.norm(near - center) == pytest.approx(7)
    assert np.linalg.norm(back - center) == pytest.approx(3)
    assert _nearest(near, (SMA,))[0] < _nearest(center, (SMA,))[0] < _nearest(back, (SMA,))[0]
