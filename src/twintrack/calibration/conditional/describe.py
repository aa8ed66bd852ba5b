"""Describes the voxels of a case by what is known without any rater: the members' probabilities and where they lie.

Lengths are in mm and volumes in mm³ (mm² in 2-D), so that a description means the same on every grid; "radius" is that
of the ball (disk) of the predicted volume.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.special import logit

from twintrack.cohort import CaseData

FLOOR = 1e-4
"""Probabilities below are left as they are, and kept at least this far from 0 and 1 before a logit is taken."""

VOXEL_FEATURES = ("logit", "border", "outside", "close", "wide", "boldest", "shyest")
"""Of each voxel.

logit: of the mean probability p. border: tanh(d / 2 mm), d the signed distance to the predicted border (mm, positive
inside). outside: min(d, 0) in radii. close, wide: p averaged by a Gaussian of 2.5 mm, and of one radius. boldest,
shyest: logit of the largest and of the smallest member's probability, minus that of p.
"""

CASE_FEATURES = ("size", "excess", "disagreement")
"""Of a case.

size: log of the radius in mm. excess: log of Σp over the predicted number of voxels. disagreement: standard deviation
of the members' predicted volumes over their mean.
"""

_NEAR_BORDER = 2.0  # mm
_CLOSE = 2.5  # mm
_TRUNCATE = 3.0  # standard deviations of a Gaussian that are summed


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
    inside = None if data.roi is None else data.roi[box] != 0
    members = [member[box] if inside is None else np.where(inside, member[box], 0) for member in data.members]
    # A single slice is an image in two dimensions, whatever its thickness.
    thick = tuple(axis for axis, size in enumerate(data.grid.shape) if size > 1) or (0,)
    shape = tuple(probability[box].shape[axis] for axis in thick)
    spacing = tuple(data.grid.spacing[axis] for axis in thick)
    p = probability[box].reshape(shape).astype(np.float64)
    # Pitfall: float32 1e-4 lies below 1e-4; compared as float32, as the box was, it is described.
    where = probability[box].reshape(shape) >= FLOOR
    voxel, radius = _voxel_features(p, [member.reshape(shape) for member in members], where, spacing)
    counts = np.array([np.count_nonzero(member > 0.5) for member in members], float)
    excess = p.sum() / np.count_nonzero(_predicted(p))
    return Description(
        box=box,
        where=where.reshape(probability[box].shape),
        probability=p[where],
        voxel=voxel,
        traits=Traits(
            np.array([np.log(radius), np.log(excess), counts.std() / (counts.mean() + 1)]),
            surface=(2.0, 2 * np.pi * radius, 4 * np.pi * radius**2)[p.ndim - 1],
            voxel_volume=float(np.prod(spacing)),
            dimensions=p.ndim,
        ),
    )


def _voxel_features(
    p: NDArray[np.float64], members: Sequence[NDArray[np.float32]], where: NDArray[np.bool_], spacing: Sequence[float]
) -> tuple[NDArray[np.float32], float]:
    """Give the features of the voxels `where`, and the radius of the predicted structure in mm."""
    mask = _predicted(p)
    radius = _radius(float(np.count_nonzero(mask) * np.prod(spacing)), p.ndim)
    distance = _signed_distance(mask, spacing)[where]
    middle, each = _logit(p[where]), [_logit(member[where]) for member in members]
    features = (
        middle,
        np.tanh(distance / _NEAR_BORDER),
        np.minimum(distance, 0) / radius,
        _blurred(p, _CLOSE, spacing)[where],
        _blurred(p, radius, spacing)[where],
        np.max(each, axis=0) - middle,
        np.min(each, axis=0) - middle,
    )
    return np.stack(features, axis=1).astype(np.float32), radius


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
    return np.asarray(logit(np.clip(p.astype(np.float64), FLOOR, 1 - FLOOR)))


def _signed_distance(mask: NDArray[np.bool_], spacing: Sequence[float]) -> NDArray[np.float64]:
    """Give the distance to the nearest voxel on the other side (mm), negative outside.

    A structure that fills the box to its edge ends there: beyond, nothing was predicted.
    """
    middle = (slice(1, -1),) * mask.ndim
    inner = np.pad(mask, 1)
    inside = ndimage.distance_transform_edt(inner, sampling=spacing)
    outside = ndimage.distance_transform_edt(~inner, sampling=spacing)
    return np.asarray((inside - outside)[middle])


def _blurred(p: NDArray[np.float64], sigma: float, spacing: Sequence[float]) -> NDArray[np.float64]:
    """Average by a Gaussian of `sigma` mm; what lies beyond the box counts as 0."""
    widths = [sigma / size for size in spacing]
    return np.asarray(ndimage.gaussian_filter(p, widths, mode="constant", truncate=_TRUNCATE))
