"""The bins of the challenge's top-label calibration error, and its error formula in float32."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from twintrack.compute.jit import njit
from twintrack.evaluation.curvas.variant import Variant

ECE_BINS = 50
"""Equal-width bins of top-label confidence on [0, 1]."""

_LARGEST_FLOAT32_COUNT = 1 << 24  # adding 1 to it in float32 leaves it as it is


def official_edges() -> NDArray[np.float32]:
    """Give the edges of the bins of `official`: 0, 1/50, ..., 1, nine of which are an ulp off in float32.

    The evaluator's library multiplies the float32 nearest to 1/50, from 0 up to the middle and from 1 down to it,
    and rounds once (on processors with a fused multiply-add).

    Returns:
        51 edges.
    """
    step, i = float(np.float32(1 / ECE_BINS)), np.arange(ECE_BINS + 1)
    return np.where(i < ECE_BINS / 2, i * step, 1.0 - (ECE_BINS - i) * step).astype(np.float32)


def _official_errors(
    sums: NDArray[np.floating[Any]], counts: NDArray[np.int64], correct: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Take the error of each rater as `official` does, in float32.

    Args:
        sums: Sum of the confidence in each bin, shape (B,).
        counts: Voxels in each bin, shape (B,).
        correct: Voxels in each bin whose top label is the rater's, shape (K, B).

    Returns:
        (K,); NaN where there is no voxel.
    """
    n, hits = (np.minimum(x, _LARGEST_FLOAT32_COUNT).astype(np.float32) for x in (counts, correct))
    with np.errstate(divide="ignore", invalid="ignore"):  # 0 / 0 in empty bins, and everywhere in an empty region
        confidence, accuracy = np.nan_to_num(sums / n), np.nan_to_num(hits / n)
        share = n / n.sum()
    errors = np.sum(np.abs(accuracy - confidence) * share, axis=1)
    return np.asarray(errors, dtype=np.float64)


@dataclass(frozen=True, eq=False)
class Bins:
    """Empty bins of confidence, in the precision and number of a variant, for a kernel to fill.

    `official` works in float32 and has a 51st bin for a confidence of exactly 1; `corrected` works in float64 and puts
    that into the last of 50.

    Attributes:
        variant: `official` or `corrected`.
        edges: The 51 edges.
        sums: Sum of the confidence in each bin.
        counts: Voxels in each bin.
    """

    variant: Variant
    edges: NDArray[np.floating[Any]]
    sums: NDArray[np.floating[Any]]
    counts: NDArray[np.int64]

    @classmethod
    def of(cls, variant: Variant) -> Bins:
        """Make the empty bins of a variant."""
        if variant == "official":
            return cls(variant, official_edges(), np.zeros(ECE_BINS + 1, np.float32), np.zeros(ECE_BINS + 1, np.int64))
        return cls(variant, np.linspace(0.0, 1.0, ECE_BINS + 1), np.zeros(ECE_BINS), np.zeros(ECE_BINS, np.int64))

    @property
    def number(self) -> type[np.floating[Any]]:
        """The floating-point type that the variant calculates in."""
        return self.sums.dtype.type

    def errors(self, correct: NDArray[np.int64]) -> NDArray[np.float64]:
        """Give each rater's calibration error.

        Args:
            correct: Voxels in each bin whose top label is the rater's, shape (K, B).

        Returns:
            (K,), in [0, 1]; NaN where there is no voxel.
        """
        if self.variant == "official":
            return _official_errors(self.sums, self.counts, correct)
        return np.asarray(np.abs(correct - self.sums).sum(axis=1) / self.counts.sum(), dtype=np.float64)


@njit(nogil=True)
def bin_of(confidence: Any, edges: Any, n_bins: Any) -> Any:
    """Give the bin whose edges enclose a confidence, left edge included.

    Args:
        confidence: The confidence.
        edges: The 51 edges, in the confidence's precision.
        n_bins: 51 where a confidence of exactly 1 has a bin of its own, else 50.

    Returns:
        The bin.
    """
    b = min(int(np.float64(confidence) * (edges.size - 1)), edges.size - 1)
    # Pitfall: as float32, some edges lie below k / 50, and with them the confidences that belong to the next bin.
    if b + 1 < edges.size and confidence >= edges[b + 1]:
        b += 1
    return min(b, n_bins - 1)


def bins_of(confidence: NDArray[np.floating[Any]], edges: NDArray[np.floating[Any]], n_bins: int) -> NDArray[np.intp]:
    """Give the bins of many confidences at once, as `bin_of` does."""
    b = np.minimum((confidence.astype(np.float64) * (edges.size - 1)).astype(np.intp), edges.size - 1)
    following = edges[np.minimum(b + 1, edges.size - 1)]
    b += (b + 1 < edges.size) & (confidence >= following)
    return np.minimum(b, n_bins - 1)
