"""What the ensemble asks of a network, whatever it is made of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from twintrack.images import Volume

Box: TypeAlias = tuple[slice, ...]
"""A box of voxels: one slice with start and stop for each array axis."""


@dataclass(frozen=True, eq=False)
class View:
    """A CT as the networks see it, and the part of it they are asked about.

    Attributes:
        case_id: The case.
        ct: The whole CT in the orientation the networks were trained with, (z, y, x), HU.
        box: The part of it that is asked about.
    """

    case_id: str
    ct: Volume
    box: Box

    @property
    def image(self) -> NDArray[Any]:
        """The voxels in the box; a view, not a copy."""
        return self.ct.array[self.box]


class FineModel(Protocol):
    """A member of the ensemble."""

    @property
    def name(self) -> str:
        """What to call it in messages and files."""

    @property
    def foreground(self) -> tuple[str, ...] | None:
        """The labels merged into the structure's probability; None where it does not say."""

    def probability(self, view: View) -> NDArray[np.float32]:
        """Predict the structure.

        Args:
            view: What to look at.

        Returns:
            float32 probability in [0, 1] of the merged foreground, of the shape of the box: a new array.
        """


class CoarseModel(Protocol):
    """The network that finds the region to look at."""

    @property
    def name(self) -> str:
        """What to call it in messages."""

    def locate(self, ct: Volume) -> NDArray[np.bool_]:
        """Find the region on the whole CT.

        Args:
            ct: The CT in the orientation the network was trained with, (z, y, x), HU.

        Returns:
            Mask of the region over the CT's whole field of view on a lattice of any resolution: voxel i of n along
            an axis covers the fraction i/n to (i+1)/n of the CT's extent along that axis.
        """
