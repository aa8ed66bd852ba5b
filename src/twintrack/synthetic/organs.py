"""The solid organs around the pancreas: liver with its veins and gallbladder, spleen, kidneys, adrenals."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from twintrack.synthetic.body import FAT
from twintrack.synthetic.canvas import Canvas, Region
from twintrack.synthetic.shapes import Difference, Ellipsoid, Tube, Union


def draw_organs(canvas: Canvas, rng: np.random.Generator, cavity: NDArray[np.float32]) -> None:
    """Paint the solid organs.

    Args:
        canvas: The CT with the body's wall and the bowel.
        rng: Where sizes and HU come from.
        cavity: Coverage of the abdominal cavity on the lattice.
    """
    _draw_spleen(canvas, rng, cavity)
    _draw_kidney(canvas, rng, side=1, at=(66.0, 40.0, -14.0))
    _draw_kidney(canvas, rng, side=-1, at=(-66.0, 42.0, -26.0))
    _draw_adrenals(canvas)
    _draw_liver(canvas, rng, cavity)


def _jitter(rng: np.random.Generator, at: tuple[float, float, float], sd: float) -> tuple[float, float, float]:
    x, y, z = (np.asarray(at) + rng.normal(0, sd, 3)).tolist()
    return x, y, z


def _draw_liver(canvas: Canvas, rng: np.random.Generator, cavity: NDArray[np.float32]) -> None:
    size = rng.uniform(0.94, 1.06)
    right = Ellipsoid(_jitter(rng, (-84.0, 4.0, 34.0), 2), (58 * size, 78 * size, 84 * size), 8.0)
    left = Ellipsoid(_jitter(rng, (-20.0, -52.0, 56.0), 3), (62 * size, 27, 40 * size), -6.0)
    notch = Union(
        (Ellipsoid((-52.0, 44.0, -30.0), (36.0, 30.0, 52.0)), Ellipsoid((-30.0, 0.0, 12.0), (26.0, 30.0, 34.0))), 20
    )
    liver = Difference(Union((right, left), 30.0), notch)
    region = canvas.region(liver, rough=1.2)
    hu = rng.uniform(98, 120)
    canvas.fill(region, hu + 3 * canvas.detail[region.box], within=cavity)
    cover = np.zeros(canvas.ct.shape, np.float32)
    cover[region.box] = region.coverage(soft=canvas.soft, grow=-4.0) * cavity[region.box]
    for tube in _liver_veins(rng):
        canvas.fill(canvas.region(tube), hu + 42, within=cover)
    gallbladder = canvas.region(Ellipsoid(_jitter(rng, (-52.0, -44.0, 2.0), 4), (14.0, 19.0, 27.0), 15.0))
    canvas.fill(gallbladder, 70.0, grow=1.5)
    canvas.fill(gallbladder, rng.uniform(4, 14))


def _liver_veins(rng: np.random.Generator) -> list[Tube]:
    hilum, cava = np.array([-52.0, -14.0, 46.0]), np.array([-22.0, 14.0, 92.0])
    tubes = []
    for root, radius, n in ((hilum, 4.2, 7), (cava, 4.0, 5)):
        for _ in range(n):
            end = np.array([rng.uniform(-132, -40), rng.uniform(-60, 60), rng.uniform(-15, 80)])
            middle = (root + end) / 2 + rng.normal(0, 7, 3)
            knots = zip((root, middle, end), (radius, radius * 0.65, 1.0), strict=True)
            tubes.append(Tube.through([(*at, r) for at, r in knots]))
    return tubes


def _draw_spleen(canvas: Canvas, rng: np.random.Generator, cavity: NDArray[np.float32]) -> None:
    bulk = Ellipsoid(_jitter(rng, (100.0, 32.0, 42.0), 3), (27.0, 46.0, 48.0), 24.0)
    region = canvas.region(Difference(bulk, Ellipsoid((72.0, 14.0, 44.0), (27.0, 36.0, 46.0), 20.0)), rough=1.2)
    canvas.fill(region, rng.uniform(112, 132) + 3 * canvas.detail[region.box], within=cavity)


def _draw_kidney(canvas: Canvas, rng: np.random.Generator, *, side: int, at: tuple[float, float, float]) -> None:
    x, y, z = _jitter(rng, at, 2)
    bean = Difference(
        Ellipsoid((x, y, z), (26.0, 23.0, 52.0), side * 28.0),
        Ellipsoid((x - side * 25, y - 12, z), (16.0, 9.0, 16.0), side * 28.0),
    )
    region = canvas.region(bean, rough=0.8)
    cortex, detail = rng.uniform(170, 215), canvas.detail[region.box]
    canvas.fill(region, cortex)
    pyramids = Region(region.box, region.distance + 3.5 * detail)  # columns of cortex reach between the pyramids
    canvas.fill(pyramids, cortex - 55, grow=-8.0, soft=3.0)
    sinus = canvas.region(Ellipsoid((x - side * 7, y - 4, z), (10.0, 8.0, 26.0), side * 28.0), rough=1.8)
    canvas.fill(sinus, FAT + 25, soft=3.0)
    pelvis = canvas.region(Ellipsoid((x - side * 10, y - 5, z), (8.0, 3.5, 9.0), side * 28.0), rough=0.8)
    canvas.fill(pelvis, 18.0)


def _draw_adrenals(canvas: Canvas) -> None:
    for side, (x, y, z) in ((1, (34.0, 20.0, 36.0)), (-1, (-36.0, 22.0, 34.0))):
        for end in ((side * 8, 16.0), (side * -4, 17.0)):
            limb = Tube.through(
                [
                    (x, y, z + 10, 2.2),
                    (x + end[0] * 0.5, y + end[1] * 0.5, z, 2.2),
                    (x + end[0], y + end[1], z - 10, 1.8),
                ]
            )
            canvas.fill(canvas.region(limb), 78.0)
