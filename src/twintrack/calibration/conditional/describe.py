"""Describes the voxels of a case by what is known without any rater: the probabilities and where they lie.

Lengths are in mm and volumes in mm³ (mm² in 2-D), so that a description means the same on every grid; "radius" is that
of the ball (disk) of the predicted volume.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import scipy
from numpy.typing import NDArray

from twintrack.cohort import CaseData

FLOOR = 1e-4
"""Probabilities below are left as they are, and kept at least this far from 0 and 1 before a logit is taken."""

VOXEL_FEATURES = ("logit", "bend", "near", "wide", "whole", "depth", "border")
"""Of each voxel.

logit: of its probability p. bend: tanh(logit / 4), by which middling probabilities may be turned otherwise than sure
ones. near: logit of p averaged by a Gaussian of 1.5 mm. wide, whole: p averaged by a Gaussian of 5 mm, and of one
radius. depth: signed distance d to the predicted border in radii, positive inside. border: tanh(d / 2 mm).
"""

CASE_FEATURES = ("size", "unsure", "shape")
"""Of a case.

size: log of the radius in mm. unsure: Σp(1 − p) / Σp. shape: log of the predicted surface over that of the ball.
"""

_BEND = 4.0  # logits
STEEPEST_BEND = 1 / _BEND
"""What the bend grows by, at most, for each unit of the logit."""

_NEAR = 1.5  # mm
_WIDE = 5.0  # mm
_BORDER = 2.0  # mm
_TRUNCATE = 3.0  # standard deviations of a Gaussian that are summed
_FACES = (1.0, np.pi / 4, 2 / 3)
"""Surface over the summed faces of voxels, on average over directions, in 1, 2 and 3 dimensions."""


@dataclass(frozen=True, eq=False)
class Traits:
    """What is known of a case as a whole.

    Attributes:
        features: The case's features, float64 (len(CASE_FEATURES),).
        surface: Surface of the ball (circumference of the disk) of the predicted volume, mm² (mm).
        voxel_volume: Volume of a voxel, mm³ (mm² of a single slice).
        dimensions: Axes along which the case's grid has more than one voxel.
    """

    features: NDArray[np.float64]
    surface: float
    voxel_volume: float
    dimensions: int


@dataclass(frozen=True, eq=False)
class Description:
    """What is known of a case's voxels without any rater.

    Attributes:
        box: Where the described voxels lie on the case's grid.
        where: Within the box, which voxels are described: inside the ROI, p ≥ `FLOOR`; n in all.
        probability: Their p, float64 (n,).
        voxel: Their features, float32 (n, len(VOXEL_FEATURES)).
        traits: What is known of the case as a whole.
    """

    box: tuple[slice, ...]
    where: NDArray[np.bool_]
    probability: NDArray[np.float64]
    voxel: NDArray[np.float32]
    traits: Traits

    def put(self, values: NDArray[np.float64], *, into: NDArray[np.float32]) -> None:
        """Give the described voxels of a map on the case's grid new values.

        Args:
            values: One for each described voxel, (n,).
            into: The map; its other voxels are left as they are.
        """
        into[self.box][self.where] = values


def describe(data: CaseData, probability: NDArray[np.float32]) -> Description | None:
    """Describe a case.

    Args:
        data: The case's voxels; raters are not looked at. A grid of unknown voxel size counts as 1 mm.
        probability: The mean of its members (`CaseData.probability`), on its grid.

    Returns:
        The description; None where no probability reaches `FLOOR`.
    """
    box = _box(probability)
    if box is None:
        return None
    # A single slice is an image in two dimensions, whatever its thickness.
    thick = tuple(axis for axis, size in enumerate(data.grid.shape) if size > 1) or (0,)
    shape = tuple(probability[box].shape[axis] for axis in thick)
    spacing = tuple(data.grid.spacing[axis] for axis in thick)
    p = probability[box].reshape(shape).astype(np.float64)
    # Pitfall: float32 1e-4 lies below 1e-4; compared as float32, as the box was, it is described.
    where = probability[box].reshape(shape) >= FLOOR
    mask = _predicted(p)
    radius = _radius(float(np.count_nonzero(mask) * np.prod(spacing)), p.ndim)
    ball = (2.0, 2 * np.pi * radius, 4 * np.pi * radius**2)[p.ndim - 1]
    return Description(
        box=box,
        where=where.reshape(probability[box].shape),
        probability=p[where],
        voxel=_voxel_features(p, mask, where, radius=radius, spacing=spacing),
        traits=Traits(
            np.array([np.log(radius), (p * (1 - p)).sum() / p.sum(), np.log(_surface(mask, spacing) / ball)]),
            surface=ball,
            voxel_volume=float(np.prod(spacing)),
            dimensions=p.ndim,
        ),
    )


def _voxel_features(
    p: NDArray[np.float64],
    mask: NDArray[np.bool_],
    where: NDArray[np.bool_],
    *,
    radius: float,
    spacing: Sequence[float],
) -> NDArray[np.float32]:
    """Give the features of the voxels `where`."""
    distance = _signed_distance(mask, spacing)[where]
    each = _logit(p)
    middle = each[where]
    features = (
        middle,
        np.tanh(middle / _BEND),
        _blurred(each, _NEAR, spacing, beyond=float(_logit(np.zeros(1))[0]))[where],
        _blurred(p, _WIDE, spacing)[where],
        _blurred(p, radius, spacing)[where],
        distance / radius,
        np.tanh(distance / _BORDER),
    )
    return np.stack(features, axis=1).astype(np.float32)


def _box(probability: NDArray[np.float32]) -> tuple[slice, ...] | None:
    """Give the smallest box of all that is described."""
    where = probability >= FLOOR
    if not where.any():
        return None
    axes = range(where.ndim)
    lines = [np.flatnonzero(where.any(axis=tuple(other for other in axes if other != axis))) for axis in axes]
    return tuple(slice(int(line[0]), int(line[-1]) + 1) for line in lines)


def _predicted(p: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Give the predicted structure; where p nowhere exceeds one half, the half-height region of its peak."""
    return p > 0.5 if (p > 0.5).any() else p >= 0.5 * p.max()


