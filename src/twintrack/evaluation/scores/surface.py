"""Surface distances, at each level of agreement of the raters: ASSD, HD95 and normalised surface Dice."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_erosion, distance_transform_edt

from twintrack.evaluation.scores.arrays import bounding_box, checked_length, checked_spacing, exceeds, unit_case
from twintrack.raters.masks import as_votes
from twintrack.raters.response import vote_count


@dataclass(frozen=True)
class SurfaceScores:
    """Distances between the surfaces of two masks.

    Attributes:
        assd: Average symmetric surface distance in mm; 0 where both masks are empty, infinite where one is.
        hd95: 95th percentile Hausdorff distance in mm; 0 where both masks are empty, infinite where one is.
        surface_dice: Normalised surface Dice in [0, 1]; 1 where both masks are empty, 0 where one is.
    """

    assd: float
    hd95: float
    surface_dice: float


def surface_scores(
    first: NDArray[Any], second: NDArray[Any], *, spacing: Sequence[float], tolerance: float
) -> SurfaceScores:
    """Give the distances between the surfaces of two masks.

    The surface S of a mask is the set of its voxels with a face neighbour outside it; what lies beyond the image is
    outside, but along an axis of one voxel there is no beyond: a volume of one slice is an image, whose outline counts
    and not every voxel. Every surface voxel counts once. With d(a, B) the distance in mm between the centre of a and
    the nearest of B's surface:

    - ASSD = (Σ_{a ∈ S_A} d(a, B) + Σ_{b ∈ S_B} d(b, A)) / (|S_A| + |S_B|);
    - HD95 = the greater of the 95th percentiles of d(a, B) and of d(b, A) (linear between ranks);
    - surface Dice = (|{a: d(a, B) ≤ τ}| + |{b: d(b, A) ≤ τ}|) / (|S_A| + |S_B|). Nikolov et al. (2021), Clinically
      Applicable Segmentation of Head and Neck Anatomy for Radiotherapy, J. Med. Internet Res. 23(7) (arXiv
      1809.04430), who measure area on a finer surface mesh; figures differ slightly.

    An infinite distance where one mask is empty is deliberate: NaN would be left out of a mean, and a model that
    finds nothing would be forgiven. Report the median, or how many are infinite. The box of both masks is all that is
    searched: it holds both surfaces, so every nearest voxel is inside it.

    Args:
        first: Binary mask (bool, or uint8 of 0 and 1), (z, y, x) or (y, x).
        second: Binary mask, same shape.
        spacing: Voxel size in mm, in array order.
        tolerance: Distance τ in mm up to which surfaces count as equal: what raters differ by is a good choice.

    Returns:
        The three figures.

    Raises:
        InputError: If masks, spacing or tolerance are not as described.
    """
    both = as_votes([first, second])
    shape = both[0].shape
    given = checked_spacing(spacing, axes=len(shape))
    checked_length(tolerance, name="tolerance", zero=True)
    axes = [axis for axis, size in enumerate(shape) if size > 1] or [0]
    both = [mask.reshape([shape[axis] for axis in axes]) for mask in both]
    steps = tuple(given[axis] for axis in axes)
    box = bounding_box(both)
    if box is None:
        return SurfaceScores(0.0, 0.0, 1.0)
    # Outside its box a mask is 0, as beyond the image: cutting to the box changes no surface.
    a, b = (_surface(mask[box]) for mask in both)
    if not (a.any() and b.any()):
        return SurfaceScores(float("inf"), float("inf"), 0.0)
    there, back = _distances(a, b, steps), _distances(b, a, steps)
    together = np.concatenate([there, back])
    return SurfaceScores(
        assd=float(together.mean()),
        hd95=float(max(np.percentile(there, 95), np.percentile(back, 95))),
        # A distance of n voxels may come out a last digit above n × spacing.
        surface_dice=float((together <= tolerance * (1 + 1e-9)).mean()),
    )


def agreement_surface_scores(
    probability: NDArray[Any], masks: Sequence[NDArray[Any]], *, spacing: Sequence[float], tolerance: float
) -> list[SurfaceScores]:
    """Give the surface distances at each level of agreement.

    For k = 1 … K the prediction p > (k − 1/2)/K is compared with the voxels that at least k raters label: a prediction
    equal to the response matches at every level. See `surface_scores`.

    Args:
        probability: Predicted probability or response, float32 in [0, 1], (z, y, x) or (y, x).
        masks: K raters' binary masks, same shape.
        spacing: Voxel size in mm, in array order.
        tolerance: Distance τ in mm up to which surfaces count as equal.

    Returns:
        K scores, for k = 1 (any rater) to K (all raters).

    Raises:
        InputError: If arrays, spacing or tolerance are not as described.
    """
    p, votes = unit_case(probability, masks)
    count, k = vote_count(votes), len(votes)
    return [
        surface_scores(exceeds(p, (level - 0.5) / k), count >= level, spacing=spacing, tolerance=tolerance)
        for level in range(1, k + 1)
    ]


def _surface(mask: NDArray[np.uint8]) -> NDArray[np.bool_]:
    solid = mask.view(np.bool_)
    return np.asarray(solid & ~binary_erosion(solid))


def _distances(start: NDArray[np.bool_], target: NDArray[np.bool_], spacing: tuple[float, ...]) -> NDArray[np.float64]:
    return np.asarray(distance_transform_edt(~target, sampling=spacing)[start])
