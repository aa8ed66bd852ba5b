"""From what the coarse network found to the region of interest the members look at."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from twintrack.errors import InputError
from twintrack.images import Grid, Volume
from twintrack.segmentation.bundle import RoiSettings
from twintrack.segmentation.model import Box


@dataclass(frozen=True, eq=False)
class Roi:
    """A region of interest on a grid.

    Attributes:
        mask: uint8 mask within the box.
        box: The tight box: no face of it is without a voxel of the mask.
    """

    mask: NDArray[np.uint8]
    box: Box

    @property
    def voxels(self) -> int:
        """Number of voxels in the ROI."""
        return int(np.count_nonzero(self.mask))


def region_of_interest(lattice: NDArray[np.bool_], grid: Grid, settings: RoiSettings) -> Roi | None:
    """Make the region of interest of what the coarse network found.

    The plausible components (26-connected) are kept, dilated by the margin in mm, and brought to the CT's grid: a CT
    voxel is inside if it overlaps a lattice voxel of the dilated mask. All of this is done on the coarse lattice, where
    it is cheap, and errs to the larger side: a lattice voxel belongs to the dilated mask if any point of it is nearer
    than the margin to any point of the mask, so the ROI holds the exact dilation and reaches beyond it by at most one
    lattice voxel and one CT voxel.

    Args:
        lattice: Mask of the region over the CT's field of view, on a lattice of any resolution
            (`twintrack.segmentation.model.CoarseModel`), in the stored orientation.
        grid: The CT's grid.
        settings: What is plausible, and the margin.

    Returns:
        The ROI on the CT's grid, or None where no component is plausible.
    """
    spacing = tuple(size * step / n for size, step, n in zip(grid.shape, grid.spacing, lattice.shape, strict=True))
    kept = plausible(lattice, spacing, settings)
    if not kept.any():
        return None
    return _on_grid(dilated(kept, spacing, settings.margin), grid.shape)


def plausible(lattice: NDArray[np.bool_], spacing: tuple[float, ...], settings: RoiSettings) -> NDArray[np.bool_]:
    """Keep the components that are large enough.

    Args:
        lattice: The mask.
        spacing: Size of its voxels in mm.
        settings: The smallest volume, and the fraction of the largest component's volume.

    Returns:
        The mask of the components kept.
    """
    labels, n = ndimage.label(lattice, structure=np.ones((3,) * lattice.ndim))
    if n == 0:
        return np.zeros(lattice.shape, np.bool_)
    volumes = np.bincount(labels.ravel(), minlength=n + 1) * float(np.prod(spacing))
    volumes[0] = 0
    # Rounding of the lattice spacing must not decide on a component of exactly the limit.
    least = max(settings.smallest, settings.keep * float(volumes.max())) * (1 - 1e-9)
    keep: NDArray[np.bool_] = (volumes >= least) & (volumes > 0)
    mask: NDArray[np.bool_] = keep[labels]
    return mask


def dilated(mask: NDArray[np.bool_], spacing: tuple[float, ...], margin: float) -> NDArray[np.bool_]:
    """Dilate a mask by a margin in mm, to the larger side.

    Args:
        mask: The mask, with at least one voxel.
        spacing: Size of its voxels in mm.
        margin: How far, in mm.

    Returns:
        Mask of the voxels with a point nearer than the margin to a point of the mask, and the mask itself.
    """
    if margin == 0:
        return mask
    # The gap between two boxes k voxels apart is k − 1 voxels. Distances are between centres; grown by one voxel in
    # every direction first, the mask lies as near to each centre as the boxes lie to each other.
    grown = ndimage.binary_dilation(mask, np.ones((3,) * mask.ndim))
    near: NDArray[np.bool_] = ndimage.distance_transform_edt(~grown, sampling=spacing) < margin
    return near


def given_region(roi: Volume, grid: Grid, *, name: str) -> Roi:
    """Use a region of interest that the user gives.

    Args:
        roi: Mask of 0 and 1 on the CT's grid.
        grid: The CT's grid.
        name: What to call the CT in messages.

    Returns:
        The ROI, in its tight box.

    Raises:
        GeometryError: If it does not lie on the CT's grid.
        InputError: If it is not a mask, or empty.
    """
    grid.require_same(roi.grid, name=name, other_name=roi.name)
    if not ((roi.array == 0) | (roi.array == 1)).all():
        values = np.unique(roi.array)
        shown = ", ".join(f"{value:g}" for value in values[:5])
        raise InputError(f"{roi.name}: an ROI is a mask of 0 and 1; this one holds {shown}{', …' * (values.size > 5)}")
    mask = roi.array.astype(np.uint8, copy=False)
    box = _tight_box([_profile(mask, axis) for axis in range(mask.ndim)])
    if box is None:
        raise InputError(f"{roi.name}: the ROI is empty; give one that holds the structure, or none")
    return Roi(np.ascontiguousarray(mask[box]), box)


def whole_image(grid: Grid) -> Roi:
    """Use the whole image as region of interest."""
    return Roi(np.ones(grid.shape, np.uint8), tuple(slice(0, size) for size in grid.shape))


def recall(roi: Roi | None, truth: NDArray[Any]) -> float | None:
    """Say how much of a structure lies inside a region of interest.

    Args:
        roi: The ROI; None stands for the whole image.
        truth: Mask of the structure on the whole grid.

    Returns:
        Fraction of the structure's voxels, or None where it has none.
    """
    total = int(np.count_nonzero(truth))
    if total == 0:
        return None
    if roi is None:
        return 1.0
    return float(np.count_nonzero((truth[roi.box] != 0) & (roi.mask != 0)) / total)


def _on_grid(lattice: NDArray[np.bool_], shape: tuple[int, ...]) -> Roi:
    """Bring a lattice mask to the grid, in its tight box: a voxel is inside if it overlaps one of the lattice."""
    profiles = [_profile(lattice, axis) for axis in range(lattice.ndim)]
    upsampled = [_any_over(profile, 0, range(size), size) for profile, size in zip(profiles, shape, strict=True)]
    box = _tight_box(upsampled)
    assert box is not None
    mask = lattice
    for axis, (part, size) in enumerate(zip(box, shape, strict=True)):
        mask = _any_over(mask, axis, range(part.start, part.stop), size)
    return Roi(mask.view(np.uint8), box)


def _any_over(mask: NDArray[np.bool_], axis: int, wanted: range, size: int) -> NDArray[np.bool_]:
    """Give, for each wanted voxel of `size` along an axis, whether the mask is set where the voxel overlaps it.

    Voxel j of N covers the lattice voxels from ⌊j·n/N⌋ up to, without it, ⌈(j+1)·n/N⌉.
    """
    n = mask.shape[axis]
    voxels = np.arange(wanted.start, wanted.stop)
    first, last = voxels * n // size, -((voxels + 1) * -n // size) - 1
    result: NDArray[np.bool_] = np.take(mask, first, axis=axis)
    for step in range(1, int((last - first).max()) + 1):
        result |= np.take(mask, np.minimum(first + step, last), axis=axis)
    return np.ascontiguousarray(result)


def _tight_box(profiles: list[NDArray[np.bool_]]) -> Box | None:
    ranges = [np.flatnonzero(profile) for profile in profiles]
    if any(not found.size for found in ranges):
        return None
    return tuple(slice(int(found[0]), int(found[-1]) + 1) for found in ranges)


def _profile(mask: NDArray[Any], axis: int) -> NDArray[np.bool_]:
    """Say for each position along an axis whether the mask is set anywhere there."""
    return np.asarray(mask.any(axis=tuple(other for other in range(mask.ndim) if other != axis)))
