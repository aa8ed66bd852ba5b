"""What a calibration is fitted to: the mean human response, or one of the usual stand-ins for the truth."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from twintrack.errors import CalibrationError, CohortError
from twintrack.raters import staple

RESPONSE = "response"
"""The fraction of the raters present who label the voxel: what TwinTrack is for."""
MAJORITY = "majority"
"""1 where more than half of the raters present label the voxel."""
STAPLE = "staple"
"""1 where STAPLE's consensus exceeds one half."""


@dataclass(frozen=True)
class Target:
    """The target of a fit.

    Attributes:
        name: "response", "majority", "staple" or "rater:NAME".
    """

    name: str

    def __post_init__(self) -> None:
        if self.name not in (RESPONSE, MAJORITY, STAPLE) and not (self.rater and self.name.startswith("rater:")):
            raise CalibrationError(
                f"unknown target {self.name!r}; known are response, majority, staple and rater:NAME (as in rater:1)"
            )

    @property
    def rater(self) -> str | None:
        """The name of the one rater, for "rater:NAME"."""
        return self.name.partition(":")[2] or None

    @property
    def counted_as(self) -> str:
        """The target of the table this one is fitted from: majority needs only the counts of votes."""
        return RESPONSE if self.name == MAJORITY else self.name

    def masks(self, raters: Mapping[str, NDArray[np.uint8]], *, case_id: str) -> list[NDArray[np.uint8]]:
        """Give the masks whose votes are counted.

        Args:
            raters: All raters' masks of a case, by name.
            case_id: The case, for messages.

        Returns:
            All masks for response and majority, otherwise one.

        Raises:
            CohortError: If the one rater asked for did not draw this case.
        """
        if self.name == STAPLE:
            return [staple(list(raters.values())).mask]
        if self.rater is None:
            return list(raters.values())
        if self.rater not in raters:
            known = ", ".join(raters)
            raise CohortError(f"case {case_id}: rater {self.rater!r} did not draw it; its raters are {known}")
        return [raters[self.rater]]
