"""What holds the organs: skin, fat, muscles, spine, ribs, the lung bases, and the table beneath."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from twintrack.synthetic.canvas import Canvas, Region
from twintrack.synthetic.shapes import Ellipsoid, Tube

FAT, MUSCLE = -102.0, 56.0

_HALF = (148.0, 104.0)  # mm: half axes of the standard body, x and y
_FLAT = 0.93  # the back is flattened by the table
_LEVEL = 35.0  # mm from one vertebra to the next


def draw_body(canvas: Canvas, rng: np.random.Generator) -> NDArray[np.float32]:
    """Paint everything around the abdominal cavity, and the fat inside.

    Args:
        canvas: The empty CT.
        rng: Where thicknesses and HU come from.

    Returns:
        Coverage of the abdominal cavity, float32 in [0, 1], on the lattice: organs stay within.
    """
    fat, wall = rng.uniform(13, 22), rng.uniform(8, 12)
    _draw_table(canvas)
    skin = Region((slice(None),) * 3, _outline(canvas))
    fascia = Region(skin.box, skin.distance + np.float32(fat) + 1.5 * canvas.detail)
    canvas.fill(skin, 30.0)
    canvas.fill(skin, FAT + 6 * canvas.detail, grow=-2.5)
    canvas.fill(fascia, MUSCLE + 5 * canvas.detail)
    canvas.fill(fascia, FAT + 8 * canvas.detail, grow=-wall)
    _draw_back(canvas)
    _draw_spine(canvas, rng)
    _draw_ribs(canvas, depth=fat + wall / 2, top=rng.uniform(103, 130))
    cavity = fascia.coverage(soft=canvas.soft, grow=-wall - 1.0)
    _draw_lungs(canvas, cavity)
    return cavity


def _outline(canvas: Canvas) -> NDArray[np.float32]:
    """Distance from the skin: a superellipse, flattened at the back as in a patient lying on it."""
    x, y, _ = canvas.points
    power = np.float32(2.4)
    half_y = np.where(y > 0, np.float32(_HALF[1] * _FLAT), np.float32(_HALF[1]))
    u, v = np.abs(x) / np.float32(_HALF[0]), np.abs(y) / half_y
    size = np.maximum((u**power + v**power) ** (1 / power), np.float32(1e-3))
    slope = np.hypot((u / size) ** (power - 1) / np.float32(_HALF[0]), (v / size) ** (power - 1) / half_y)
    distance: NDArray[np.float32] = ((size - 1) / slope).astype(np.float32, copy=False)
    return distance


def _draw_table(canvas: Canvas) -> None:
    _, y, x = canvas.axes
    top = 118.0 - (x / 38.0) ** 2  # mm: a shallow trough
    depth = (y[:, None] - top).astype(np.float32)
    for at, thick, hu in ((0.0, 3.5, 20.0), (9.0, 12.0, -900.0), (18.0, 3.5, 20.0)):
        gap = np.maximum(np.abs(depth - np.float32(at)) - np.float32(thick / 2), np.abs(x) - 200).astype(np.float32)
        canvas.fill(Region((slice(None),) * 3, gap[None]), hu)


def _draw_back(canvas: Canvas) -> None:
    for side in (-1, 1):
        for center, radii, turn in (
            ((31.0, 73.0, 0.0), (25.0, 15.0, np.inf), -14.0),  # erector spinae
            ((37.0, 44.0, -60.0), (16.0, 21.0, 75.0), 20.0),  # psoas, thicker below
            ((64.0, 64.0, -60.0), (17.0, 9.0, 70.0), -35.0),  # quadratus lumborum
            ((13.0, 17.0, 30.0), (4.5, 13.0, 50.0), -25.0),  # crus of the diaphragm
        ):
            muscle = Ellipsoid((side * center[0], center[1], center[2]), radii, side * turn)
            region = canvas.region(muscle, rough=0.8)
            canvas.fill(region, MUSCLE + 6 * canvas.detail[region.box])


def _draw_spine(canvas: Canvas, rng: np.random.Generator) -> None:
    phase = rng.uniform(0, _LEVEL)
    column = canvas.region(Ellipsoid((0.0, 40.0, 0.0), (24.0, 18.0, np.inf)), rough=0.4)
    height = (canvas.points[2][column.box] + np.float32(phase)) % np.float32(_LEVEL)
    disc = np.clip(np.float32(5.0) - np.abs(height - np.float32(_LEVEL / 2)), 0, 1)
    spongy = np.float32(rng.uniform(150, 200)) + 22 * canvas.detail[column.box]
    canvas.fill(column, 330 - disc * 240)
    canvas.fill(column, spongy - disc * (spongy - 85), grow=-3.0)
    levels = (np.arange(-24, 25) * _LEVEL - phase).tolist()
    reach = float(np.abs(canvas.axes[0]).max()) + _LEVEL + 20
    for z in levels:
        if abs(z) < reach:
            _draw_arch(canvas, z)
    canal = canvas.region(Ellipsoid((0.0, 64.5, 0.0), (10.5, 8.0, np.inf)))
    canvas.fill(canal, 12.0)
    canvas.fill(canal, 38.0, grow=-2.5)


def _draw_arch(canvas: Canvas, z: float) -> None:
    """One vertebra's pedicles, laminae and processes."""
    bones = [Tube.through([(0, 74, z - 6, 3.2), (0, 84, z - 10, 3.2), (0, 93, z - 14, 3.6)])]
    for side in (-1, 1):
        bones.append(Tube.through([(side * 15, 52, z + 6, 4.2), (side * 15, 66, z + 2, 4.5), (0, 75, z - 6, 3.0)]))
        bones.append(
            Tube.through([(side * 15, 63, z + 3, 4.0), (side * 28, 66, z + 3, 3.2), (side * 40, 68, z + 4, 2.6)])
        )
        bones.append(Tube.through([(side * 16, 68, z + 12, 4.5), (side * 16, 70, z - 14, 4.5)]))  # facets
    for bone in bones:
        region = canvas.region(bone)
        canvas.fill(region, 360.0)
        canvas.fill(region, 210.0, grow=-2.0)