def _radius(volume: float, dimensions: int) -> float:
    """Give the radius of the ball (disk, half the length) of this volume."""
    return float({1: volume / 2, 2: np.sqrt(volume / np.pi), 3: np.cbrt(0.75 * volume / np.pi)}[dimensions])


def _logit(p: NDArray[np.floating]) -> NDArray[np.float64]:
    return np.asarray(scipy.special.logit(np.clip(p.astype(np.float64), FLOOR, 1 - FLOOR)))


def _signed_distance(mask: NDArray[np.bool_], spacing: Sequence[float]) -> NDArray[np.float64]:
    """Give the distance to the nearest voxel on the other side (mm), negative outside.

    A structure that fills the box to its edge ends there: beyond, nothing was predicted.
    """
    middle = (slice(1, -1),) * mask.ndim
    inner = np.pad(mask, 1)
    inside = scipy.ndimage.distance_transform_edt(inner, sampling=spacing)
    outside = scipy.ndimage.distance_transform_edt(~inner, sampling=spacing)
    return np.asarray((inside - outside)[middle])


def _surface(mask: NDArray[np.bool_], spacing: Sequence[float]) -> float:
    """Estimate the surface (circumference, 2) of a structure by the faces between its voxels and others."""
    inner = np.pad(mask, 1).astype(np.int8)
    voxel = float(np.prod(spacing))
    faces = sum(np.abs(np.diff(inner, axis=axis)).sum() * voxel / size for axis, size in enumerate(spacing))
    return float(faces) * _FACES[mask.ndim - 1]


def _blurred(
    values: NDArray[np.float64], sigma: float, spacing: Sequence[float], *, beyond: float = 0.0
) -> NDArray[np.float64]:
    """Average by a Gaussian of `sigma` mm; what lies beyond the box counts as `beyond`."""
    widths = [sigma / size for size in spacing]
    return np.asarray(scipy.ndimage.gaussian_filter(values, widths, mode="constant", cval=beyond, truncate=_TRUNCATE))
