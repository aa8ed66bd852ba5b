"""Cuts an image that is too large to be predicted at once into overlapping slabs."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

from twintrack.segmentation.model import Box


@dataclass(frozen=True)
class Slab:
    """A part of an image that is predicted at once.

    Attributes:
        read: The voxels the network sees.
        keep: The voxels whose prediction is kept; over all slabs they cover each voxel once.
    """

    read: Box
    keep: Box

    @property
    def kept(self) -> Box:
        """The voxels kept, counted from the first that is read."""
        return tuple(
            slice(keep.start - read.start, keep.stop - read.start)
            for read, keep in zip(self.read, self.keep, strict=True)
        )


def slabs(shape: Sequence[int], *, halo: Sequence[int], most_voxels: int) -> list[Slab]:
    """Cut along the axis where least is seen twice.

    Args:
        shape: Shape of the image.
        halo: How far beyond what is kept the network must see, in voxels along each axis.
        most_voxels: How many voxels a slab may have. Where an axis has no room for its halo within it, slabs keep as
            much as one halo, and are larger.

    Returns:
        The slabs in order; a single one if the image is small enough.
    """
    everything = whole(shape)
    if math.prod(shape) <= most_voxels:
        return [everything]
    cores = [_core(axis, shape, halo, most_voxels) for axis in range(len(shape))]
    axis = max(range(len(shape)), key=lambda i: (cores[i] / (cores[i] + 2 * halo[i]), shape[i]))
    # Of equal thickness, so that the last one is no sliver.
    n = math.ceil(shape[axis] / cores[axis])
    borders = [round(i * shape[axis] / n) for i in range(n + 1)]
    cut = [
        Slab(
            _along(everything.read, axis, max(0, start - halo[axis]), min(shape[axis], stop + halo[axis])),
            _along(everything.read, axis, start, stop),
        )
        for start, stop in itertools.pairwise(borders)
    ]
    # Where halos reach through the whole image, cutting would only repeat the work.
    return [everything] if any(slab.read == everything.read for slab in cut) else cut


def whole(shape: Sequence[int]) -> Slab:
    """Give an image as a single slab.

    Args:
        shape: Shape of the image.

    Returns:
        The slab.
    """
    box = tuple(slice(0, size) for size in shape)
    return Slab(box, box)


def _core(axis: int, shape: Sequence[int], halo: Sequence[int], most_voxels: int) -> int:
    thickness = most_voxels // math.prod(size for i, size in enumerate(shape) if i != axis)
    return min(shape[axis], max(thickness - 2 * halo[axis], halo[axis], 1))


def _along(box: Box, axis: int, start: int, stop: int) -> Box:
    return (*box[:axis], slice(start, stop), *box[axis + 1 :])
