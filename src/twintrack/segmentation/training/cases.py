"""The cases networks learn from: where their voxels are, and how they are read, checked and turned to LPS."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from twintrack.errors import InputError
from twintrack.images import Grid, Volume, read_volume
from twintrack.segmentation.ct_checks import require_ct
from twintrack.segmentation.model import Box
from twintrack.segmentation.orientation import oriented

ORIENTATION = "LPS"
"""How all images are turned before networks see them, in training and afterwards."""


class Readable(Protocol):
    """Anything that gives a volume when asked: a source of a cohort, a CT on disk."""

    def read(self) -> Volume:
        """Give the volume."""


Image: TypeAlias = "Path | Volume | Readable"
"""A file, a volume in memory, or something that reads one."""


@dataclass(frozen=True, eq=False)
class TrainingCase:
    """A CT with what its raters drew.

    Attributes:
        id: The case.
        image: The CT.
        raters: Each rater's mask by the rater's name; only those that are there.
        region: Mask of the region to localise (such as the organ); None: the union of the raters.
        patient: Whose CT it is; None: a patient of its own.
    """

    id: str
    image: Image
    raters: Mapping[str, Image] = field(default_factory=dict)
    region: Image | None = None
    patient: str | None = None

    @property
    def who(self) -> str:
        """The patient, by which cases are kept together."""
        return self.patient or self.id


@dataclass(frozen=True, eq=False)
class LoadedCase:
    """A case in memory, turned to LPS; all arrays are (z, y, x), a 2-D image is one slice.

    Attributes:
        id: The case.
        ct: The CT.
        raters: Each rater's bool mask.
        region: bool mask of the region to localise.
    """

    id: str
    ct: Volume
    raters: dict[str, NDArray[np.bool_]]
    region: NDArray[np.bool_]

    @property
    def union(self) -> NDArray[np.bool_]:
        """What any rater drew."""
        union = np.zeros(self.region.shape, np.bool_)
        for mask in self.raters.values():
            union |= mask
        return union

    def box(self, margin: float | None) -> Box | None:
        """Give the box of region and raters, grown by a margin: what a fine network is trained on.

        Args:
            margin: In mm, on every side; None is the whole image, for ensembles without a coarse network.

        Returns:
            The box within the image; None where there is neither a region nor anything drawn.
        """
        if margin is None:
            return tuple(slice(0, size) for size in self.ct.grid.shape)
        wanted = self.region | self.union
        if not wanted.any():
            return None
        box = []
        for axis, (size, step) in enumerate(zip(self.ct.grid.shape, self.ct.grid.spacing, strict=True)):
            where = np.flatnonzero(wanted.any(axis=tuple(other for other in range(wanted.ndim) if other != axis)))
            grow = int(np.ceil(margin / step))
            box.append(slice(max(0, int(where[0]) - grow), min(size, int(where[-1]) + 1 + grow)))
        return tuple(box)


def load_case(case: TrainingCase) -> LoadedCase:
    """Read a case.

    Args:
        case: The case.

    Returns:
        The case in memory.

    Raises:
        InputError: If a file cannot be read, the image is no CT, a mask is not binary, or nothing is drawn.
        GeometryError: If a mask does not lie on the CT's grid.
    """
    ct = _read(case.image)
    require_ct(ct)
    masks = {name: _mask(_read(mask), ct, case.id) for name, mask in case.raters.items()}
    region = None if case.region is None else _mask(_read(case.region), ct, case.id)
    if not masks:
        raise InputError(f"case {case.id}: no rater drew it; networks learn from raters' masks (--raters)")
    turned = {name: _turned(mask, case.id).array.view(np.bool_) for name, mask in masks.items()}
    where = np.logical_or.reduce(list(turned.values()))
    if region is not None:
        where = _turned(region, case.id).array.view(np.bool_)
    return LoadedCase(case.id, _turned(ct, case.id), turned, where)


def _read(image: Image) -> Volume:
    if isinstance(image, Volume):
        return image
    return read_volume(image) if isinstance(image, Path) else image.read()


def _mask(volume: Volume, ct: Volume, case_id: str) -> Volume:
    name = f"case {case_id}: {volume.name}"
    ct.grid.require_same(volume.grid, name=f"case {case_id}: {ct.name}", other_name=volume.name)
    if not ((volume.array == 0) | (volume.array == 1)).all():
        found = ", ".join(f"{value:g}" for value in np.unique(volume.array)[:5])
        raise InputError(
            f"{name}: a mask holds 0 and 1; this one holds {found}, … Say which labels are meant (--rater-labels)"
        )
    # On the CT's own grid, also where the mask's file carries none.
    return Volume(volume.array.astype(np.uint8), ct.grid, volume.name)


def _turned(volume: Volume, case_id: str) -> Volume:
    if not volume.grid.known:
        raise InputError(
            f"case {case_id}: {volume.name} does not say how large its voxels are; train with NIfTI, MHA, NRRD or DICOM"
        )
    if len(volume.grid.shape) == 2:
        spacing = (max(volume.grid.spacing), *volume.grid.spacing)
        return Volume(volume.array[None], Grid.plain((1, *volume.grid.shape), spacing=spacing), volume.name)
    turned, _ = oriented(volume, ORIENTATION)
    return Volume(np.ascontiguousarray(turned.array), turned.grid, volume.name)
