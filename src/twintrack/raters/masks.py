"""The one check that raters' masks pass before anything is computed from them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from twintrack.errors import InputError


def as_votes(masks: Sequence[NDArray[Any]] | NDArray[Any]) -> list[NDArray[np.uint8]]:
    """Check the raters' masks of one case and give them as 0/1 arrays, without copying.

    Args:
        masks: One binary mask per rater, bool or uint8 with values 0 and 1, all of one 2-D (y, x) or
            3-D (z, y, x) shape. A single 4-D array counts as a sequence along its first axis.

    Returns:
        The masks as uint8, views of what was passed.

    Raises:
        InputError: If there is no mask, or one is not binary, empty, or of another shape; the message
            counts raters from 1.
    """
    # Pitfall: iterating over a lone 3-D mask would take its slices for raters.
    if isinstance(masks, np.ndarray) and masks.ndim != 4:
        raise InputError(
            f"expected a sequence of masks, one per rater; got one array of shape {masks.shape}. "
            "Pass [mask] for one rater, or list(masks) where the first axis counts raters"
        )
    if len(masks) == 0:
        raise InputError("expected the mask of at least one rater; got none")
    votes = [_vote(np.asarray(mask), f"rater {number}") for number, mask in enumerate(masks, start=1)]
    for number, vote in enumerate(votes, start=1):
        if vote.shape != votes[0].shape:
            raise InputError(
                f"the raters' masks differ in shape: rater 1 has {votes[0].shape}, rater {number} has "
                f"{vote.shape}; all raters of a case must lie on one grid"
            )
    return votes


def _vote(mask: NDArray[Any], who: str) -> NDArray[np.uint8]:
    if mask.ndim not in (2, 3) or mask.size == 0:
        raise InputError(f"{who}: expected a 2-D or 3-D mask that holds voxels; got shape {mask.shape}")
    if mask.dtype == np.bool_:
        return mask.view(np.uint8)
    if mask.dtype != np.uint8:
        raise InputError(
            f"{who}: expected a bool or uint8 mask; got {mask.dtype}. Make the label binary first: mask == label"
        )
    if mask.max() > 1:
        raise InputError(
            f"{who}: expected a binary mask with values 0 and 1; found {mask.max()}. "
            "Make the label binary first: mask == label"
        )
    return mask
