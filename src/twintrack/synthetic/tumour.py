"""The tumour: irregular, darker than the gland, its border sharp or fading, and beside it what may be tumour too."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from twintrack.synthetic.canvas import Canvas
from twintrack.synthetic.fields import smooth_field
from twintrack.synthetic.pancreas import Pancreas, draw_duct
from twintrack.synthetic.shapes import Ellipsoid, Shape, Tube
from twintrack.synthetic.vessels import CELIAC_TRUNK, PORTA, SMA, SMV, vessel_course

SMALLEST, LARGEST = 5.0, 18.0
"""Radius in mm; log-uniform between."""

_EDGE = 14.0  # mm between the tumour's middle and the edge of the image, the bend of the anatomy included


@dataclass(frozen=True, eq=False)
class Tumour:
    """What was drawn.

    Attributes:
        fuzzy: How tumour-like each voxel looks, float32 in [0, 1] on the lattice.
        doubtful: uint8 labels 1 and 2 of regions that may be read as tumour or not, 0 elsewhere.
    """

    fuzzy: NDArray[np.float32]
    doubtful: NDArray[np.uint8]


@dataclass(frozen=True)
class _Plan:
    """Where the tumour sits: mm of the standard body."""

    at: int
    center: NDArray[np.float64]
    radius: float
    turn: float


def draw_tumour(canvas: Canvas, rng: np.random.Generator, pancreas: Pancreas, vessels: NDArray[np.uint8]) -> Tumour:
    """Paint one tumour in the pancreas, and one or two regions beside it that may belong to it.

    Args:
        canvas: The CT with everything else.
        rng: Where size, place and shape come from.
        pancreas: The gland.
        vessels: Labels of the vessels; their lumen stays free, the tumour grows around.

    Returns:
        The tumour.
    """
    plan = _plan(canvas, rng, pancreas)
    radius = plan.radius
    long, wide, flat = rng.uniform(1.0, 1.35), rng.uniform(0.85, 1.05), rng.uniform(0.75, 1.0)
    center = _triple(plan.center)
    solid = Ellipsoid(center, (radius * long, radius * wide, radius * flat), plan.turn)
    region = canvas.region(solid, reach=radius + 25)
    axes = [axis[part] for axis, part in zip(canvas.axes, region.box, strict=True)]
    coarse, fine, blur = (smooth_field(rng, length=radius * factor).on(axes) for factor in (0.9, 0.35, 1.1))
    distance = region.distance + np.float32(radius) * (np.float32(0.2) * coarse + np.float32(0.06) * fine)
    # The border's width differs along it: infiltration fades, a pushing border does not.
    width = np.float32(rng.uniform(0.09, 0.2) * (radius + 6)) * np.exp(np.float32(0.45) * blur)
    width = np.minimum(width, np.float32(0.35 * radius))  # else the smallest would be tumour-like nowhere
    fuzzy = np.zeros(canvas.ct.shape, np.float32)
    fuzzy[region.box] = expit(-distance / width)
    doubtful = _add_doubtful(canvas, rng, plan, pancreas, fuzzy)
    lumen = vessels > 0
    fuzzy[lumen] = 0
    doubtful[lumen | (fuzzy >= 0.5)] = 0
    if rng.random() < 0.6:
        draw_duct(canvas, pancreas, start=plan.at, radius=rng.uniform(1.2, 2.8))
    canvas.ct += fuzzy * (np.float32(pancreas.hu - rng.uniform(36, 66)) - canvas.ct)
    return Tumour(fuzzy, doubtful)


def _triple(values: NDArray[np.float64]) -> tuple[float, float, float]:
    x, y, z = values.tolist()
    return x, y, z


def _plan(canvas: Canvas, rng: np.random.Generator, pancreas: Pancreas) -> _Plan:
    radius = float(np.exp(rng.uniform(np.log(SMALLEST), np.log(LARGEST))))
    place, pull, gap = rng.random(), rng.random(), rng.uniform(-0.35, 0.2)
    seen = _seen(canvas, pancreas, radius)
    at = int(seen[int(place * len(seen))])
    center, tangent = pancreas.axis[at], pancreas.axis[at + 1] - pancreas.axis[at]
    if pull < 0.65:  # what makes pancreatic cancer hard to resect: it grows onto vessels
        labels = (PORTA, SMV) if pull < 0.3 else (SMA, CELIAC_TRUNK)
        center = _towards_vessel(center, labels, wanted=radius * (1 + gap), limit=6 + radius / 2)
        low, high = _view(canvas)
        center = np.clip(center, low + _EDGE, high - _EDGE)
    return _Plan(at, center, radius, float(np.rad2deg(np.arctan2(tangent[1], tangent[0]))))


def _view(canvas: Canvas) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The edges (x, y, z) in mm of what is seen."""
    half = np.array(canvas.grid.spacing[::-1]) / 2
    low, high = (np.array([axis[end] for axis in canvas.axes[::-1]], np.float64) for end in (0, -1))
    return low - half, high + half


