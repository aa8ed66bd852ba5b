"""The majority vote of the raters."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from twintrack.raters.response import vote_count


def majority(masks: Sequence[NDArray[Any]]) -> NDArray[np.uint8]:
    """Label the voxels that strictly more than half of the raters label.

    A tie is not a majority: with an even number of raters, exactly half of them (2 of 4) leaves the voxel
    unlabelled.

    Args:
        masks: One binary mask (bool, or uint8 with values 0 and 1) per rater, K ≥ 1, all of one shape,
            (z, y, x) or (y, x).

    Returns:
        Array of the masks' shape with values 0 and 1.

    Raises:
        InputError: If the masks are not binary or differ in shape.
    """
    # Pitfall: 2 * votes > K would wrap around in uint8 from 128 votes on; votes > floor(K / 2) says the same.
    return (vote_count(masks) > len(masks) // 2).view(np.uint8)
