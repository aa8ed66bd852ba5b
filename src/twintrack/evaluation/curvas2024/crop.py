"""The part of a case that the challenge scores: in-plane, the box of the CT's voxels above 0 HU."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from twintrack.errors import InputError
from twintrack.evaluation.scores.arrays import bounding_box


def in_plane_box(image: ArrayLike) -> tuple[slice, slice, slice]:
    """Give the box to which the challenge crops a case before it scores it.

    Every slice is kept; along y and x the box spans all voxels of the CT above 0, in whichever slice they lie.
    Apply it to raters, probabilities and labels alike: `array[(..., *box)]`.

    Args:
        image: The CT in HU, (z, y, x).

    Returns:
        One slice per axis.

    Raises:
        InputError: If the image is not 3-D, or holds no voxel above 0.
    """
    array = np.asarray(image)
    if array.ndim != 3 or array.dtype.kind not in "biuf":
        raise InputError(f"image must be a CT of numbers, (z, y, x); its shape is {array.shape}, of {array.dtype}")
    box = bounding_box([np.asarray((array > 0).any(axis=0))])
    if box is None:
        raise InputError("image holds no voxel above 0, so there is nothing to crop to; is it a CT in HU?")
    return slice(0, array.shape[0]), box[0], box[1]
