"""Arteries and veins: their courses, their labels, and how bright contrast medium makes them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from twintrack.synthetic.canvas import Canvas
from twintrack.synthetic.shapes import Ellipsoid, Knots, Shape, Tube

PORTA, SMV, AORTA, CELIAC_TRUNK, SMA = 1, 2, 3, 4, 5

# Knots (x, y, z, radius) in mm of the standard body. Later ones are labelled over earlier ones: a branch begins
# inside the vessel it leaves.
_LABELLED: tuple[tuple[int, Knots], ...] = (
    (
        SMA,
        (
            (6, 4, 10, 3.6),
            (6, -5, 7, 3.8),
            (6, -11, -4, 3.8),
            (5, -15, -25, 3.6),
            (3, -20, -50, 3.2),
            (0, -24, -85, 2.6),
        ),
    ),
    (CELIAC_TRUNK, ((6, 4, 27, 3.6), (5, -6, 27, 3.6), (3, -15, 30, 3.4), (-6, -20, 33, 2.9), (-18, -22, 33, 2.6))),
    (SMV, ((-10, -16, 0, 5.8), (-10, -16, -10, 5.6), (-11, -18, -28, 5.2), (-12, -23, -50, 4.6), (-16, -27, -85, 3.6))),
    (PORTA, ((-10, -16, 0, 6.2), (-14, -15, 9, 6.8), (-26, -14, 24, 6.8), (-42, -14, 40, 6.4), (-52, -14, 46, 5.4))),
)
_UNLABELLED_ARTERIES: tuple[Knots, ...] = (
    ((3, -15, 30, 2.6), (14, -16, 33, 2.4), (34, -10, 31, 2.4), (56, 2, 33, 2.2), (80, 18, 38, 2.0)),  # splenic
    ((6, 11, -8, 3.0), (22, 20, -10, 2.6), (44, 36, -10, 2.2)),  # left renal
    ((6, 11, -10, 3.0), (-14, 24, -14, 2.6), (-44, 36, -18, 2.2)),  # right renal
    ((-18, -22, 33, 2.4), (-26, -24, 22, 2.0), (-30, -24, 4, 1.8)),  # gastroduodenal
)
_UNLABELLED_VEINS: tuple[Knots, ...] = (
    (
        (-10, -16, 1, 4.6),
        (3, -17, 5, 4.2),
        (22, -13, 11, 4.0),
        (42, -1, 17, 4.0),
        (64, 13, 24, 3.8),
        (88, 26, 34, 3.4),
    ),  # splenic
    ((-16, 10, -6, 4.5), (-2, -2, -8, 4.0), (12, 2, -10, 4.4), (30, 18, -12, 4.4), (46, 34, -12, 4.0)),  # left renal
    ((-22, 14, -16, 4.8), (-44, 34, -18, 4.2)),  # right renal
)


def draw_vessels(canvas: Canvas, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Paint the vessels and label those that decide on resection.

    Args:
        canvas: The CT with body and organs.
        rng: Where the phase of the contrast medium and the small vessels come from.

    Returns:
        uint8 labels on the lattice: PORTA 1, SMV 2, AORTA 3, CELIAC TRUNK 4, SMA 5, as in CURVAS-PDACVI.
    """
    artery, vein = rng.uniform(200, 300), rng.uniform(140, 185)
    cava = canvas.region(Ellipsoid((-20.0, 12.0, 0.0), (11.5, 8.5, np.inf), -15.0), rough=0.5)
    canvas.fill(cava, vein - 35 + 8 * canvas.detail[cava.box])
    for hu, courses in ((vein, _UNLABELLED_VEINS), (artery, _UNLABELLED_ARTERIES)):
        for knots in courses:
            canvas.fill(canvas.region(Tube.through(knots)), hu)
    labels = np.zeros(canvas.ct.shape, np.uint8)
    solids: list[tuple[int, Shape]] = [(label, Tube.through(knots)) for label, knots in _LABELLED]
    solids.append((AORTA, Ellipsoid((6.0, 11.0, 0.0), (10.0, 10.0, np.inf))))
    for label, solid in solids:
        region = canvas.region(solid)
        canvas.fill(region, vein if label in (PORTA, SMV) else artery)
        labels[region.box][region.distance < 0] = label
    _draw_plaques(canvas, rng)
    return labels


def _draw_plaques(canvas: Canvas, rng: np.random.Generator) -> None:
    """Specks of calcium in the wall of the aorta."""
    for angle, z, long in zip(rng.uniform(0, 2 * np.pi, 4), rng.uniform(-70, 70, 4), rng.uniform(2, 7, 4), strict=True):
        at = (6 + 9.5 * float(np.cos(angle)), 11 + 9.5 * float(np.sin(angle)), float(z))
        canvas.fill(canvas.region(Ellipsoid(at, (1.6, 1.6, float(long)))), 480.0)


def draw_mesentery(canvas: Canvas, rng: np.random.Generator) -> None:
    """Paint small branches that fan out from the mesenteric root: without them the fat looks empty.

    Args:
        canvas: The CT with the body's wall; bowel is painted over the branches.
        rng: Where their courses come from.
    """
    twigs = []
    for _ in range(24):
        way = np.array([rng.uniform(-50, 70), rng.uniform(-38, -18), rng.uniform(-62, -10)])
        root = np.array([rng.uniform(-10, 8), rng.uniform(-24, -18), rng.uniform(-35, -8)])
        knots = [root, (root + way) / 2 + rng.normal(0, 5, 3), way]
        twigs.append(Tube.through([(*knot, r) for knot, r in zip(knots, (1.9, 1.5, 1.0), strict=True)]))
    for twig in twigs:
        canvas.fill(canvas.region(twig), 140.0)


def vessel_course(label: int) -> Tube:
    """Give the course of a labelled vessel.

    Args:
        label: One of `PORTA`, `SMV`, `CELIAC_TRUNK` and `SMA`.

    Returns:
        Its middle line and radii in mm of the standard body.
    """
    return Tube.through(dict(_LABELLED)[label])
