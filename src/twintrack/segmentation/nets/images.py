"""How a CT is handed to a network: three axes with their voxel sizes, cut into slabs where it is too large."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from twintrack.errors import ModelError
from twintrack.images import Volume
from twintrack.segmentation.nets.slabs import Slab, slabs

MOST_VOXELS = 2**26
"""How many voxels (512 × 512 × 256) are predicted at once, where the network has two output channels: about 2.5 GB."""

_BETWEEN_SLICES = 999.0
"""Distance nnU-Net gives the slices of a 2-D image, so that nothing is resampled across them."""

_RESAMPLING = 8
"""Voxels of the network's beyond which cubic splines remember nothing that float32 could hold."""


@dataclass(frozen=True, eq=False)
class NetworkImage:
    """An image as a network takes it.

    Attributes:
        array: (z, y, x); a 2-D image is one slice. A view.
        spacing: Voxel size in mm, (z, y, x).
    """

    array: NDArray[Any]
    spacing: tuple[float, ...]

    @classmethod
    def of(cls, array: NDArray[Any], ct: Volume, *, dimensions: int, name: str) -> NetworkImage:
        """Prepare a part of a CT.

        Args:
            array: The part, (z, y, x) or (y, x).
            ct: The CT.
            dimensions: Of the network's patches: 2 or 3.
            name: What to call the network in messages.

        Returns:
            The image.

        Raises:
            ModelError: If the voxel size is not known, or a 3-D network is asked about a 2-D image.
        """
        if not ct.grid.known:
            raise ModelError(
                f"{ct.name}: the network {name} resamples to its own voxel size, and this image's is not known; give a "
                "format that holds it (NIfTI, MHA, NRRD, DICOM)"
            )
        if array.ndim == 3:
            return cls(array, ct.grid.spacing)
        if dimensions == 3:
            raise ModelError(f"{ct.name}: is 2-D (shape {ct.grid.shape}); the network {name} was trained on volumes")
        return cls(array[None], (_BETWEEN_SLICES, *ct.grid.spacing))

    def slabs(self, *, spacing: Sequence[float], patch: Sequence[int], channels: int, most_voxels: int) -> list[Slab]:
        """Cut the image so that memory stays bounded.

        A window of the network is centred within half a patch of each voxel, so slabs overlap by that and by what
        resampling sees. Where windows lie differs between slabs and the whole, as it does between two crops.

        Args:
            spacing: The network's voxel size in mm, (z, y, x); along an axis it does not resample, the image's own.
            patch: The network's patch in its voxels, (z, y, x).
            channels: Number of output channels.
            most_voxels: Voxels of a slab, in whichever of the two resolutions there are more, for two channels.

        Returns:
            The slabs.
        """
        finer = math.prod(own / network for own, network in zip(self.spacing, spacing, strict=True))
        most = int(most_voxels / max(1.0, finer) * 2 / max(2, channels))
        halo = [
            0 if size == 1 else math.ceil((size / 2 + _RESAMPLING) * network / own)
            for size, network, own in zip(patch, spacing, self.spacing, strict=True)
        ]
        return slabs(self.array.shape, halo=halo, most_voxels=most)
