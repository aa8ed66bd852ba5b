"""A `Segmentation`: what the members say of one CT inside its region of interest, and nothing outside it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from twintrack.images import Grid, Volume
from twintrack.segmentation.model import Box

RoiSource = Literal["coarse", "given", "whole"]
"""Where a region of interest came from: the coarse network, the user, or nowhere (the whole volume)."""


@dataclass(frozen=True, eq=False)
class Segmentation:
    """The members' probabilities of one CT. Arrays lie in the ROI's box on the CT's own grid, (z, y, x).

    Attributes:
        case_id: The case.
        grid: The CT's own grid, as it was stored.
        box: The tight box of the ROI on it.
        roi: uint8 mask within the box.
        members: float32 probabilities within the box, exactly 0 outside the ROI.
        names: The members' names.
        roi_source: Where the ROI came from.
        notes: What a reader of the result must know, in words ("the coarse network found nothing, …").
        foreground: The labels merged into the structure's probability; None where the members do not say.
    """

    case_id: str
    grid: Grid
    box: Box
    roi: NDArray[np.uint8]
    members: tuple[NDArray[np.float32], ...]
    names: tuple[str, ...]
    roi_source: RoiSource
    notes: tuple[str, ...] = ()
    foreground: tuple[str, ...] | None = None

    @property
    def box_grid(self) -> Grid:
        """The grid of the box."""
        return self.grid.crop(self.box)

    def whole(self, part: NDArray[Any]) -> Volume:
        """Paste an array that lies in the box into zeros on the CT's own grid.

        Args:
            part: Array of the box's shape.

        Returns:
            A volume on the CT's grid, of the array's type.
        """
        array = np.zeros(self.grid.shape, part.dtype)
        array[self.box] = part
        return Volume(array, self.grid, self.case_id)
