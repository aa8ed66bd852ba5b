"""Detection of lesions: connected components of the response found, missed, and invented."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import generate_binary_structure, label

from twintrack.errors import InputError
from twintrack.evaluation.scores.arrays import bounding_box, checked_spacing, unit_case
from twintrack.raters.response import vote_count


@dataclass(frozen=True)
class LesionScores:
    """Lesions of the reference and of the prediction of one case, and which of them meet.

    Attributes:
        reference_volumes: Volume of each reference lesion in mm³ (mm² in 2-D).
        predicted_volumes: Volume of each predicted lesion.
        found: Whether each reference lesion is matched by some predicted one.
        true: Whether each predicted lesion matches some reference lesion.
        volume_errors: For each reference lesion the summed volume of the predicted lesions matched to it minus its
            own, in mm³; minus its own volume where it is missed. A predicted lesion matched to two counts for both.
    """

    reference_volumes: tuple[float, ...]
    predicted_volumes: tuple[float, ...]
    found: tuple[bool, ...]
    true: tuple[bool, ...]
    volume_errors: tuple[float, ...]

    @property
    def sensitivity(self) -> float:
        """Share of the reference lesions that are found; NaN where there is none."""
        return sum(self.found) / len(self.found) if self.found else float("nan")

    @property
    def precision(self) -> float:
        """Share of the predicted lesions that are true; NaN where there is none."""
        return sum(self.true) / len(self.true) if self.true else float("nan")

    @property
    def false_positives(self) -> int:
        """Predicted lesions that match no reference lesion."""
        return len(self.true) - sum(self.true)

    @property
    def f1(self) -> float:
        """Harmonic mean of sensitivity and precision.

        1 where there is no lesion on either side (as Dice), 0 where one side has none. Where lesions match one to one
        it is 2 TP / (2 TP + FP + FN).
        """
        if not self.found and not self.true:
            return 1.0
        if not (any(self.found) and any(self.true)):
            return 0.0
        return 2 * self.sensitivity * self.precision / (self.sensitivity + self.precision)

    @property
    def mean_absolute_volume_error(self) -> float:
        """Mean over reference lesions of |volume error| in mm³; NaN where there is none."""
        return float(np.mean(np.abs(self.volume_errors))) if self.volume_errors else float("nan")


def lesion_scores(
    probability: NDArray[Any],
    masks: Sequence[NDArray[Any]],
    *,
    spacing: Sequence[float],
    level: float = 0.5,
    threshold: float = 0.5,
    min_iou: float = 0.0,
    full_connectivity: bool = True,
) -> LesionScores:
    """Match the lesions of a prediction with those of the response.

    Reference lesions are the connected components of response ≥ level, predicted ones those of p ≥ threshold. Two
    match if their intersection over union is greater than `min_iou` (0: if they share a voxel). From 1/2 on at
    most one lesion of either side can match (Kirillov, He, Girshick, Rother, Dollár (2019), Panoptic Segmentation,
    CVPR, theorem 1); below, one may match several, and sensitivity and precision each count their own side's lesions.
    Counting lesions per component follows Maier-Hein, Reinke et al. (2024), Metrics Reloaded, Nature Methods 21,
    object detection.

    Args:
        probability: Predicted probability or response, float32 in [0, 1], (z, y, x) or (y, x).
        masks: K raters' binary masks, same shape.
        spacing: Voxel size in mm, in array order.
        level: Share of the raters who must label a voxel of a reference lesion, in (0, 1]; 1/2 includes a tie.
        threshold: Lowest probability of a voxel of a predicted lesion, in (0, 1]; rounded to float32.
        min_iou: What the intersection over union must exceed, in [0, 1).
        full_connectivity: Whether voxels that touch at an edge or a corner belong together (8 neighbours in 2-D, 26
            in 3-D) or only at a face (4, 6).

    Returns:
        The lesions and their scores.

    Raises:
        InputError: If arrays, spacing or options are not as described.
    """
    p, votes = unit_case(probability, masks)
    steps = checked_spacing(spacing, axes=p.ndim)
    if not (0 < level <= 1 and 0 < threshold <= 1 and 0 <= min_iou < 1):
        raise InputError(
            f"expected level and threshold in (0, 1] and min_iou in [0, 1); got {level}, {threshold} and {min_iou}"
        )
    # Pitfall: 0.28 × 25 is 7.000000000000001, whose ceiling is 8.
    reference = vote_count(votes) >= math.ceil(level * len(votes) - 1e-9)
    predicted = p >= np.float32(threshold)
    structure = generate_binary_structure(p.ndim, p.ndim if full_connectivity else 1)
    box = bounding_box([reference, predicted]) or (slice(0, 0),) * p.ndim
    common, sizes, guesses = _intersections(label(reference[box], structure), label(predicted[box], structure))
    match: NDArray[np.bool_] = (common > 0) & (common > min_iou * (sizes[:, None] + guesses[None, :] - common))
    unit = math.prod(steps)
    return LesionScores(
        reference_volumes=tuple((sizes * unit).tolist()),
        predicted_volumes=tuple((guesses * unit).tolist()),
        found=tuple(bool(one.any()) for one in match),
        true=tuple(bool(one.any()) for one in match.T),
        volume_errors=tuple(((match @ guesses - sizes) * unit).tolist()),
    )


def _intersections(
    reference: tuple[NDArray[Any], int], predicted: tuple[NDArray[Any], int]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    # Voxels common to each pair of components, shape (reference, predicted), and the components' sizes.
    (of_reference, n), (of_predicted, m) = reference, predicted
    table = np.zeros((n + 1) * (m + 1), np.int64)
    codes, counts = np.unique(of_reference.astype(np.int64) * (m + 1) + of_predicted, return_counts=True)
    table[codes] = counts
    pairs = table.reshape(n + 1, m + 1)
    return pairs[1:, 1:], pairs[1:].sum(axis=1), pairs[:, 1:].sum(axis=0)
