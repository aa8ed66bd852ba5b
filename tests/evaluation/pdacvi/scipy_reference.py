"""The protocol's parts written down plainly in numpy and scipy: slow, and independent of the package."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

THRESHOLDS = np.linspace(0.1, 0.8, 6).astype(np.float32)
KERNELS = tuple(np.array(kernel) for kernel in ([[1, 1]], [[1], [1]], [[1, 0], [0, 1]], [[0, 1], [1, 0]]))
ALL_AROUND = np.ones((3, 3), dtype=int)


def float32_edges():
    """What torch.linspace(0, 1, 51) of PyTorch 2.13 gives: nine edges are one float32 step off k / 50."""
    edges = np.linspace(0, 1, 51).astype(np.float32)
    below, above = [5, 9, 10, 15, 18, 20, 23], [39, 42]
    edges[below] = np.nextafter(edges[below], np.float32(0))
    edges[above] = np.nextafter(edges[above], np.float32(1))
    return edges


def masks(raters, probability):
    """The six masks of the prediction and the K of the raters."""
    return [probability > threshold for threshold in THRESHOLDS] + [mask.astype(bool) for mask in raters]


def degrees(mask, vessel, axis, *, symmetric):
    """Largest degrees of involvement of one vessel by one mask over the slices along one axis."""
    slices = zip(np.moveaxis(mask, axis, 0), np.moveaxis(vessel, axis, 0), strict=True)
    return max((slice_degrees(*pair, symmetric=symmetric) for pair in slices), default=0.0)


def slice_degrees(tumour, vessel, *, symmetric):
    if not (tumour.any() and vessel.any()):
        return 0.0
    reach = ndimage.binary_dilation(tumour)
    edge = vessel & ~ndimage.binary_erosion(vessel, border_value=0)
    near, beyond = (reach & ~edge).astype(int), edge & ~reach
    if symmetric:
        touched = ndimage.convolve(near, ALL_AROUND, mode="constant") > 0
        contact = (edge & reach).sum() + (beyond & touched).sum()
    else:
        contact = (edge & reach).sum()
        for kernel in KERNELS:
            contact += (beyond & (ndimage.convolve(near, kernel, mode="constant") > 0)).sum()
    return contact / edge.sum() * 360


def float32_calibration_error(probability, mask):
    """The evaluator's calibration error of one rater on one region, in float32, voxel after voxel."""
    p = probability.ravel()
    both = np.maximum(np.stack([np.float32(1) - p, p]), np.float32(1e-8))
    both /= both.sum(axis=0)
    confidence = both.max(axis=0)
    correct = (both.argmax(axis=0) == mask.ravel()).astype(np.float32)
    bins = np.searchsorted(float32_edges(), confidence, side="right") - 1
    n, sums, hits = (np.zeros(51, dtype=np.float32) for _ in range(3))
    for target, values in ((n, np.float32(1)), (sums, confidence), (hits, correct)):
        np.add.at(target, bins, values)
    with np.errstate(invalid="ignore"):
        gaps = np.abs(np.nan_to_num(hits / n) - np.nan_to_num(sums / n))
        return float(np.sum(gaps * (n / n.sum())))


def calibration_error(probability, mask):
    """The exact top-label calibration error of one rater on one region."""
    p = probability.ravel().astype(np.float64)
    confidence = np.maximum(p, 1 - p)
    correct = (p > 0.5) == mask.ravel().astype(bool)
    bins = np.minimum(np.searchsorted(np.linspace(0, 1, 51), confidence, side="right") - 1, 49)
    gaps = [abs(correct[bins == b].sum() - confidence[bins == b].sum()) for b in range(50)]
    return sum(gaps) / p.size


def dice(first, second, *, epsilon=0.0):
    total = int(first.sum()) + int(second.sum())
    return 2 * int((first & second).sum()) / (total + epsilon) if total else 1.0
