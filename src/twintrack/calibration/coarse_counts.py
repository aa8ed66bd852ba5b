"""A case's voxels by probability in some thousand rows: enough to fit a curve again to other draws of the cases."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from twintrack.calibration.curve import Curve
from twintrack.compute.levels import N_LEVELS, level_values

CoarseCounts: TypeAlias = NDArray[np.float64]
"""Weight, weight times probability and weight times target of neighbouring levels, (3, G). Those of cases add."""

_TOGETHER = 8  # levels of 2⁻¹⁰ octaves: 0.8 % of p or of 1 - p


def coarse_counts(counts: NDArray[np.int64], *, majority: bool, pin_zero: bool) -> CoarseCounts:
    """Join neighbouring levels of a case.

    Args:
        counts: Weight of the voxels by level and votes, (`N_LEVELS`, K + 1).
        majority: Whether the target is the majority of the votes, not their mean.
        pin_zero: Leave out the voxels whose probability is exactly 0.

    Returns:
        The coarse counts.
    """
    votes = np.arange(counts.shape[1])
    raters = counts.shape[1] - 1
    value = (votes > raters / 2).astype(np.float64) if majority else votes / raters
    weight = counts.sum(axis=1).astype(np.float64)
    rows = np.stack([weight, weight * level_values(), counts @ value])
    if pin_zero:
        rows[:, 0] = 0
    # Exact 0 and exact 1 stay apart.
    first = np.concatenate([[0], np.arange(1, N_LEVELS - 1, _TOGETHER), [N_LEVELS - 1]])
    return np.add.reduceat(rows, first, axis=1)


def coarse_curve(total: CoarseCounts) -> Curve:
    """Make a curve of added counts.

    Args:
        total: The sum over cases.

    Returns:
        The curve.

    Raises:
        CalibrationError: If there is no weight.
    """
    weight, probability, target = total[:, total[0] > 0]
    return Curve(probability / weight, weight, target / weight)
