"""Vote patterns: which raters label a voxel, coded in one integer per voxel.

K raters can vote in only 2^K ways, so whatever depends on a voxel's votes alone can be computed once per
pattern instead of once per voxel.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

MOST_RATERS = 16
"""A pattern of more raters does not fit the uint16 that codes it."""

_SLAB_VOXELS = 1 << 16
"""Voxels worked on at a time: a slab and its intermediates stay in the processor's cache."""


@dataclass(frozen=True, eq=False)
class VotePatterns:
    """The vote pattern at each voxel of a case, and how often each pattern occurs.

    Attributes:
        codes: Pattern per voxel, of the masks' shape: bit k (value 2^k) is set where rater k, counted from 0,
            labels the voxel. uint8 up to 8 raters, else uint16.
        voxels: Array of shape (2^K,), int64: number of voxels with each pattern.
    """

    codes: NDArray[np.unsignedinteger[Any]]
    voxels: NDArray[np.int64]

    def look_up(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        """Write at each voxel the value of its pattern.

        Args:
            values: Array of shape (2^K,): a value per pattern.

        Returns:
            Array of the codes' shape.
        """
        result = np.empty(self.codes.shape, dtype=np.float32)
        for part in _slabs(self.codes.shape):
            codes = self.codes[part]
            # Most slabs of a CT hold no label at all; filling is several times faster than looking up.
            if codes.any():
                np.take(values, codes, out=result[part], mode="clip")
            else:
                result[part] = values[0]
        return result


def vote_patterns(votes: Sequence[NDArray[np.uint8]]) -> VotePatterns:
    """Code the raters' votes at each voxel and count the patterns, in one pass over the masks.

    The only intermediate of the masks' size is the codes themselves.

    Args:
        votes: One 0/1 array per rater as `as_votes` gives them, at most `MOST_RATERS`.

    Returns:
        The patterns and their counts.
    """
    codes = np.empty(votes[0].shape, dtype=np.uint8 if len(votes) <= 8 else np.uint16)
    voxels = np.zeros(1 << len(votes), dtype=np.int64)
    for part in _slabs(codes.shape):
        slab = codes[part]
        slab[...] = votes[-1][part]
        for vote in votes[-2::-1]:
            # A shift by one bit; numpy's addition is vectorised, its shift is not.
            np.add(slab, slab, out=slab)
            np.bitwise_or(slab, vote[part], out=slab)
        if slab.any():
            voxels += np.bincount(slab.ravel(), minlength=voxels.size)
        else:
            voxels[0] += slab.size
    return VotePatterns(codes=codes, voxels=voxels)


def _slabs(shape: tuple[int, ...]) -> Iterator[slice]:
    rows = max(1, _SLAB_VOXELS // int(np.prod(shape[1:])))
    return (slice(start, start + rows) for start in range(0, shape[0], rows))
