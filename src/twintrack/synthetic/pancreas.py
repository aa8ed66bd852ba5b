"""The pancreas: a bent, lobulated tube from the head in the duodenum's bend to the tail at the spleen."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from twintrack.synthetic.canvas import Canvas, Region
from twintrack.synthetic.fields import smooth_field
from twintrack.synthetic.shapes import Tube, Union

# Knots (x, y, z, radius) in mm of the standard body.
_GLAND = (
    (-31, -11, -32, 9.0), (-33, -17, -20, 14.0), (-27, -24, -8, 13.0), (-11, -33, 1, 8.5),
    (10, -34, 7, 9.0), (34, -22, 13, 10.0), (58, -5, 20, 9.5), (80, 11, 28, 7.5),
)  # fmt: skip
_LOBULE = 4.0  # mm: correlation length of the lobules
_UNCINATE = ((-30, -12, -26, 9.0), (-20, -6, -27, 6.5), (-11, -5, -28, 3.5))


@dataclass(frozen=True, eq=False)
class Pancreas:
    """The gland.

    Attributes:
        mask: uint8 on the lattice.
        axis: The middle line from head to tail, (x, y, z) in mm of the standard body, shape (n, 3).
        radii: The gland's radius in mm along it, shape (n,).
        hu: Its mean HU.
    """

    mask: NDArray[np.uint8]
    axis: NDArray[np.float64]
    radii: NDArray[np.float64]
    hu: float


def draw_pancreas(canvas: Canvas, rng: np.random.Generator) -> Pancreas:
    """Paint the pancreas with its duct.

    Args:
        canvas: The CT with body, bowel and organs.
        rng: Where size, lobulation and HU come from.

    Returns:
        The gland.
    """
    size, fatty, hu = rng.uniform(0.85, 1.1), rng.uniform(8, 40), float(rng.uniform(98, 124))
    knots = np.array(_GLAND)
    knots[:, 3] *= size
    knots[:, :3] += rng.normal(0, 1.5, (len(knots), 3))
    gland, uncinate = Tube.through(knots.tolist()), Tube.through(_UNCINATE)
    smooth = canvas.region(Union((gland, uncinate), 8.0), rough=1.0, reach=6.0)
    axes = [axis[part] for axis, part in zip(canvas.axes, smooth.box, strict=True)]
    lobules = smooth_field(rng, length=_LOBULE).on(axes)
    region = Region(smooth.box, smooth.distance + np.float32(1.4) * np.maximum(lobules, -1))
    texture = -np.float32(fatty) * np.maximum(lobules, 0)  # the fat between lobules only darkens
    canvas.fill(region, np.float32(hu) + texture, soft=3.0)
    mask = np.zeros(canvas.ct.shape, np.uint8)
    mask[region.box] = region.distance < 0
    return Pancreas(mask, gland.path, gland.radii, hu)


def draw_duct(canvas: Canvas, pancreas: Pancreas, *, start: int, radius: float) -> None:
    """Paint the pancreatic duct from a point of the middle line to the tail.

    Args:
        canvas: The CT with the pancreas.
        pancreas: The gland.
        start: Index into its middle line, at least 4 from its end; a tumour there dams the duct up.
        radius: The duct's radius in mm.
    """
    path = pancreas.axis[start:-2]
    canvas.fill(canvas.region(Tube(path, np.linspace(radius, radius * 0.6, len(path)))), 22.0)
