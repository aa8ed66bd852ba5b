"""The neighbourhood of the tumour as raters and members see it: where it is, and how tumour-like it looks."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import find_objects
from scipy.special import logit

from twintrack.synthetic.phantom import Phantom

Box: TypeAlias = tuple[slice, slice, slice]
"""A part of an array, (z, y, x)."""

_NOT_TUMOUR = 1e-3  # no one takes a voxel that looks less tumour-like for tumour


def box_of(mask: NDArray[np.bool_]) -> Box:
    """Find where a mask lies.

    Args:
        mask: A mask with at least one voxel, (z, y, x).

    Returns:
        The smallest box that holds it, as slices.
    """
    z, y, x = find_objects(mask.view(np.uint8))[0]
    return z, y, x


def tumour_box(phantom: Phantom) -> Box:
    """Find where anything looks like tumour to anyone.

    Args:
        phantom: The phantom.

    Returns:
        The smallest box, as slices of its arrays.
    """
    return box_of(phantom.fuzzy > _NOT_TUMOUR)


def tumour_logit(phantom: Phantom, box: Box) -> NDArray[np.float32]:
    """Give the logit of how tumour-like voxels look.

    Args:
        phantom: The phantom.
        box: Where.

    Returns:
        float32 in [−16, 16], within the box.
    """
    belief: NDArray[np.float32] = logit(np.clip(phantom.fuzzy[box], np.float32(1e-7), np.float32(1 - 1e-7)))
    return belief


def lattice(phantom: Phantom, box: Box) -> list[NDArray[np.float64]]:
    """Give the positions in mm along z, y and x of a box's voxels.

    Args:
        phantom: The phantom.
        box: Where.

    Returns:
        Three arrays.
    """
    grid = phantom.grid
    parts = zip(grid.origin[::-1], grid.shape, grid.spacing, box, strict=True)
    return [first + np.arange(size, dtype=np.float64)[part] * step for first, size, step, part in parts]
