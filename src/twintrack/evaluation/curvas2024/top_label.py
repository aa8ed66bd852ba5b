"""Multi-class top-label calibration error of the prediction against each rater.

A voxel's top label is the likeliest of background and structures, its confidence that label's probability, and the
label is correct against a rater who gives the voxel the same one. Over B equal bins of confidence on [0, 1],

    ECE = Σ_b n_b / N · |accuracy_b − mean confidence_b|

(Guo, Pleiss, Sun and Weinberger, "On calibration of modern neural networks", ICML 2017, equation 3).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from twintrack.compute.jit import njit
from twintrack.evaluation.curvas.bins import Bins, bin_of
from twintrack.evaluation.curvas.variant import Variant
from twintrack.evaluation.curvas2024 import without_numba
from twintrack.evaluation.curvas2024.inputs import Inputs
from twintrack.evaluation.curvas2024.softmax import has_negative_background, or_empty, structure_sum, top_label


def applies_softmax(inputs: Inputs) -> bool:
    """Say whether `official` takes the case's probabilities for logits, and makes a softmax of them.

    It does where a background, 1 - the sum of the structures in float32, is below 0 in any voxel, if only by
    rounding. A confidence then lies between 1/C and e / (e + C - 1), which is 0.48 for four classes.

    Args:
        inputs: The checked arrays.

    Returns:
        Whether it does.
    """
    return has_negative_background(inputs.foreground)


def calibration_errors(inputs: Inputs, *, variant: Variant) -> NDArray[np.float64]:
    """Take the expected calibration error against each rater, over all voxels.

    `official` works in float32: the background is 1 - the sum of the structures whether one is given or not, a
    confidence of exactly 1 falls in a 51st bin, sums grow voxel by voxel, so that they lose digits (and stand
    still at 2²⁴ = 16.8 million), and see `applies_softmax`. `corrected` takes the background as given, sums in
    float64 and puts a confidence of 1 into the last bin.

    Args:
        inputs: The checked arrays.
        variant: `official` or `corrected`.

    Returns:
        (K,), in [0, 1].
    """
    bins, official = Bins.of(variant), variant == "official"
    correct = np.zeros((inputs.raters.shape[0], bins.counts.size), dtype=np.int64)
    background = or_empty(None if official else inputs.background)
    softmax, one = official and applies_softmax(inputs), bins.number(1.0)
    _fill_bins(inputs.raters, inputs.foreground, background, one, softmax, bins.edges, bins.sums, bins.counts, correct)
    return bins.errors(correct)


@njit(nogil=True, twin=without_numba.fill_bins)
def _fill_bins(
    raters: Any,
    foreground: Any,
    background: Any,
    one: Any,
    softmax: Any,
    edges: Any,
    sums: Any,
    counts: Any,
    correct: Any,
) -> None:
    """Add the voxels to the bins, in C order: float32 sums depend on it."""
    n_raters, depth, height, width = raters.shape
    for z in range(depth):
        for y in range(height):
            for x in range(width):
                label, p = top_label(foreground, background, z, y, x, one)
                if softmax:
                    p = _softmax_of_top(foreground, z, y, x, p, one)
                b = bin_of(p, edges, counts.size)
                sums[b] += p
                counts[b] += 1
                for k in range(n_raters):
                    correct[k, b] += raters[k, z, y, x] == label


@njit(nogil=True)
def _softmax_of_top(foreground: Any, z: Any, y: Any, x: Any, top: Any, one: Any) -> Any:
    """Take the structures' probabilities and what they leave for logits, of which `top` is the largest."""
    total = np.exp(one - structure_sum(foreground, z, y, x, one) - top)
    for s in range(foreground.shape[0]):
        total += np.exp(foreground[s, z, y, x] - top)
    return one / total
