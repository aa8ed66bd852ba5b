"""Contours of a map at a level: closed polygons with their holes, one slice at a time."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import numpy as np
from contourpy import FillType, contour_generator
from numpy.typing import NDArray
from scipy.spatial import cKDTree

_LEAST_POINTS = 3
_CLEAR = 0.1  # pixels that a channel keeps from their centres where it can


def outlines_of(plane: NDArray[np.float32], threshold: float) -> Iterator[NDArray[np.float64]]:
    """Outline where a map reaches a threshold.

    Between pixel centres the map is taken to be linear, so borders are finer than the pixels. The centre of a pixel
    lies within an outline where its value reaches the threshold, and outside where it does not. A hole is joined to its
    outline by a channel without width, walked along in both directions (the keyhole technique of PS3.3, C.8.8.6.3), so
    that each outline is one polygon, whose signed area is that of the region.

    Args:
        plane: The map, (y, x), float32.
        threshold: What it must reach, above 0.

    Yields:
        The polygons, (points, 2): columns and rows (x, y), 0 at the first pixel's centre. The last point is not the
        first one again.
    """
    # Outside the image the map is 0: what touches its border is closed there.
    padded = np.pad(plane.astype(np.float64), 1)
    # Pitfall: contourpy fills what is above a level. No float32 lies between the threshold and the number below it, so
    # above that number is where the threshold is reached.
    below = float(np.nextafter(np.float32(threshold), np.float32(0)))
    generator = contour_generator(z=padded, fill_type=FillType.OuterOffset)
    polygons: Any = generator.filled(below, np.inf)
    for points, offsets in zip(*polygons, strict=True):
        rings = [_open(points[start:stop] - 1) for start, stop in pairwise(offsets)]
        outer, *holes = rings
        if len(outer) >= _LEAST_POINTS:
            yield _joined(outer, [hole for hole in holes if len(hole) >= _LEAST_POINTS])


def _open(ring: NDArray[Any]) -> NDArray[np.float64]:
    """Leave out the last point, which is the first one, and points that lie where the one before lies."""
    points = np.asarray(ring[:-1], np.float64)
    moved = np.abs(points - np.roll(points, 1, axis=0)).max(axis=1) > 0
    opened: NDArray[np.float64] = points[moved]
    return opened


def _joined(outer: NDArray[np.float64], holes: list[NDArray[np.float64]]) -> NDArray[np.float64]:
    """Join holes to an outline by channels."""
    for hole in holes:
        outer_ends, hole_ends = _middles(outer), _middles(hole)
        at, start = _channel(outer_ends, hole_ends)
        around = np.roll(hole, -start - 1, axis=0)
        ends = outer_ends[at : at + 1], hole_ends[start : start + 1]
        outer = np.concatenate([outer[: at + 1], ends[0], ends[1], around, ends[1], ends[0], outer[at + 1 :]])
    return outer


def _middles(ring: NDArray[np.float64]) -> NDArray[np.float64]:
    """Give the middle between each point of a ring and the next one."""
    middles: NDArray[np.float64] = (ring + np.roll(ring, -1, axis=0)) / 2
    return middles


def _channel(outer: NDArray[np.float64], hole: NDArray[np.float64]) -> tuple[int, int]:
    """Choose where a channel joins a hole to an outline: the shortest way that keeps clear of the pixels' centres.

    Pitfall: whether a point that lies on a channel is within the outline, programs that fill polygons do not agree.
    """
    distances, nearest = cKDTree(outer).query(hole)
    best, most = (0, 0), -1.0
    for start in np.argsort(distances, kind="stable"):
        clear = _clearance(outer[nearest[start]], hole[start])
        if clear > most:
            best, most = (int(nearest[start]), int(start)), clear
        if most >= _CLEAR:
            break
    return best


def _clearance(start: NDArray[np.float64], end: NDArray[np.float64]) -> float:
    """Give the distance of a line from the nearest pixel's centre, in pixels."""
    low, high = np.floor(np.minimum(start, end)), np.ceil(np.maximum(start, end))
    x, y = np.meshgrid(*(np.arange(a, b + 1) for a, b in zip(low, high, strict=True)))
    centres = np.stack([x.ravel(), y.ravel()], axis=1)
    along = end - start
    share = np.clip((centres - start) @ along / max(float(along @ along), np.finfo(float).tiny), 0, 1)
    return float(np.linalg.norm(start + share[:, np.newaxis] * along - centres, axis=1).min())
