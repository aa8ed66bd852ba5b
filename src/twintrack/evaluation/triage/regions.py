"""The regions of a case that an expert should look at: connected voxels on which experts would disagree."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import generate_binary_structure, label

from twintrack.errors import InputError
from twintrack.evaluation.scores.arrays import bounding_box
from twintrack.images import Grid

MOST = 20
"""Regions of a case that are told apart; of the rest the sums are kept."""


@dataclass(frozen=True)
class Region:
    """Connected uncertain voxels (by faces, edges or corners).

    Attributes:
        voxels: Number of voxels.
        volume: Volume in mm³ (area in mm² in 2-D; voxels where the voxel size is not known).
        disagreement: Expected disagreement of the experts, Σ r (1 − r), in the same unit.
        box: First and last index along each array axis, counted from 0.
        busiest_slice: Index along the first array axis where most of the disagreement is.
        centre: Centre of mass, weighted by r (1 − r), as indices along the array axes. That of a shell lies inside it.
        centre_mm: The same in the patient, (x, y, z) in mm, LPS; (x, y) in 2-D; None where the grid is not known.
    """

    voxels: int
    volume: float
    disagreement: float
    box: tuple[tuple[int, int], ...]
    busiest_slice: int
    centre: tuple[float, ...]
    centre_mm: tuple[float, ...] | None

    @property
    def first_slice(self) -> int:
        """First slice along the first array axis; in 2-D the image is one slice, 0."""
        return self.box[0][0] if len(self.box) == 3 else 0

    @property
    def last_slice(self) -> int:
        """Last slice."""
        return self.box[0][1] if len(self.box) == 3 else 0


@dataclass(frozen=True)
class Regions:
    """The regions of a case.

    Attributes:
        found: The regions with the largest disagreement, largest first.
        n_more: How many smaller ones there are.
        voxels: Voxels of all of them.
        disagreement: Expected disagreement in all of them, mm³.
        n_slices: Number of slices that hold any uncertain voxel.
    """

    found: tuple[Region, ...]
    n_more: int
    voxels: int
    disagreement: float
    n_slices: int


def require_range(low: float, high: float) -> tuple[np.float32, np.float32]:
    """Give a range of uncertain responses as float32.

    Raises:
        InputError: If it is not 0 < low < high ≤ 1.
    """
    if not 0 < low < high <= 1:
        raise InputError(f"uncertain responses lie between two numbers with 0 < low < high ≤ 1; got {low} and {high}")
    return np.float32(low), np.float32(high)


def find_regions(
    response: NDArray[np.float32], grid: Grid, *, uncertain: tuple[np.float32, np.float32], most: int = MOST
) -> Regions:
    """Find the regions of a case.

    Args:
        response: Responses in [0, 1], float32 on the grid, (z, y, x) or (y, x).
        grid: Where they lie.
        uncertain: A voxel is uncertain where low ≤ response < high.
        most: How many regions to tell apart.

    Returns:
        The regions.
    """
    low, high = uncertain
    unsure = (response >= low) & (response < high)
    around = bounding_box([unsure])
    if around is None:
        return Regions((), 0, 0, 0.0, 0)
    part, values = unsure[around], response[around].astype(np.float64)
    pieces, n = label(part, generate_binary_structure(part.ndim, part.ndim))
    where = np.nonzero(part)
    piece = pieces[where] - 1
    weight = values[where] * (1 - values[where])
    content = np.bincount(piece, weights=weight, minlength=n)
    # Equal ones stand in the order of the array, so that the same map gives the same list.
    order = np.argsort(-content, kind="stable")[:most]
    places = np.stack(where) + np.array([one.start for one in around])[:, None]
    slices = np.unique(places[0]).size if part.ndim == 3 else 1
    found = tuple(_region(places[:, piece == k], weight[piece == k], grid) for k in order)
    return Regions(found, n - len(found), piece.size, float(content.sum() * grid.voxel_volume), slices)


def _region(place: NDArray[np.int64], weight: NDArray[np.float64], grid: Grid) -> Region:
    """Describe a region by the indices of its voxels, (axes, n), and their r (1 − r)."""
    centre = place @ weight / weight.sum()
    ends = zip(place.min(axis=1).tolist(), place.max(axis=1).tolist(), strict=True)
    return Region(
        voxels=weight.size,
        volume=weight.size * grid.voxel_volume,
        disagreement=float(weight.sum()) * grid.voxel_volume,
        box=tuple(ends),
        busiest_slice=int(np.bincount(place[0], weights=weight).argmax()) if len(place) == 3 else 0,
        centre=tuple(centre.tolist()),
        centre_mm=_position(grid, centre) if grid.known else None,
    )


def _position(grid: Grid, index: NDArray[np.float64]) -> tuple[float, ...]:
    """Give the physical position (x, y, z) of an index along the array axes, which need not be whole."""
    n = len(grid.shape)
    steps = (index * np.array(grid.spacing))[::-1]
    return tuple((np.array(grid.origin) + np.reshape(grid.direction, (n, n)) @ steps).tolist())
