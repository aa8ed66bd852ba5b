"""How likely an expert's tumour reaches further around a vessel than a cut-off: 90° and 180° decide on resection.

Two ways from a calibrated response map to that probability:

- *nested* (the default): a random expert labels the voxels whose response exceeds one threshold that is uniform in
  (0, 1). The masks of all experts are then nested, contact only grows with the mask, and the probability is the largest
  level at which the thresholded map still exceeds the cut-off. It assumes that a generous expert is generous
  everywhere: experts who differ from place to place give less extreme probabilities.
- *drawn*: the share of masks, drawn as the calibration's raters vary (`twintrack.calibration.outlines`), that exceed
  it.

Contact is that of `contact` in its symmetric definition, in axial slices, at the slice where it is largest. The
cut-offs are those of the resectability criteria: 180° (NCCN; Tempero et al. 2021, Pancreatic Adenocarcinoma, Version
2.2021, JNCCN 19(4)) and 90° (PREOPANC; Versteijne et al. 2016, Trials 17:127).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from twintrack.calibration.agreement import level_thresholds
from twintrack.errors import GeometryError, InputError
from twintrack.evaluation.curvas.inputs import as_labels, as_numbers
from twintrack.evaluation.pdacvi.contact import contact_in_box, edge_pixels
from twintrack.evaluation.pdacvi.inputs import check_vessel_names
from twintrack.evaluation.pdacvi.protocol import VESSEL_NAMES
from twintrack.evaluation.pdacvi.vascular import largest_degrees
from twintrack.evaluation.scores.arrays import bounding_box
from twintrack.images import Grid

CUTOFFS = (90.0, 180.0)
"""Degrees."""

N_LEVELS = 50
"""Thresholds of the nested way, (i − ½)/50: probabilities come in steps of 0.02."""

_AT_ONCE = 60  # masks in a code of 64 bits


class VesselContact:
    """The vessels of a case, ready to be compared with masks.

    Args:
        vessels: Labels (z, y, x), whole numbers from 0 to 255; 0 is background.
        grid: Where they lie; axial slices are those across the axis nearest to the patient's own.
        names: Name by label; every label in `vessels` must have one.

    Attributes:
        names: The names, in the order of the labels.
        present: Whether the volume holds the vessel, bool (V,).

    Raises:
        InputError: If the array is not 3-D, or holds a label without a name.
        GeometryError: If it does not have the grid's shape.
    """

    def __init__(self, vessels: NDArray[Any], *, grid: Grid, names: Mapping[int, str] = VESSEL_NAMES) -> None:
        checked = check_vessel_names(names)
        self._vessels = as_labels(as_numbers(vessels, "vessels"), "vessels")
        if self._vessels.ndim != 3:
            raise InputError(f"contact with vessels is measured in volumes; vessels has shape {self._vessels.shape}")
        if self._vessels.shape != grid.shape:
            raise GeometryError(f"vessels has shape {self._vessels.shape}, the case {grid.shape}; both must agree")
        self._axis = axial_axis(grid)
        self._labels = list(checked)
        self._edges = edge_pixels(self._vessels, self._labels)
        self.names = tuple(checked.values())
        self.present = np.asarray(self._edges.sum(axis=(0, 1)) > 0)

    def degrees(self, masks: Iterable[NDArray[Any]], box: tuple[slice, ...] | None) -> NDArray[np.float64]:
        """Give the degrees of contact of masks with each vessel, at the axial slice where they are largest.

        Args:
            masks: Binary masks of what lies in the box.
            box: Where they lie in the volume, with starts; None: nowhere, each mask is empty.

        Returns:
            Degrees (V, M); 0 for a vessel that the volume does not hold.
        """
        remaining = iter(masks)
        found = [np.zeros((len(self.names), 0))]
        while some := list(islice(remaining, _AT_ONCE)):
            if box is None:
                found.append(np.zeros((len(self.names), len(some))))
                continue
            codes = np.zeros(some[0].shape, np.uint64)
            for bit, mask in enumerate(some):
                codes |= (np.asarray(mask) != 0).astype(np.uint64) << np.uint64(bit)
            start = [part.start for part in box]
            contact = contact_in_box(self._vessels, self._labels, codes, start=start, n_masks=len(some), symmetric=True)
            found.append(largest_degrees(contact, self._edges)[self._axis])
        return np.concatenate(found, axis=1)

    def nested(
        self, values: NDArray[np.float32], *, cutoffs: Sequence[float] = CUTOFFS, n_levels: int = N_LEVELS
    ) -> NDArray[np.float64]:
        """Give the probability that a random rater's mask exceeds each cut-off, if the raters' masks are nested.

        Args:
            values: Response (or probability) in [0, 1], float32, (z, y, x).
            cutoffs: Degrees that are to be exceeded.
            n_levels: Number of thresholds.

        Returns:
            Probabilities (V, cut-offs).
        """
        return shares_above(self.degrees(*_thresholded(values, level_thresholds(n_levels))), cutoffs)

    def at_least(self, values: NDArray[np.float32], *, n_raters: int) -> NDArray[np.float64]:
        """Give the degrees of what at least k of K experts are expected to label.

        Args:
            values: Response in [0, 1], float32, (z, y, x).
            n_raters: K.

        Returns:
            Degrees (V, K), k = 1 … K.
        """
        return self.degrees(*_thresholded(values, level_thresholds(n_raters)))

    def of_raters(self, masks: Sequence[NDArray[Any]]) -> NDArray[np.float64]:
        """Give the degrees of each rater's mask, (V, K)."""
        box = bounding_box(masks)
        return self.degrees((mask if box is None else mask[box] for mask in masks), box)


def shares_above(degrees: NDArray[np.float64], cutoffs: Sequence[float] = CUTOFFS) -> NDArray[np.float64]:
    """Give the share of masks whose degrees exceed each cut-off.

    Args:
        degrees: Degrees (V, M).
        cutoffs: Degrees that are to be exceeded.

    Returns:
        Shares (V, cut-offs).
    """
    return np.stack([(degrees > cutoff).mean(axis=1) for cutoff in cutoffs], axis=1)


def brier_of_shares(forecast: NDArray[np.float64], share: NDArray[np.float64]) -> NDArray[np.float64]:
    """Give the Brier score of forecasts, mean over the raters.

    Mean over raters of (q − o)², where o is 1 for a rater who exceeds the cut-off: q² − 2 q s + s, where s is their
    share. Brier (1950), Verification of forecasts expressed in terms of probability, Monthly Weather Review 78(1).

    Args:
        forecast: Probabilities q, any shape.
        share: Share s of the raters who exceed the cut-off, same shape.

    Returns:
        Scores in [0, 1], same shape; the least that s allows is s (1 − s).
    """
    return np.asarray(forecast**2 - 2 * forecast * share + share)


def axial_axis(grid: Grid) -> int:
    """Give the array axis that runs most along the patient; the first where it is not known how the patient lies."""
    if not grid.known:
        return 0
    along = np.abs(np.reshape(grid.direction, (3, 3))[2])
    return 2 - int(along.argmax())


def _thresholded(
    values: NDArray[np.float32], thresholds: NDArray[np.float32]
) -> tuple[Iterator[NDArray[np.bool_]], tuple[slice, ...] | None]:
    box = bounding_box([values >= thresholds[0]])
    part = values if box is None else values[box]
    return (part >= level for level in thresholds), box
