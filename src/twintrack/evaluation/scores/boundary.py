"""Calibration near the raters' boundary, where tumour is ambiguous, instead of in the sure background."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt

from twintrack.errors import InputError
from twintrack.evaluation.scores.arrays import bounding_box, checked_length, checked_spacing, unit_case
from twintrack.evaluation.scores.reliability import BINS, Binning, mhr_calibration_error
from twintrack.raters.masks import as_votes
from twintrack.raters.response import vote_count

BANDS: tuple[float, ...] = (0.0, 3.0, 7.0, 15.0)
"""Default edges of the bands of distance to the boundary, in mm."""


@dataclass(frozen=True, eq=False)
class BoundaryBands:
    """Uncertainty and error by distance to the raters' boundary. Sums of several cases add.

    Attributes:
        edges: The B + 1 edges of the bands in mm; a band holds distances from its lower edge up to, not including,
            its upper one.
        count: Voxels in each band, shape (B,).
        uncertainty: Sum of the predicted uncertainty min(p, 1 − p) over them, shape (B,).
        error: Sum of the share of raters who disagree with the predicted label, shape (B,).
        distance: Sum of the distances in mm, shape (B,).
    """

    edges: tuple[float, ...]
    count: NDArray[np.int64]
    uncertainty: NDArray[np.float64]
    error: NDArray[np.float64]
    distance: NDArray[np.float64]

    def __add__(self, other: BoundaryBands) -> BoundaryBands:
        if self.edges != other.edges:
            raise InputError(f"bands of different edges cannot be added: {self.edges} and {other.edges} mm")
        return BoundaryBands(
            self.edges,
            self.count + other.count,
            self.uncertainty + other.uncertainty,
            self.error + other.error,
            self.distance + other.distance,
        )

    def calibration_error(self, *, offset: float = 1.0) -> float:
        """Give the boundary-aware expected calibration error (BA-ECE).

        Σ_b w_b |mean uncertainty_b − mean error_b| over the occupied bands, with w_b proportional to
        1 / (mean distance_b + offset) and Σ w_b = 1, so that the bands nearest to the boundary weigh most.

        Args:
            offset: Length in mm that keeps the weight finite at the boundary itself.

        Returns:
            The error in [0, 1]; NaN where no band is occupied.

        Raises:
            InputError: If the offset is not positive.
        """
        checked_length(offset, name="offset")
        occupied = self.count > 0
        if not occupied.any():
            return float("nan")
        n = self.count[occupied]
        gap = np.abs(self.uncertainty[occupied] - self.error[occupied]) / n
        return float(np.average(gap, weights=1 / (self.distance[occupied] / n + offset)))


def boundary_bands(
    probability: NDArray[Any],
    masks: Sequence[NDArray[Any]],
    *,
    spacing: Sequence[float],
    edges: Sequence[float] = BANDS,
) -> BoundaryBands:
    """Sum uncertainty and error in bands of distance to the nearest boundary that any rater drew.

    The predicted label is 1 where p > 1/2, its uncertainty U = min(p, 1 − p), the error E the share of raters with
    the other label. Zeevi, Lieffrig, Staib, Onofrey (2025), Spatially-Aware Evaluation of Segmentation Uncertainty,
    arXiv 2506.16589, define bands, U and E for one reference. For several raters the distance here is to the
    nearest boundary of any of them and E is averaged, so that a prediction equal to the response has U = E
    everywhere; banding by each rater's own boundary would select voxels by that rater's labels and charge even
    the response itself.

    Boundary voxels are those with a face neighbour of the other label, on either side, and have distance 0; the
    edge of the image is no boundary. The box searched is the raters' union grown by the last edge: every voxel outside
    it lies farther away. With a last edge of infinity every voxel counts, and the figure depends on the field of view.

    Args:
        probability: Predicted probability or response, float32 in [0, 1], (z, y, x) or (y, x).
        masks: K raters' binary masks, same shape.
        spacing: Voxel size in mm, in array order.
        edges: Increasing edges of the bands in mm, the last may be infinite.

    Returns:
        The sums; all 0 where no rater drew a boundary.

    Raises:
        InputError: If arrays, spacing or edges are not as described.
    """
    p, votes = unit_case(probability, masks)
    steps = checked_spacing(spacing, axes=p.ndim)
    limits = np.asarray(edges, float)
    if limits.ndim != 1 or limits.size < 2 or limits[0] < 0 or not (np.diff(limits) > 0).all():
        raise InputError(f"edges: expected two or more increasing distances in mm, from 0 up; got {tuple(edges)}")
    box, distance = _distance(votes, steps, float(limits[-1]))
    # Voxels beyond the last edge, and below the first, fall into the two outer compartments and are cut off.
    band = np.digitize(distance, limits).reshape(-1)
    p_box = p[box]
    share = vote_count([vote[box] for vote in votes]) / len(votes)
    error = np.where(p_box > 0.5, 1 - share, share)
    uncertainty = np.minimum(p_box, 1 - p_box)

    def by_band(values: NDArray[Any] | None = None) -> NDArray[Any]:
        weights = None if values is None else values.reshape(-1)
        return np.bincount(band, weights, limits.size + 1)[1 : limits.size]

    finite = np.where(np.isfinite(distance), distance, 0)
    return BoundaryBands(
        tuple(limits.tolist()), by_band().astype(np.int64), by_band(uncertainty), by_band(error), by_band(finite)
    )


def boundary_aware_calibration_error(
    probability: NDArray[Any],
    masks: Sequence[NDArray[Any]],
    *,
    spacing: Sequence[float],
    edges: Sequence[float] = BANDS,
    offset: float = 1.0,
) -> float:
    """Give the boundary-aware expected calibration error (BA-ECE) of a case.

    See `boundary_bands` for the bands and their source, `BoundaryBands.calibration_error` for the weights.

    Args:
        probability: Predicted probability or response, float32 in [0, 1], (z, y, x) or (y, x).
        masks: K raters' binary masks, same shape.
        spacing: Voxel size in mm, in array order.
        edges: Increasing edges of the bands in mm, the last may be infinite.
        offset: Length in mm that keeps the weight finite at the boundary itself.

    Returns:
        The error in [0, 1]; 0 where p equals the response; NaN where no rater drew a boundary.

    Raises:
        InputError: If arrays, spacing, edges or offset are not as described.
    """
    return boundary_bands(probability, masks, spacing=spacing, edges=edges).calibration_error(offset=offset)


def boundary_region_calibration_error(
    probability: NDArray[Any],
    masks: Sequence[NDArray[Any]],
    *,
    spacing: Sequence[float],
    distance: float,
    bins: int = BINS,
    binning: Binning = "width",
) -> float:
    """Give the calibration error to the response (MHR-ECE) over the voxels near the raters' boundary alone.

    `mhr_calibration_error` over the voxels within `distance` of the nearest boundary that any rater drew (boundary
    voxels as in `boundary_bands`). Restricting a calibration error to a region around the reference follows the
    CURVAS benchmark, which takes the raters' union box grown by 20 voxels; a distance in mm is independent of the grid.

    Args:
        probability: Predicted probability or response, float32 in [0, 1], (z, y, x) or (y, x).
        masks: K raters' binary masks, same shape.
        spacing: Voxel size in mm, in array order.
        distance: How far from a boundary a voxel may lie, in mm; it counts up to and including this distance.
        bins: Number of bins.
        binning: Equal width or equal mass; see `reliability`.

    Returns:
        The error in [0, 1]; NaN where no rater drew a boundary.

    Raises:
        InputError: If arrays, spacing or distance are not as described.
    """
    p, votes = unit_case(probability, masks)
    return BoundaryRegion.of(votes, spacing=spacing, distance=distance).calibration_error(p, bins=bins, binning=binning)


@dataclass(frozen=True, eq=False)
class BoundaryRegion:
    """The voxels near the raters' boundary: of one case, for any number of predictions.

    Attributes:
        box: The part of the grid that holds them.
        near: Which voxels of the box lie near, bool.
        response: Mean human response of those, float32, one row.
    """

    box: tuple[slice, ...]
    near: NDArray[np.bool_]
    response: NDArray[np.float32]

    @classmethod
    def of(cls, masks: Sequence[NDArray[Any]], *, spacing: Sequence[float], distance: float) -> BoundaryRegion:
        """Find the voxels within `distance` mm of a boundary; see `boundary_region_calibration_error`.

        Raises:
            InputError: If masks, spacing or distance are not as described there.
        """
        votes = as_votes(masks)
        steps = checked_spacing(spacing, axes=votes[0].ndim)
        box, found = _distance(votes, steps, checked_length(distance, name="distance", zero=True))
        near = found <= distance * (1 + 1e-9)  # a distance of n voxels may come out a last digit above n × spacing
        response = (vote_count([vote[box] for vote in votes])[near] / len(votes)).astype(np.float32)
        return cls(box, near, response)

    def calibration_error(
        self, probability: NDArray[np.float32], *, bins: int = BINS, binning: Binning = "width"
    ) -> float:
        """Give the calibration error of a prediction on the case's grid; NaN where no rater drew a boundary."""
        return mhr_calibration_error(probability[self.box][self.near], self.response, bins=bins, binning=binning)


def _distance(
    votes: Sequence[NDArray[np.uint8]], spacing: tuple[float, ...], reach: float
) -> tuple[tuple[slice, ...], NDArray[np.float64]]:
    # The box that holds every voxel within reach of a boundary, and the distance in mm of each voxel of the box.
    # A boundary lies in the union's box grown by one voxel, so distances inside the box need nothing outside it.
    box = tuple(slice(0, size) for size in votes[0].shape)
    if np.isfinite(reach):
        box = bounding_box(votes, margin=[int(np.ceil(reach / step)) + 1 for step in spacing]) or box
    edge = np.zeros(tuple(part.stop - part.start for part in box), np.bool_)
    for vote in votes:
        _mark_boundary(vote[box], edge)
    if not edge.any():
        return box, np.full(edge.shape, np.inf)
    return box, np.asarray(distance_transform_edt(~edge, sampling=spacing))


def _mark_boundary(mask: NDArray[np.uint8], edge: NDArray[np.bool_]) -> None:
    for axis in range(mask.ndim):
        before = (slice(None),) * axis + (slice(None, -1),)
        after = (slice(None),) * axis + (slice(1, None),)
        differ = mask[before] != mask[after]
        edge[before] |= differ
        edge[after] |= differ
