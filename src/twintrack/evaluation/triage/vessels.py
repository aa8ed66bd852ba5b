"""What triage says of a case's vessels: how likely contact exceeds the cut-offs, and what the raters' masks do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from twintrack.calibration.outlines import RaterField, case_seed, each_mask
from twintrack.cohort import CaseData
from twintrack.evaluation.pdacvi.exceedance import CUTOFFS, VesselContact, shares_above
from twintrack.evaluation.pdacvi.protocol import VESSEL_NAMES
from twintrack.evaluation.scores.arrays import bounding_box

Way: TypeAlias = Literal["nested", "drawn"]
"""How probabilities are made of a map: see `twintrack.evaluation.pdacvi.exceedance`."""


@dataclass(frozen=True)
class Vessels:
    """How vessels are to be looked at.

    Attributes:
        names: Name by label.
        field: By which masks are drawn; None: the nested way.
        n_masks: How many masks are drawn.
        seed: By which they are drawn; each case gets its own.
    """

    names: Mapping[int, str]
    field: RaterField | None = None
    n_masks: int = 100
    seed: int = 0

    @property
    def way(self) -> Way:
        """The way."""
        return "nested" if self.field is None else "drawn"

    def contact(self, data: CaseData) -> VesselContact | None:
        """Prepare the vessels of a case; None where it has none."""
        return None if data.vessels is None else VesselContact(data.vessels, grid=data.grid, names=self.names)

    def probabilities(self, contact: VesselContact, values: NDArray[np.float32], data: CaseData) -> NDArray[np.float64]:
        """Give the probability of exceeding each cut-off, (V, cut-offs)."""
        if self.field is None:
            return contact.nested(values)
        box = bounding_box([values])
        seed = case_seed(self.seed, data.id)
        masks = each_mask(values, spacing=data.grid.spacing, field=self.field, n=self.n_masks, seed=seed)
        return shares_above(contact.degrees((mask if box is None else mask[box] for mask in masks), box))


def default_vessels() -> Vessels:
    """Take the names of the benchmark, and the nested way."""
    return Vessels(dict(VESSEL_NAMES))


def vessel_record(vessels: Vessels, data: CaseData, response: NDArray[np.float32], *, n_raters: int) -> Any:
    """Say what a response map says of each vessel.

    Args:
        vessels: How they are looked at.
        data: The case, with vessels where it has them.
        response: Its response map.
        n_raters: K of the levels of agreement.

    Returns:
        By name: ``probability_above`` (by cut-off in degrees, as text) and ``degrees_at_least``, the degrees of what at
        least k of K experts are expected to label (by k, as text); None for a vessel that the volume does not hold.
        None where the case has no vessels.
    """
    contact = vessels.contact(data)
    if contact is None:
        return None
    probability = vessels.probabilities(contact, response, data)
    degrees = contact.at_least(response, n_raters=n_raters)
    return {
        name: {
            "probability_above": by_cutoff(probability[v]),
            "degrees_at_least": {str(k): float(one) for k, one in enumerate(degrees[v], start=1)},
        }
        if contact.present[v]
        else None
        for v, name in enumerate(contact.names)
    }


def by_cutoff(values: NDArray[np.float64]) -> dict[str, float]:
    """Name numbers by their cut-off in degrees."""
    return {f"{cutoff:g}": float(value) for cutoff, value in zip(CUTOFFS, values, strict=True)}
