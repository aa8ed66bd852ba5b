"""How often each vote pattern occurs near what the raters of a case drew: what a model of raters sees of the case."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt

from twintrack.errors import InputError
from twintrack.images import Grid
from twintrack.raters.masks import as_votes
from twintrack.raters.patterns import MOST_RATERS, VotePatterns, vote_patterns
from twintrack.raters.response import vote_count

MARGIN_MM = 5.0
"""How far around what the raters drew background is counted, unless another margin is asked for."""


@dataclass(frozen=True, eq=False, kw_only=True)
class CaseVotes:
    """How often each vote pattern occurs near what the raters of one case drew.

    Attributes:
        raters: Names of the K raters present, sorted.
        labels: Array of shape (P, K), bool: whether rater k labels the voxels of pattern p.
        voxels: Array of shape (P,), int64, positive: number of voxels with each pattern; empty where nothing is drawn.
        margin_mm: How far around the union of the raters voxels were counted.
    """

    raters: tuple[str, ...]
    labels: NDArray[np.bool_]
    voxels: NDArray[np.int64]
    margin_mm: float


def count_votes(
    masks: Mapping[str, NDArray[Any]], *, spacing: Sequence[float], margin_mm: float = MARGIN_MM
) -> CaseVotes:
    """Count the vote patterns near what the raters of one case drew.

    Args:
        masks: Binary mask (bool, or uint8 with values 0 and 1) of each rater present, by name, all of one shape,
            (z, y, x) or (y, x); at most 16.
        spacing: Voxel size in mm along each array axis.
        margin_mm: Voxels no farther than this from one that any rater labels are counted.

    Returns:
        The patterns that occur and their numbers of voxels: all of the case that `effects_from_votes` needs.

    Raises:
        InputError: If the masks are not binary, differ in shape or are too many, the spacing does not fit them, or the
            margin is negative or not finite.
    """
    near = Near.of(masks, spacing=spacing, margin_mm=margin_mm)
    labels, voxels, _ = near.counted()
    return CaseVotes(raters=near.raters, labels=labels, voxels=voxels, margin_mm=margin_mm)


@dataclass(frozen=True, eq=False)
class Near:
    """The votes near what the raters of a case drew.

    Attributes:
        raters: The raters' names, sorted.
        shape: Shape of the masks.
        box: The part of the arrays that was looked at.
        inside: Which voxels of the box are no farther than the margin from the union, bool, of the box's shape.
        patterns: The vote patterns of the box.
    """

    raters: tuple[str, ...]
    shape: tuple[int, ...]
    box: tuple[slice, ...]
    inside: NDArray[np.bool_]
    patterns: VotePatterns

    @classmethod
    def of(cls, masks: Mapping[str, NDArray[Any]], *, spacing: Sequence[float], margin_mm: float) -> Near:
        """Look at the masks of one case; arguments and errors are those of `count_votes`."""
        raters = tuple(sorted(masks))
        votes = as_votes([masks[name] for name in raters])
        if len(votes) > MOST_RATERS:
            raise InputError(f"rater effects take at most {MOST_RATERS} raters in one case; got {len(votes)}")
        if not (np.isfinite(margin_mm) and margin_mm >= 0):
            raise InputError(f"the margin must be a finite number of mm, at least 0; got {margin_mm}")
        size = np.array(Grid.plain(votes[0].shape, spacing=spacing).spacing)
        union = vote_count(votes) > 0
        box = _box(union, np.floor(margin_mm / size + 1e-6))
        inside = distance_transform_edt(~union[box], sampling=size) <= margin_mm * (1 + 1e-6)
        # Pitfall: without any labelled voxel the transform measures the distance to nothing in particular.
        return cls(raters, union.shape, box, inside & union.any(), vote_patterns([vote[box] for vote in votes]))

    def counted(self) -> tuple[NDArray[np.bool_], NDArray[np.int64], NDArray[np.intp]]:
        """Give labels (P, K) and numbers of voxels (P,) of the patterns that occur inside, and their codes (P,)."""
        voxels = self.patterns.voxels.copy()
        voxels[0] = np.count_nonzero(self.inside) - voxels[1:].sum()
        occurring = np.flatnonzero(voxels)
        labels = (occurring[:, None] >> np.arange(len(self.raters))) & 1 == 1
        return labels, voxels[occurring], occurring


def _box(union: NDArray[np.bool_], reach: NDArray[np.float64]) -> tuple[slice, ...]:
    """Give the bounding box of a mask grown by so many voxels on each side; one voxel where the mask is empty."""
    box = []
    for axis, (size, more) in enumerate(zip(union.shape, reach, strict=True)):
        occupied = np.flatnonzero(union.any(axis=tuple(other for other in range(union.ndim) if other != axis)))
        first, last = (occupied[0], occupied[-1]) if occupied.size else (0, 0)
        grown = min(int(more), size) if occupied.size else 0
        box.append(slice(max(int(first) - grown, 0), min(int(last) + grown + 1, size)))
    return tuple(box)
