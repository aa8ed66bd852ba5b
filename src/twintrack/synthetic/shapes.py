"""The solids that anatomy is built from, each given by its signed distance in mm (negative inside).

Positions are (x, y, z) in mm in the patient: x to the left, y to the back, z to the head (LPS), 0 in the middle.

Source: bodies of geometric primitives that overlap, as in Segars and Tsui, "MCAT to XCAT: the evolution of 4-D
computerized phantoms for imaging research", Proceedings of the IEEE 97(12), 2009.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import PchipInterpolator

Points: TypeAlias = tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]
"""Positions x, y and z in mm: three arrays of one shape."""

Knots: TypeAlias = Sequence[Sequence[float]]
"""The course of a tube: (x, y, z, radius) in mm at each of at least two places."""

Bounds: TypeAlias = tuple[NDArray[np.float64], NDArray[np.float64]]
"""The lowest and the highest (x, y, z) in mm that a solid reaches; infinite where it does not end."""


class Shape(Protocol):
    """A solid."""

    def bounds(self) -> Bounds:
        """Give the box that holds the solid."""

    def distance(self, points: Points) -> NDArray[np.float32]:
        """Give the signed distance in mm, negative inside; exact near the surface, rough far away."""


@dataclass(frozen=True)
class Ellipsoid:
    """An ellipsoid, or an elliptic cylinder where the third radius is infinite.

    Attributes:
        center: (x, y, z) in mm.
        radii: Half axes in mm.
        turn: Rotation about the z axis in degrees; positive turns the x axis towards the y axis.
    """

    center: tuple[float, float, float]
    radii: tuple[float, float, float]
    turn: float = 0.0

    def bounds(self) -> Bounds:
        """Give the box that holds the solid."""
        reach = np.array([max(self.radii[:2])] * 2 + [self.radii[2]])
        return self.center - reach, self.center + reach

    def distance(self, points: Points) -> NDArray[np.float32]:
        """Give the distance to first order: the implicit function over the length of its gradient."""
        x, y, z = (p - np.float32(c) for p, c in zip(points, self.center, strict=True))
        radii = [np.float32(r) for r in self.radii]
        angle = np.deg2rad(self.turn)
        cos, sin = np.float32(np.cos(angle)), np.float32(np.sin(angle))
        turned: Points = (x * cos + y * sin, y * cos - x * sin, z)
        scaled = [q / r for q, r in zip(turned, radii, strict=True)]
        # Pitfall: at the centre both lengths vanish; their ratio there is taken as the smallest radius.
        size = np.maximum(_norm(scaled), np.float32(1e-4))
        slope = np.maximum(
            _norm([q / r for q, r in zip(scaled, radii, strict=True)]), np.float32(1e-4 / min(self.radii))
        )
        distance: NDArray[np.float32] = (size * (size - 1) / slope).astype(np.float32, copy=False)
        return distance


@dataclass(frozen=True, eq=False)
class Tube:
    """A tube along a polyline whose radius changes linearly from point to point.

    Attributes:
        path: Positions (x, y, z) in mm, shape (n, 3), n ≥ 2.
        radii: Radius in mm at each, shape (n,).
    """

    path: NDArray[np.float64]
    radii: NDArray[np.float64]

    @classmethod
    def through(cls, knots: Knots, *, per_knot: int = 4) -> Tube:
        """Lay a smooth tube through knots.

        Args:
            knots: Its course.
            per_knot: Straight pieces between two knots.

        Returns:
            The tube along the piecewise cubic curve through the knots, its radius between theirs.
        """
        table = np.asarray(knots, np.float64)
        steps = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(table[:, :3], axis=0), axis=1))])
        fine = np.interp(np.arange((len(table) - 1) * per_knot + 1) / per_knot, np.arange(len(table)), steps)
        # Monotone between knots. Pitfall: a cubic spline can swing below a radius of 0 between a thick and a thin knot.
        course = PchipInterpolator(steps, table)(fine)
        return cls(course[:, :3], course[:, 3])

    def bounds(self) -> Bounds:
        """Give the box that holds the solid."""
        reach = self.radii[:, None]
        return (self.path - reach).min(axis=0), (self.path + reach).max(axis=0)

    def distance(self, points: Points) -> NDArray[np.float32]:
        """Give the distance to the nearest piece's axis less the radius there."""
        out = np.full(points[0].shape, np.inf, np.float32)
        for k in range(len(self.path) - 1):
            np.minimum(out, self._piece(k, points), out=out)
        return out

    def _piece(self, k: int, points: Points) -> NDArray[np.float32]:
        start, step = self.path[k].astype(np.float32), np.diff(self.path[k : k + 2], axis=0)[0].astype(np.float32)
        away = [p - s for p, s in zip(points, start, strict=True)]
        along = sum(a * s for a, s in zip(away, step, strict=True)) / np.float32(max(step @ step, 1e-6))
        along = np.clip(along, 0, 1)
        gap = _norm([a - along * s for a, s in zip(away, step, strict=True)])
        first, second = self.radii[k : k + 2].astype(np.float32)
        distance: NDArray[np.float32] = gap - (first + along * (second - first))
        return distance


@dataclass(frozen=True, eq=False)
class Union:
    """Several solids melted together.

    Attributes:
        parts: The solids.
        blend: Width in mm over which the grooves between them are filled; 0 leaves them sharp.
    """

    parts: tuple[Shape, ...]
    blend: float = 0.0

    def bounds(self) -> Bounds:
        """Give the box that holds the solid."""
        boxes = [part.bounds() for part in self.parts]
        low, high = (np.array([box[k] for box in boxes]) for k in (0, 1))
        return low.min(axis=0) - self.blend / 4, high.max(axis=0) + self.blend / 4

    def distance(self, points: Points) -> NDArray[np.float32]:
        """Give the smooth minimum of the parts' distances."""
        out = self.parts[0].distance(points)
        for part in self.parts[1:]:
            out = self._melt(out, part.distance(points))
        return out

    def _melt(self, a: NDArray[np.float32], b: NDArray[np.float32]) -> NDArray[np.float32]:
        if self.blend == 0:
            return np.minimum(a, b)
        near = np.maximum(1 - np.abs(a - b) / np.float32(self.blend), 0)
        melted: NDArray[np.float32] = np.minimum(a, b) - near * near * np.float32(self.blend / 4)
        return melted


@dataclass(frozen=True, eq=False)
class Difference:
    """A solid with another one cut out.

    Attributes:
        whole: The solid.
        cut: What is taken away.
    """

    whole: Shape
    cut: Shape

    def bounds(self) -> Bounds:
        """Give the box that holds the solid."""
        return self.whole.bounds()

    def distance(self, points: Points) -> NDArray[np.float32]:
        """Give the larger of the distance to the whole and the distance out of the cut."""
        return np.maximum(self.whole.distance(points), -self.cut.distance(points))


def _norm(parts: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
    total = parts[0] * parts[0]
    for part in parts[1:]:
        total += part * part
    norm: NDArray[np.float32] = np.sqrt(total, out=total)
    return norm
