"""Dice of the protocol: over thresholds against the raters' mean, and against their STAPLE consensus.

Both follow from the histogram of `tally` alone: every mask they compare is a union of vote patterns.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from twintrack.evaluation.curvas.variant import Variant
from twintrack.evaluation.pdacvi.tally import Tally
from twintrack.evaluation.scores.overlap import THRESHOLDS

OFFICIAL_EPSILON = 1e-6
"""What `official` adds to the denominator of the Dice coefficient."""


def thresholded_dice(found: Tally, *, variant: Variant) -> float:
    """Average the Dice between prediction and raters' mean, both cut at the same six levels.

    Dice = 2 |A ∩ B| / (|A| + |B|), and 1 where both are empty; `official` adds 1e-6 to the denominator.

    Args:
        found: The tally of raters and prediction.
        variant: `official` or `corrected`.

    Returns:
        Mean Dice in [0, 1].
    """
    mean = found.votes / found.n_raters
    per_level = [
        _dice(found, found.holds(level), mean > threshold, variant) for level, threshold in enumerate(THRESHOLDS)
    ]
    return float(np.mean(per_level))


def staple_dice(found: Tally, *, variant: Variant) -> float:
    """Give the Dice between the binary prediction and the raters' STAPLE consensus.

    The consensus is probability > 0.5, from the whole image: a crop, with less background, gives another.

    Where no rater drew anything the consensus is empty, in both variants: ITK's STAPLE gives NaN there, and
    NaN is not above 0.5. Where all raters label every voxel ITK gives NaN too: `official` takes the consensus
    for empty, `corrected` for the whole image.

    Args:
        found: The tally of raters and prediction.
        variant: `official` or `corrected`.

    Returns:
        Dice in [0, 1]; 1 where both are empty.
    """
    return _dice(found, found.binary, consensus(found, variant=variant), variant)


def consensus(found: Tally, *, variant: Variant) -> NDArray[np.bool_]:
    """Say for each pattern whether STAPLE takes its voxels for tumour.

    Args:
        found: The tally of raters and prediction.
        variant: `official` or `corrected`; they differ only where all raters label every voxel.

    Returns:
        (P,), over `found.patterns`.
    """
    if variant == "official" and staple_fails(found):
        return np.zeros(found.patterns.shape, dtype=np.bool_)
    return found.drawn.staple_of(found.patterns) > 0.5


def staple_fails(found: Tally) -> bool:
    """Say whether ITK's STAPLE gives NaN: no rater drew anything, or all labelled every voxel."""
    return found.rater_box is None or bool((found.votes == found.n_raters).all())


def _dice(found: Tally, first: NDArray[np.bool_], second: NDArray[np.bool_], variant: Variant) -> float:
    total = int(found.counts @ first.astype(np.int64) + found.counts @ second.astype(np.int64))
    if total == 0:
        return 1.0
    common = int(found.counts @ (first & second).astype(np.int64))
    return 2.0 * common / (total + (OFFICIAL_EPSILON if variant == "official" else 0.0))
