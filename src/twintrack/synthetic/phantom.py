"""The phantom: an abdominal CT with a tumour of the pancreas whose true, soft border is known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from twintrack.errors import InputError
from twintrack.images.grid import Grid
from twintrack.synthetic.body import draw_body
from twintrack.synthetic.bowel import draw_bowel
from twintrack.synthetic.canvas import Canvas
from twintrack.synthetic.organs import draw_organs
from twintrack.synthetic.pancreas import draw_pancreas
from twintrack.synthetic.seeds import seed_sequence
from twintrack.synthetic.tumour import draw_tumour
from twintrack.synthetic.vessels import draw_mesentery, draw_vessels

SHAPE, SPACING = (48, 128, 128), (3.0, 2.5, 2.5)
"""Default shape in voxels and voxel size in mm, (z, y, x)."""

_MIDDLE = (0.0, -12.0, 0.0)  # (z, y, x) in mm: small fields of view show the pancreas, not the spine

_SMALLEST_VIEW = 72.0  # mm along each axis: the pancreas with its tumour in good part

COARSEST = 6.0
"""Largest voxel size in mm: the smallest tumours have a radius of 5 mm."""


@dataclass(frozen=True, eq=False)
class Phantom:
    """A simulated CT and what is true of it. All arrays are (z, y, x) on `grid`.

    Attributes:
        ct: HU, int16.
        tumour: Reference shape, uint8 mask: where `fuzzy` is at least one half.
        fuzzy: How tumour-like the voxel looks, float32 in [0, 1], 0.5 on the tumour's border; each rater labels what
            passes that rater's own threshold.
        doubtful: uint8 labels 1 and 2 of whole regions beside the tumour that may be read as tumour or not; a label is
            missing where the tumour has grown over its region.
        pancreas: uint8 mask of the gland with the tumour.
        vessels: uint8 labels PORTA 1, SMV 2, AORTA 3, CELIAC TRUNK 4, SMA 5.
        grid: Where the voxels lie; x to the patient's left, y to the back, z to the head, 0 in the middle of the body.
    """

    ct: NDArray[np.int16]
    tumour: NDArray[np.uint8]
    fuzzy: NDArray[np.float32]
    doubtful: NDArray[np.uint8]
    pancreas: NDArray[np.uint8]
    vessels: NDArray[np.uint8]
    grid: Grid


def make_phantom(seed: int, *, shape: Sequence[int] = SHAPE, spacing: Sequence[float] = SPACING) -> Phantom:
    """Simulate a contrast-enhanced CT of the upper abdomen with a tumour of the pancreas.

    Anatomy is laid out in mm, so that the same seed gives the same patient on every grid; only the noise differs.
    The model is our own: bodies of geometric primitives (`shapes`), bent by smooth random fields (`fields`).

    Args:
        seed: Chooses the patient.
        shape: Voxels along (z, y, x). The field of view is centred just behind the pancreas.
        spacing: Voxel size in mm along (z, y, x), at most `COARSEST`.

    Returns:
        The phantom.

    Raises:
        InputError: If seed, shape or spacing cannot be used, or the field of view is too small.
    """
    grid = phantom_grid(shape, spacing)
    build, wall, twigs, hollow, solid, gland, blood, lesion, noise = (
        np.random.default_rng(child) for child in seed_sequence(seed).spawn(9)
    )
    canvas = Canvas(grid, build)
    cavity = draw_body(canvas, wall)
    # From the back to the front, as it were: what is painted later displaces what was there.
    draw_mesentery(canvas, twigs)
    draw_bowel(canvas, hollow, cavity)
    draw_organs(canvas, solid, cavity)
    pancreas = draw_pancreas(canvas, gland)
    vessels = draw_vessels(canvas, blood)
    drawn = draw_tumour(canvas, lesion, pancreas, vessels)
    # At least the most tumour-like voxel, where voxels are so coarse that none is filled by half.
    tumour = (drawn.fuzzy >= min(0.5, float(drawn.fuzzy.max()))).astype(np.uint8)
    return Phantom(
        ct=_scan(canvas, noise),
        tumour=tumour,
        fuzzy=drawn.fuzzy,
        doubtful=drawn.doubtful,
        pancreas=((pancreas.mask | tumour) & (vessels == 0)).astype(np.uint8),
        vessels=vessels,
        grid=grid,
    )


def phantom_grid(shape: Sequence[int], spacing: Sequence[float]) -> Grid:
    """Check a phantom's shape and spacing and give its grid.

    Args:
        shape: Voxels along (z, y, x).
        spacing: Voxel size in mm along (z, y, x), at most `COARSEST`.

    Returns:
        The grid, whose middle lies just behind the middle of the pancreas.

    Raises:
        InputError: If shape or spacing cannot be used, or the field of view is too small.
    """
    if len(shape) != 3 or min(shape) < 8:
        raise InputError(f"a phantom has three axes (z, y, x) of at least 8 voxels; got shape {tuple(shape)}")
    if len(spacing) != 3 or not all(0 < step <= COARSEST for step in spacing):
        raise InputError(f"a phantom's voxels measure up to {COARSEST:g} mm along z, y and x; got {tuple(spacing)}")
    if min(size * step for size, step in zip(shape, spacing, strict=True)) < _SMALLEST_VIEW:
        extent = " x ".join(f"{size * step:.0f}" for size, step in zip(shape, spacing, strict=True))
        raise InputError(
            f"the phantom's field of view is {extent} mm (z, y, x): too small to hold a tumour of the pancreas; give a "
            f"larger shape or spacing, at least {_SMALLEST_VIEW:g} mm along each axis"
        )
    first = [at - (size - 1) / 2 * step for at, size, step in zip(_MIDDLE, shape, spacing, strict=True)]
    plain = Grid.plain(shape, spacing=spacing)
    return Grid(shape=plain.shape, spacing=plain.spacing, origin=tuple(first[::-1]), direction=plain.direction)


def _scan(canvas: Canvas, rng: np.random.Generator) -> NDArray[np.int16]:
    """Blur as a scanner does, add its noise, and store whole HU."""
    blur = [0.45 * max(1.0, 1.2 / step) for step in canvas.grid.spacing]
    ct = gaussian_filter(canvas.ct, blur, mode="nearest")
    grain = gaussian_filter(rng.standard_normal(ct.shape, dtype=np.float32), (0.3, 0.7, 0.7))
    ct += grain * np.float32(rng.uniform(9, 15) / grain.std())
    scan: NDArray[np.int16] = np.clip(np.rint(ct), -1024, 3071).astype(np.int16)
    return scan
