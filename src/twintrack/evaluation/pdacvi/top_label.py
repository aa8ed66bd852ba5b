"""Top-label expected calibration error of the prediction against each rater, around the raters' union.

With p the tumour probability, a voxel's top label is tumour where p > 1 - p and background elsewhere; its
confidence is the larger of the two; the label is correct against a rater who gives the voxel the same one.
Over B equal bins of confidence on [0, 1],

    ECE = Σ_b n_b / N · |accuracy_b − mean confidence_b|

(Guo, Pleiss, Sun and Weinberger, "On calibration of modern neural networks", ICML 2017, equation 3).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from twintrack.compute.jit import njit
from twintrack.evaluation.curvas.bins import Bins, bin_of
from twintrack.evaluation.curvas.variant import Variant
from twintrack.evaluation.pdacvi import without_numba
from twintrack.evaluation.pdacvi.drawn import FIRST_RATER, Box
from twintrack.evaluation.pdacvi.protocol import ECE_MARGIN
from twintrack.evaluation.pdacvi.tally import Tally

_CLAMP = 1e-8


@dataclass(frozen=True, kw_only=True)
class Region:
    """The part of a volume over which the error is taken.

    Attributes:
        start: First index along each axis.
        stop: Index after the last along each axis.
        wrapped: Whether a negative bound was counted from the far end, the quirk of `official`.
    """

    start: tuple[int, ...]
    stop: tuple[int, ...]
    wrapped: bool = False

    @property
    def voxels(self) -> int:
        """Number of voxels; 0 where a wrapped region is empty."""
        return int(np.prod([max(b - a, 0) for a, b in zip(self.start, self.stop, strict=True)]))


def official_region(box: Box, shape: tuple[int, ...], *, dimensions: int = 3) -> Region:
    """Grow the raters' box as the evaluator does: from min - 20 up to, not including, max + 20.

    A lower bound below 0 is left as it is, so that an array slice counts it from the far end: the region is
    then empty (ECE is NaN) or somewhere else (ECE is a number without meaning).

    Args:
        box: Bounding box of the raters' union.
        shape: Shape of the volume.
        dimensions: 2 for an image held as a volume of one slice: that axis is not grown.

    Returns:
        What `array[min - 20 : max + 20]` selects.
    """
    flat = len(shape) - dimensions
    bounds = [slice(None)] * flat + [slice(low - ECE_MARGIN, high + ECE_MARGIN) for low, high in box[flat:]]
    ranges = [bound.indices(size)[:2] for bound, size in zip(bounds, shape, strict=True)]
    return Region(
        start=tuple(low for low, _ in ranges),
        stop=tuple(high for _, high in ranges),
        wrapped=any(low < ECE_MARGIN for low, _ in box[flat:]),
    )


def corrected_region(found: Tally) -> Region:
    """Grow the raters' box by 20 voxels to every side and clamp it to the volume.

    Where no rater drew anything, the box of probability > 0.1 takes its place, and where that is empty too
    the whole volume does.

    Args:
        found: The tally of raters and prediction.

    Returns:
        The region; never empty.
    """
    shape = found.codes.shape
    box = found.rater_box or found.prediction_box or tuple((0, size - 1) for size in shape)
    return Region(
        start=tuple(max(low - ECE_MARGIN, 0) for low, _ in box),
        stop=tuple(min(high + ECE_MARGIN + 1, size) for (_, high), size in zip(box, shape, strict=True)),
    )


def calibration_errors(
    probability: NDArray[np.float32], found: Tally, region: Region, *, variant: Variant
) -> NDArray[np.float64]:
    """Take the expected calibration error against each rater.

    `official` works in float32: both class probabilities are clamped at 1e-8 and renormalised, a confidence
    of exactly 1 falls in a 51st bin, and sums grow voxel by voxel, so that they lose digits (and stand still
    at 2²⁴ = 16.8 million). `corrected` sums in float64 and puts a confidence of 1 into the last bin.

    Args:
        probability: (z, y, x) in [0, 1].
        found: The tally of raters and prediction.
        region: Where to take it.
        variant: `official` or `corrected`.

    Returns:
        (K,), in [0, 1]; NaN where the region is empty.
    """
    bins = Bins.of(variant)
    wrong = np.zeros((found.n_raters, bins.counts.size), dtype=np.int64)
    clamp = bins.number(_CLAMP if variant == "official" else 0.0)
    limits = np.array([region.start, region.stop], dtype=np.int64)
    one = bins.number(1.0)
    _fill_bins(probability, found.codes, limits, one, clamp, bins.edges, bins.sums, bins.counts, wrong)
    return bins.errors(bins.counts - wrong)


@njit(nogil=True, twin=without_numba.fill_bins)
def _fill_bins(
    probability: Any,
    codes: Any,
    limits: Any,
    one: Any,
    clamp: Any,
    edges: Any,
    sums: Any,
    counts: Any,
    wrong: Any,
) -> None:
    """Add the region's voxels to the bins, in C order: float32 sums depend on it."""
    every_rater = (np.uint64(1) << np.uint64(wrong.shape[0])) - np.uint64(1)
    previous, positive, confidence, b = np.float32(-1.0), False, one, 0
    for z in range(limits[0, 0], limits[1, 0]):
        for y in range(limits[0, 1], limits[1, 1]):
            for x in range(limits[0, 2], limits[1, 2]):
                p = probability[z, y, x]
                if p != previous:  # most neighbours are equal: 0 outside the ROI
                    previous = p
                    positive, confidence = _top_label(p * one, one, clamp)
                    b = bin_of(confidence, edges, counts.size)
                sums[b] += confidence
                counts[b] += 1
                votes = (np.uint64(codes[z, y, x]) >> np.uint64(FIRST_RATER)) & every_rater
                _add_wrong(votes ^ every_rater if positive else votes, wrong[:, b])


@njit(nogil=True)
def _top_label(p: Any, one: Any, clamp: Any) -> Any:
    """Whether the top label is tumour, and its confidence, in the precision of `one`."""
    tumour, background = max(p, clamp), max(one - p, clamp)
    return tumour > background, max(tumour, background) / (tumour + background)


@njit(nogil=True)
def _add_wrong(raters: Any, wrong: Any) -> None:
    rater = 0
    while raters:
        wrong[rater] += raters & np.uint64(1)
        raters >>= np.uint64(1)
        rater += 1
