"""Three sums over a response map: all that is needed of it to say how raters' volumes are distributed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from typing_extensions import Self

from twintrack.compute.blocks import blocks, flat
from twintrack.errors import InputError


@dataclass(frozen=True)
class VolumeSummary:
    """What is kept of a response map to say how volumes drawn by raters are distributed.

    All in voxels, and 0 only where every response is 0 (`disagreement` also where every response is 0 or 1).

    Attributes:
        expected: E = Σ r, the expected volume of one rater.
        majority: M = Σ r² (3 − 2r), the expected volume of what at least two of three raters draw.
        disagreement: D = Σ r (1 − r), half the number of voxels on which two raters are expected to disagree.
    """

    expected: float
    majority: float
    disagreement: float

    @classmethod
    def of(cls, response: NDArray[Any], *, voxels: NDArray[Any] | None = None) -> Self:
        """Summarise a response map.

        Args:
            response: Responses in [0, 1], any shape; all that are not 0 must be among them.
            voxels: How many voxels have each response, same shape; None: one each. With it a map may be summarised
                from a histogram.

        Returns:
            The summary.

        Raises:
            InputError: If a response is not in [0, 1], or the shapes differ.

        Examples:
            >>> import numpy as np
            >>> VolumeSummary.of(np.array([[0.0, 0.5], [0.5, 1.0]]))
            VolumeSummary(expected=2.0, majority=2.0, disagreement=0.5)
        """
        if voxels is not None and voxels.shape != response.shape:
            raise InputError(f"voxels: expected the shape of the responses, {response.shape}; got {voxels.shape}")
        sums = VolumeSums()
        sums.add(flat(response), voxels=None if voxels is None else flat(voxels))
        return cls(*sums.totals.tolist())


class VolumeSums:
    """The sums over a response map that comes part by part.

    The last digits depend on the order of the voxels, not on how they are parted, if all parts but the last hold whole
    blocks (`twintrack.compute.blocks.BLOCK`).

    Attributes:
        totals: float64 (3,): what `VolumeSummary` keeps.
    """

    def __init__(self) -> None:
        self.totals = np.zeros(3)

    def add(self, response: NDArray[Any], *, voxels: NDArray[Any] | None = None) -> None:
        """Add some voxels.

        Args:
            response: Their responses, flat.
            voxels: How many voxels have each response, flat; None: one each.

        Raises:
            InputError: If a response is not in [0, 1].
        """
        for part in blocks(response.size):
            if not response[part].any():  # most blocks of a map; NaN counts as something
                continue
            r = np.asarray(response[part], np.float64)
            if not (r.min() >= 0 and r.max() <= 1):  # also where one is NaN
                raise InputError(f"expected responses between 0 and 1; found {r.min()} to {r.max()}")
            parts = np.stack([r, r * r * (3 - 2 * r), r * (1 - r)])
            self.totals += parts.sum(axis=1) if voxels is None else parts @ voxels[part]
