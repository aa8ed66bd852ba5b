"""Contours: areas worked out by hand, holes and components, and the pixels they enclose."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from matplotlib.path import Path

pytest.importorskip("highdicom", reason="the extra dicom is not installed")

from twintrack.report.dicom.contours import outlines_of


def area(outline):
    """Signed area by the shoelace formula."""
    x, y = outline.T
    return 0.5 * float(np.sum(x * np.roll(y, -1) - y * np.roll(x, -1)))


def enclosed(outlines, shape):
    """The pixels whose centres an odd number of borders separates from outside."""
    y, x = np.mgrid[tuple(slice(size) for size in shape)]
    centres = np.stack([x.ravel(), y.ravel()], axis=1)
    inside = np.zeros(len(centres), int)
    for outline in outlines:
        inside += Path(np.vstack([outline, outline[:1]]), closed=True).contains_points(centres)
    return inside.reshape(shape)


def test_one_pixel_is_a_diamond_half_way_to_its_neighbours():
    plane = np.zeros((5, 5), np.float32)
    plane[2, 3] = 1
    (outline,) = outlines_of(plane, 0.5)
    assert area(outline) == pytest.approx(0.5, abs=1e-6)
    assert sorted(map(tuple, outline.round(6).tolist())) == [(2.5, 2), (3, 1.5), (3, 2.5), (3.5, 2)]


def test_the_border_lies_where_the_map_passes_the_threshold():
    plane = np.tile(np.linspace(0, 1, 11, dtype=np.float32), (6, 1))
    (outline,) = outlines_of(plane, 0.25)
    inner = outline[(outline[:, 1] > 0.5) & (outline[:, 1] < 4.5)]
    assert inner[:, 0].min() == pytest.approx(2.5, abs=1e-5)


def test_what_touches_the_images_border_is_closed_there():
    (outline,) = outlines_of(np.ones((4, 6), np.float32), 0.5)
    # A rectangle half a pixel wider than the centres on each side, with its four corners cut.
    assert area(outline) == pytest.approx(4 * 6 - 4 * 0.125, abs=1e-5)


def test_a_hole_is_joined_by_a_channel_and_does_not_count():
    plane = np.ones((9, 9), np.float32)
    plane[3:6, 3:6] = 0
    (outline,) = outlines_of(plane, 0.5)
    # 9 × 9 and 3 × 3 pixels, each with its four corners cut.
    assert area(outline) == pytest.approx((9 * 9 - 4 * 0.125) - (3 * 3 - 4 * 0.125), abs=1e-5)
    assert (enclosed([outline], plane.shape) == plane).all()


def test_several_components_with_several_holes_each():
    plane = np.zeros((12, 26), np.float32)
    plane[1:11, 1:12] = 1
    plane[1:11, 14:25] = 1
    for left in (1, 14):
        plane[3:5, left + 2 : left + 4] = 0
        plane[6:9, left + 6 : left + 9] = 0
    plane[7, 8] = 1  # an island in a hole
    outlines = list(outlines_of(plane, 0.5))
    assert len(outlines) == 3
    assert all(area(outline) > 0 for outline in outlines)
    assert (enclosed(outlines, plane.shape) == plane).all()


def test_nothing_reaches_the_threshold():
    assert list(outlines_of(np.full((3, 4), 0.2, np.float32), 0.3)) == []


@pytest.mark.parametrize("threshold", [0.1, 0.3, 0.7])
def test_what_lies_exactly_at_the_threshold_is_within(threshold):
    plane = np.zeros((7, 7), np.float32)
    plane[2:5, 2:5] = np.float32(threshold)
    (outline,) = outlines_of(plane, float(np.float32(threshold)))
    assert area(outline) == pytest.approx(4, abs=1e-3)  # the square through the outer pixels' centres


@settings(deadline=None, max_examples=60)
@given(
    hnp.arrays(np.float32, st.tuples(st.integers(1, 9), st.integers(1, 9)), elements=st.floats(0, 1, width=16)),
    st.sampled_from([0.1, 0.25, 0.5, 0.9]),
)
def test_the_pixels_within_are_those_that_reach_the_threshold(plane, threshold):
    # A centre that lies on the border, to the last digits, may fall on either side of it.
    plane[np.abs(plane - threshold) < 1e-3] = 0
    outlines = list(outlines_of(plane, threshold))
    assert (enclosed(outlines, plane.shape) == (plane >= threshold)).all()
    assert all(area(outline) > 0 for outline in outlines)


def test_a_smooth_maps_area_comes_near_to_that_of_its_pixels():
    y, x = np.mgrid[:60, :60]
    plane = np.clip(1 - np.hypot(x - 29.3, y - 30.1) / 25, 0, 1).astype(np.float32)
    (outline,) = outlines_of(plane, 0.5)
    assert area(outline) == pytest.approx(np.pi * 12.5**2, rel=3e-3)
    assert area(outline) == pytest.approx((plane >= 0.5).sum(), rel=0.03)