def _draw_ribs(canvas: Canvas, *, depth: float, top: float) -> None:
    angles = np.deg2rad(np.array([18.0, 35.0, 55.0, 75.0, 95.0, 112.0, 128.0]))  # from the spine round to the front
    x = (_HALF[0] - depth) * np.sin(angles) ** 0.9
    y = np.sign(np.cos(angles)) * (_HALF[1] - depth) * np.abs(np.cos(angles)) ** 0.8
    y *= np.where(y > 0, _FLAT, 1.0)
    for level in range(6):
        for side in (-1, 1):
            z = top - 27 * level - 42 * np.sin(np.minimum(angles, 1.9)) ** 2
            knots = np.column_stack([side * x, y, z, np.full(len(x), 5.0)])
            region = canvas.region(Tube.through(knots[: 7 - level].tolist()))
            canvas.fill(region, 420.0)
            canvas.fill(region, 150.0, grow=-2.2)


def _draw_lungs(canvas: Canvas, cavity: NDArray[np.float32]) -> None:
    """Air above the diaphragm, which hangs lowest at the back and sides."""
    x, y, z = canvas.points
    rim = np.hypot(x / np.float32(_HALF[0] - 30), (y - 5) / np.float32(_HALF[1] - 28))
    behind = np.clip((y + 25) / np.float32(60), 0, 1)
    dome = 120 - np.clip(rim, 0, 1.1) ** 4 * (25 + 38 * behind)
    lungs = Region((slice(None),) * 3, dome - z + 1.5 * canvas.detail)
    mediastinum = np.clip((np.hypot(x, y - 30) - np.float32(34)) / 4, 0, 1)
    canvas.fill(lungs, -840 + 25 * canvas.detail, within=cavity * mediastinum)
