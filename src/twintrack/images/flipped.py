"""Notices probabilities whose axes run against those of the segmentation beside them.

Pitfall: TotalSegmentator turns a CT to RAS, saves the probabilities so, and turns only the segmentation back. Where
both have the same shape nothing but their content tells.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from twintrack.errors import InputError
from twintrack.images.read import read_volume


def require_unflipped(
    probability: NDArray[np.float32], path: Path, segmentation: Path, *, labels: Sequence[int]
) -> None:
    """Compare where the probability exceeds ½ with the segmentation, as it is and flipped along its axes.

    Args:
        probability: Of the structure, (z, y, x) or (y, x).
        path: Where it comes from, for messages.
        segmentation: The segmentation beside it, of the same shape.
        labels: Its labels that are the structure.

    Raises:
        InputError: If the segmentation agrees better when it is flipped.
    """
    likely = probability > 0.5  # then no other label can be the segmentation's
    labelled = np.isin(read_volume(segmentation).array, labels).reshape(likely.shape)
    agreeing = np.count_nonzero(likely & labelled)
    if agreeing == np.count_nonzero(likely):
        return
    axes = [axis for axis in range(likely.ndim) if likely.shape[axis] > 1]
    flips = [some for n in range(1, len(axes) + 1) for some in itertools.combinations(axes, n)]
    better = {some: np.count_nonzero(likely & np.flip(labelled, some)) for some in flips}
    best = max(flips, key=better.__getitem__, default=())
    if better.get(best, 0) > agreeing:
        raise InputError(
            f"{path} lies flipped against {segmentation}: they agree better when array axes {list(best)} of the "
            "segmentation run the other way, so its geometry is not that of the probabilities. Some tools save both "
            "differently unless the CT is RAS: turn the CT to RAS and predict again."
        )
