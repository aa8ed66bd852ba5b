"""Stomach, duodenum, small bowel and colon: walls, fluid, stool, and gas that rises to the front."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from twintrack.synthetic.canvas import Canvas
from twintrack.synthetic.shapes import Knots, Tube

_GAS, _WALL = -960.0, 88.0

_STOMACH: Knots = (
    (72, 12, 74, 24),
    (74, -6, 56, 29),
    (66, -36, 36, 26),
    (44, -54, 18, 20),
    (14, -58, 8, 16),
    (-18, -50, 10, 11),
)
_DUODENUM: Knots = (
    (-26, -46, 12, 10), (-46, -36, 8, 11), (-58, -22, -10, 11), (-56, -12, -32, 11),
    (-38, -6, -48, 11), (-8, -8, -54, 10), (22, -12, -46, 10),
)  # fmt: skip
_COLON: tuple[Knots, ...] = (
    ((-92, 14, -110, 20), (-92, 10, -60, 20), (-88, -4, -34, 19), (-70, -40, -34, 17)),  # ascending, right flexure
    (
        (-70, -40, -34, 16),
        (-40, -60, -40, 16),
        (0, -64, -44, 16),
        (45, -62, -36, 15),
        (80, -40, -6, 15),
        (102, -14, 14, 15),
    ),
    ((102, -14, 14, 14), (106, 10, -10, 13), (104, 14, -50, 12), (100, 12, -110, 12)),  # descending
)


def draw_bowel(canvas: Canvas, rng: np.random.Generator, cavity: NDArray[np.float32]) -> None:
    """Paint the hollow organs.

    Args:
        canvas: The CT with the body's wall.
        rng: Where filling and the course of the small bowel come from.
        cavity: Coverage of the abdominal cavity on the lattice.
    """
    for knots in _COLON:
        gas = rng.uniform(0.2, 0.8)
        _draw_gut(canvas, knots, cavity, wall=2.2, fluid=rng.uniform(20, 60), lumps=60.0, gas=gas)
    for knots in _small_bowel(rng):
        gas = rng.uniform(0.1, 0.5) * (rng.random() < 0.25)
        _draw_gut(canvas, knots, cavity, wall=2.4, fluid=rng.uniform(10, 50), lumps=14.0, gas=gas)
    _draw_gut(canvas, _STOMACH, cavity, wall=4.0, fluid=rng.uniform(12, 35), lumps=9.0, gas=rng.uniform(0.3, 0.6))
    _draw_gut(canvas, _DUODENUM, cavity, wall=2.8, fluid=rng.uniform(10, 35), lumps=10.0, gas=0.0)


def _draw_gut(
    canvas: Canvas,
    knots: Knots,
    cavity: NDArray[np.float32],
    *,
    wall: float,
    fluid: float,
    lumps: float,
    gas: float,
) -> None:
    """Paint one stretch: a wall, its contents with lumps of so many HU, and gas in the front part."""
    solid = Tube.through(knots)
    region = canvas.region(solid, rough=1.2)
    canvas.fill(region, _WALL, within=cavity)
    canvas.fill(region, fluid + np.float32(lumps) * canvas.detail[region.box], grow=-wall, within=cavity)
    # Fluid is level in a patient lying on the back: gas fills the lumen in front of one coronal plane.
    low, high = (float(bound[1]) for bound in solid.bounds())
    level = np.float32(low + gas * (high - low))
    in_front = 0.5 - (canvas.axes[1].astype(np.float32) - level) / np.float32(canvas.soft)
    canvas.fill(region, _GAS, grow=-wall, within=cavity * np.clip(in_front, 0, 1)[:, None])


def _small_bowel(rng: np.random.Generator) -> list[Knots]:
    """Loops that wander below the pancreas (ileum) and to the left of its head (jejunum)."""
    loops: list[Knots] = []
    for n, low, high in ((12, (-50, -60, -115), (84, -14, -28)), (7, (30, -44, -40), (88, 6, -8))):
        for _ in range(n):
            start, steps = rng.random(3), rng.normal(0, 1, (5, 3)) * (0.2, 0.3, 0.25)
            # Folding the walk back into the unit cube keeps loops within without ever laying two knots on one place.
            walk = 1 - np.abs(1 - (start + np.cumsum(steps, axis=0)) % 2)
            path = np.asarray(low) + walk * np.subtract(high, low)
            loops.append(tuple(map(tuple, np.column_stack([path, rng.uniform(8.5, 11.5, 5)]).tolist())))
    return loops
