"""The CURVAS 2024 protocol for one case: every part put together, and every failure said aloud."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import ArrayLike

from twintrack.errors import InputError, TwinTrackWarning
from twintrack.evaluation.curvas.inputs import check_voxel_volume
from twintrack.evaluation.curvas.variant import VARIANTS, Variant
from twintrack.evaluation.curvas.volume import integrated_crps
from twintrack.evaluation.curvas2024.consensus import Tally, confidence, consensus_dice, tally
from twintrack.evaluation.curvas2024.inputs import Inputs, check_inputs, check_structures
from twintrack.evaluation.curvas2024.protocol import STRUCTURES, Confidence, Scores
from twintrack.evaluation.curvas2024.top_label import applies_softmax, calibration_errors
from twintrack.evaluation.scores.volume import crps_gaussian


def score(
    raters: ArrayLike | Sequence[ArrayLike],
    probabilities: ArrayLike,
    *,
    labels: ArrayLike | None = None,
    structures: Mapping[int, str] = STRUCTURES,
    voxel_volume: float = 1.0,
    variant: Variant = "official",
) -> Scores:
    """Score a probabilistic segmentation of several structures against several raters, as CURVAS (MICCAI 2024) did.

    `official` follows the challenge's published evaluator, quirks included: where that fails, the figure is NaN
    and a warning names the quirk. `corrected` repairs each quirk. docs/curvas2024.md lists every difference, and
    what is known of the evaluator.

    All voxels given are scored. The challenge first crops a case in-plane to its CT; see `in_plane_box`.

    Args:
        raters: K label maps, uint8 (K, z, y, x); K from 1 to 57.
        probabilities: Softmax, float32 (C, z, y, x) with the background first, or (C - 1, z, y, x) without it, which
            is then 1 - their sum; in [0, 1].
        labels: Hard prediction, uint8 (z, y, x); None means the likeliest label.
        structures: Name by label; the labels are 1, 2, ..., C - 1.
        voxel_volume: Volume of a voxel in mm³; 1 counts voxels.
        variant: `official` or `corrected`.

    Returns:
        `consensus_dice`, `confidence` and `crps` (unit of `voxel_volume`) by structure, `ece` by rater, and
        the means `consensus_dice_mean`, `confidence_mean` and `ece_mean`.

    Raises:
        GeometryError: If the arrays' shapes differ.
        InputError: If an array or an option cannot be scored; the message says why.

    Warns:
        TwinTrackWarning: Where a figure is NaN, or known to carry no meaning.

    Examples:
        >>> import numpy as np
        >>> raters = np.zeros((2, 4, 8, 8), dtype=np.uint8)
        >>> raters[0, 1:3, 2:6, 2:6] = raters[1, 1:3, 2:6, 2:5] = 1
        >>> liver = (raters == 1).mean(axis=0)[None]
        >>> scores = score(raters, liver, structures={1: "liver"}, variant="corrected")
        >>> scores["consensus_dice"], scores["confidence"]["liver"]["mean"], scores["ece_mean"]
        ({'liver': 1.0}, 1.0, 0.015625)
    """
    if variant not in VARIANTS:
        raise InputError(f"variant must be one of {', '.join(VARIANTS)}; got {variant!r}")
    names = check_structures(structures)
    inputs = check_inputs(raters, probabilities, labels=labels, names=names)
    volume = check_voxel_volume(voxel_volume)
    found = tally(inputs)
    dice = _dice(found, names, variant)
    confidences = _confidence(found, names)
    errors = _calibration(inputs, variant)
    return {
        "consensus_dice": dice,
        "consensus_dice_mean": float(np.mean(list(dice.values()))),
        "confidence": confidences,
        "confidence_mean": float(np.mean([value["mean"] for value in confidences.values()])),
        "crps": _volume(found, names, volume, variant),
        "ece": {str(rater): error for rater, error in enumerate(errors)},
        "ece_mean": float(np.mean(errors)),
    }


def _dice(found: Tally, names: Sequence[str], variant: Variant) -> dict[str, float]:
    dice = {name: consensus_dice(found, s, variant=variant) for s, name in enumerate(names)}
    if variant == "official":
        empty = [name for s, name in enumerate(names) if math.isnan(found.row_dice[s])]
        if empty:
            _warn(
                "consensus_dice is 0 whatever is predicted, for structures that no voxel has from every rater (the "
                f"first row of each slice aside): {', '.join(empty)}"
            )
        return dice
    undefined = [name for name, value in dice.items() if math.isnan(value)]
    if undefined:
        _warn(
            "consensus_dice is NaN, for structures that raters drew without a voxel in common, where the prediction "
            f"contradicts none of them: {', '.join(undefined)}"
        )
    return dice


def _confidence(found: Tally, names: Sequence[str]) -> dict[str, Confidence]:
    confidences = {name: confidence(found, s) for s, name in enumerate(names)}
    undefined = [name for name, value in confidences.items() if math.isnan(value["mean"])]
    if undefined:
        _warn(
            "confidence is NaN, for structures that no voxel has from every rater, or every voxel has from a rater: "
            + ", ".join(undefined)
        )
    return confidences


def _volume(found: Tally, names: Sequence[str], voxel_volume: float, variant: Variant) -> dict[str, float]:
    # In voxels, which are whole numbers: in mm³ the SD of equal volumes need not come out as exactly 0.
    voxels = {name: found.rater_voxels[:, s + 1].tolist() for s, name in enumerate(names)}
    predicted = dict(zip(names, found.probability_sum.tolist(), strict=True))
    if variant == "corrected":
        return {name: voxel_volume * crps_gaussian(predicted[name], voxels[name]) for name in names}
    if not found.rater_voxels.all():
        _warn(
            "crps is NaN: a rater's map lacks a structure or the background (the evaluator looks volumes up by "
            "position among the labels a map holds, and raises IndexError here)"
        )
        return dict.fromkeys(names, math.nan)
    equal = [name for name in names if len(set(voxels[name])) == 1]
    if equal:
        _warn(
            "crps is 0 whatever is predicted, for structures with equal volumes from all raters, as the evaluator "
            f"integrates over a range of width 0: {', '.join(equal)}"
        )
    return {name: voxel_volume * integrated_crps(predicted[name], voxels[name]) for name in names}


def _calibration(inputs: Inputs, variant: Variant) -> list[float]:
    if variant == "official" and applies_softmax(inputs):
        _warn(
            "ece carries no meaning: the structures' probabilities sum to more than 1 in a voxel, if only by rounding, "
            "and the evaluator then takes all probabilities for logits"
        )
    return [float(error) for error in calibration_errors(inputs, variant=variant)]


def _warn(message: str) -> None:
    warnings.warn(message, TwinTrackWarning, stacklevel=4)