def _seen(canvas: Canvas, pancreas: Pancreas, radius: float) -> NDArray[np.int64]:
    """Where along the gland a tumour can sit: whole in the field of view if possible, else as far inside as can be."""
    low, high = _view(canvas)
    axis = pancreas.axis[:-3]  # not at the very tip of the tail
    room = np.minimum(axis - low, high - axis).min(axis=1)
    seen: NDArray[np.int64] = np.flatnonzero(room >= min(radius + 10, room.max() - 5))
    return seen


def _nearest(center: NDArray[np.float64], labels: tuple[int, ...]) -> tuple[float, NDArray[np.float64]]:
    """Give the distance in mm to the nearest wall among some vessels, and the way to that vessel's middle line."""
    walls = []
    for label in labels:
        course = vessel_course(label)
        gaps = np.linalg.norm(course.path - center, axis=1)
        k = int(gaps.argmin())
        walls.append((float(gaps[k] - course.radii[k]), course.path[k] - center))
    return min(walls, key=lambda wall: wall[0])


def _towards_vessel(
    center: NDArray[np.float64], labels: tuple[int, ...], *, wanted: float, limit: float
) -> NDArray[np.float64]:
    """Move a tumour until its centre is so many mm from the wall of the nearest of these vessels, within a limit."""
    distance, way = _nearest(center, labels)
    step = np.clip(distance - wanted, -3, limit)
    moved: NDArray[np.float64] = center + way / np.linalg.norm(way) * step
    return moved


def _add_doubtful(
    canvas: Canvas, rng: np.random.Generator, plan: _Plan, pancreas: Pancreas, fuzzy: NDArray[np.float32]
) -> NDArray[np.uint8]:
    """Raise `fuzzy` in the regions that may be tumour, and label them."""
    labels = np.zeros(fuzzy.shape, np.uint8)
    for label in range(1, 2 + int(rng.random() < 0.5)):
        solid = _tongue(rng, plan) if rng.random() < 0.6 else _satellite(rng, plan, pancreas)
        region = canvas.region(solid, rough=0.6, reach=5.0)
        cover, level = region.coverage(soft=3.5), np.float32(rng.uniform(0.2, 0.48))
        here = fuzzy[region.box]
        np.maximum(here, cover * level, out=here)
        labels[region.box][cover > 0.5] = label
    return labels


def _tongue(rng: np.random.Generator, plan: _Plan) -> Shape:
    """Infiltration of the fat: half of the time along the nerves towards the nearest artery, else anywhere."""
    angle, rise, nerve = rng.uniform(0, 2 * np.pi), rng.uniform(-0.4, 0.4), rng.random() < 0.5
    way = np.array([np.cos(angle), np.sin(angle), rise])
    if nerve:
        _, way = _nearest(plan.center, (SMA, CELIAC_TRUNK))
        way = way / np.linalg.norm(way)
    ends = np.array([0.6, rng.uniform(1.6, 2.2)]) * plan.radius
    thick = plan.radius * rng.uniform(0.4, 0.6)
    return Tube(plan.center + ends[:, None] * way, np.array([thick, thick * 0.7]))


def _satellite(rng: np.random.Generator, plan: _Plan, pancreas: Pancreas) -> Shape:
    """A darker patch further along the gland: tumour, or the inflammation it causes."""
    gaps = np.linalg.norm(pancreas.axis - plan.center, axis=1)
    wanted = plan.radius * rng.uniform(1.5, 2.0)
    k = int(np.abs(gaps - wanted).argmin())
    radius = plan.radius * rng.uniform(0.45, 0.75)
    return Ellipsoid(_triple(pancreas.axis[k]), (radius * 1.2, radius, radius), plan.turn)
