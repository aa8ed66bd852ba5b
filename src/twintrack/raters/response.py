"""The mean human response: at each voxel, the fraction of the raters present who label it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from twintrack.errors import InputError
from twintrack.raters.masks import as_votes


def vote_count(masks: Sequence[NDArray[Any]]) -> NDArray[np.unsignedinteger[Any]]:
    """Count at each voxel the raters who label it.

    Args:
        masks: One binary mask (bool, or uint8 with values 0 and 1) per rater, K ≥ 1, all of one shape,
            (z, y, x) or (y, x).

    Returns:
        Array of the masks' shape with values 0 … K; uint8 up to K = 255, else uint16.

    Raises:
        InputError: If the masks are not binary, differ in shape, or are more than 65535.
    """
    votes = as_votes(masks)
    if len(votes) > np.iinfo(np.uint16).max:
        raise InputError(f"at most {np.iinfo(np.uint16).max} raters can be counted; got {len(votes)}")
    # Pitfall: summing more than 255 uint8 masks would wrap around to 0.
    kind: type[np.unsignedinteger[Any]] = np.uint8 if len(votes) <= np.iinfo(np.uint8).max else np.uint16
    count = votes[0].astype(kind, order="C")
    for vote in votes[1:]:
        np.add(count, vote, out=count)
    return count


def response(masks: Sequence[NDArray[Any]]) -> NDArray[np.float32]:
    """Give the mean human response (MHR) of one case.

    At each voxel ``response = votes / K``, with K the number of raters present for this case, so that cases
    with missing raters need no special treatment.

    Source: the calibration target of TwinTrack (arXiv 2604.15950).

    Args:
        masks: One binary mask (bool, or uint8 with values 0 and 1) per rater present, K ≥ 1, all of one
            shape, (z, y, x) or (y, x).

    Returns:
        Array of the masks' shape in [0, 1]: the float32 nearest to votes / K.

    Raises:
        InputError: If the masks are not binary or differ in shape.
    """
    count = vote_count(masks)
    result = np.empty(count.shape, dtype=np.float32)
    np.divide(count, np.float32(len(masks)), out=result)
    return result
