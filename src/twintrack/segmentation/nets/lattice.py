"""Puts masks found on parts of a CT, each at its own resolution, onto one lattice over the whole field of view."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from twintrack.segmentation.model import Box


def place(
    lattice: NDArray[np.bool_], part: NDArray[np.bool_], *, shape: tuple[int, ...], covers: Box, keep: Box
) -> None:
    """Copy a mask into the lattice, each lattice point taking the value of the cell of the part it lies in.

    Args:
        lattice: Changed in place; point i of n along an axis lies at (i + ½)/n of the CT's extent.
        part: The mask; its cells divide evenly what it covers.
        shape: Shape of the CT in voxels.
        covers: The voxels of the CT that the part covers.
        keep: The voxels of the CT whose lattice points are set; all others are left alone.
    """
    targets, sources = [], []
    for n, size, m, covered, kept in zip(lattice.shape, shape, part.shape, covers, keep, strict=True):
        position = (np.arange(n) + 0.5) / n * size
        wanted = (position >= max(covered.start, kept.start)) & (position < min(covered.stop, kept.stop))
        target = np.flatnonzero(wanted)
        cell = (position[target] - covered.start) / (covered.stop - covered.start) * m
        targets.append(target)
        sources.append(np.minimum(cell.astype(int), m - 1))
    lattice[np.ix_(*targets)] = part[np.ix_(*sources)]
