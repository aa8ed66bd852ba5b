"""SPACE: whether the predicted uncertainty lies where the errors are, up to a neighbourhood of a few mm."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from twintrack.errors import InputError
from twintrack.evaluation.scores.arrays import bounding_box, checked_length, checked_spacing, unit_case
from twintrack.raters.response import vote_count

TRUNCATE = 4.0
"""Standard deviations after which the Gaussian is cut off (SciPy's default)."""


def spatially_aware_calibration_error(
    probability: NDArray[Any],
    masks: Sequence[NDArray[Any]],
    *,
    spacing: Sequence[float],
    sigma: float,
    roi: NDArray[Any] | None = None,
) -> float:
    """Give the spatially aware calibration error (SPACE) of a case.

    SPACE = mean |G_σ ∗ U − G_σ ∗ E| over voxels, with U = min(p, 1 − p) the predicted uncertainty of the label (1
    where p > 1/2), E the error of that label, and G_σ a Gaussian. Zeevi, Lieffrig, Staib, Onofrey (2025),
    Spatially-Aware Evaluation of Segmentation Uncertainty, arXiv 2506.16589, for one reference. For several raters E is
    the share of raters with the other label, so that a prediction equal to the response scores 0. The convolution
    being linear, only U − E is smoothed; it is 0 outside the box of voxels with p > 0 or a vote, which is why the
    smoothing there, grown by the reach of the kernel, is exact. At the image's edge values are mirrored.

    Args:
        probability: Predicted probability or response, float32 in [0, 1], (z, y, x) or (y, x).
        masks: K raters' binary masks, same shape.
        spacing: Voxel size in mm, in array order.
        sigma: Standard deviation of the Gaussian in mm; it is cut off after 4.
        roi: Voxels over which the mean is taken, binary, same shape. None: all, in which case the figure shrinks with
            the field of view.

    Returns:
        The error in [0, 1/2]; 0 at best.

    Raises:
        InputError: If arrays, spacing, sigma or ROI are not as described, or the ROI is empty.
    """
    p, votes = unit_case(probability, masks)
    steps = checked_spacing(spacing, axes=p.ndim)
    width = [checked_length(sigma, name="sigma") / step for step in steps]
    counted = _roi(roi, p.shape)
    voxels = p.size if counted is None else int(np.count_nonzero(counted))
    radius = [math.ceil(TRUNCATE * one) + 1 for one in width]
    box = bounding_box([p, *votes], margin=radius)
    if box is None:
        return 0.0
    share = vote_count([vote[box] for vote in votes]) / len(votes)
    # U − E is r − p where the label is 1, and p − r where it is 0.
    gap = p[box] - share
    np.negative(gap, out=gap, where=p[box] > 0.5)
    smooth = np.abs(gaussian_filter(gap, width, mode="reflect", truncate=TRUNCATE))
    return float((smooth if counted is None else smooth[counted[box] != 0]).sum()) / voxels


def _roi(roi: NDArray[Any] | None, shape: tuple[int, ...]) -> NDArray[Any] | None:
    if roi is None:
        return None
    counted = np.asarray(roi)
    if counted.shape != shape or not counted.any():
        raise InputError(f"roi: expected a mask of shape {shape} that holds voxels; got shape {counted.shape}")
    return counted
