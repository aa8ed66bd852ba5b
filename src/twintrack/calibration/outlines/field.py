"""A `RaterField`: how what a rater decides at one voxel goes together with what the same rater decides elsewhere."""

from __future__ import annotations

import math

from pydantic import BaseModel, ConfigDict, Field


class RaterField(BaseModel):
    """How raters' thresholds hang together in space.

    A rater labels the voxels whose response exceeds that rater's threshold there. In normal scores the threshold is
    √ρ g + √(1 − ρ) h(x): g is the same all over the case (a generous or a strict rater), h changes smoothly from
    place to place. Two voxels at distance d have thresholds with correlation ρ + (1 − ρ) exp(−d² / (2 ℓ²)).

    ρ = 1 is one threshold per rater, so that the masks of all raters are nested. ρ = 0 with a length far below
    the voxel size is a threshold of its own for each voxel.

    The defaults lie among the fields that do equally well on lung nodules with four radiologists each
    (docs/evidence/plausible_masks.md); another structure deserves a fit of its own.

    Attributes:
        correlation: ρ, the share of the thresholds' variance that lies between raters, in [0, 1].
        length_mm: ℓ, the correlation length of the rest in mm, above 0.

    Examples:
        >>> RaterField(correlation=0.25, length_mm=8).model_dump_json()
        '{"correlation":0.25,"length_mm":8.0}'
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    correlation: float = Field(default=0.5, ge=0, le=1)
    length_mm: float = Field(default=8.0, gt=0)

    @property
    def slope(self) -> float:
        """Root-mean-square slope of the thresholds along any direction, normal scores per mm: √(1 − ρ) / ℓ.

        The smaller, the smoother are the outlines; 0 for one threshold per rater.
        """
        return math.sqrt(1 - self.correlation) / self.length_mm
