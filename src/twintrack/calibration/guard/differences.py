"""In what a case differs from the record of the fitted ones: members, ROI, voxel size; and the warning of it."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import numpy as np

from twintrack.calibration.provenance import Provenance
from twintrack.errors import TwinTrackWarning
from twintrack.images.grid import Grid

SPACING_SLACK = 0.25
"""A voxel size is outside the range of the fitted cases if it differs by more than this fraction. Scanners differ more
than few cases show: at 0.1, one in fourteen further nodules lay outside the range of eight, at 0.25 one in 250; a voxel
size that is wrong by a factor of two lay outside either way."""


def differences(fitted: Provenance, grid: Grid, *, n_members: int, has_roi: bool) -> list[str]:
    """Compare a case with the record of the fitted ones.

    Args:
        fitted: The record.
        grid: Where the case's voxels lie.
        n_members: Number of its members.
        has_roi: Whether it has an ROI.

    Returns:
        In what it differs, in words.
    """
    unlike = []
    if n_members not in fitted.members:
        unlike.append(f"it has {n_members} members, the fitted cases {list(fitted.members)}")
    if fitted.roi and not has_roi:
        unlike.append("it has no ROI, the fitted cases had one")
    sizes = grid.spacing
    if grid.known and len(fitted.spacing_range) == len(sizes):
        low, high = (np.array(bound) for bound in zip(*fitted.spacing_range, strict=True))
        if (sizes < low * (1 - SPACING_SLACK)).any() or (sizes > high * (1 + SPACING_SLACK)).any():
            unlike.append(f"its voxel size {sizes} mm is outside the fitted range {fitted.spacing_range}")
    return unlike


def warn_of(case_id: str, reasons: Sequence[str], *, stacklevel: int) -> None:
    """Warn of a case that is unlike the fitted ones.

    Args:
        case_id: The case.
        reasons: As from `Calibration.flags`; without one nothing is said.
        stacklevel: At whom the warning points, as for `warnings.warn`.

    Warns:
        TwinTrackWarning: If there is a reason.
    """
    if reasons:
        message = f"case {case_id} is unlike the cases of the calibration: {'; '.join(reasons)}"
        warnings.warn(message, TwinTrackWarning, stacklevel=stacklevel)
