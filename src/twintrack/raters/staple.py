"""STAPLE: the probability of a hidden true segmentation, with each rater's sensitivity and specificity."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from twintrack.errors import InputError
from twintrack.raters.masks import as_votes
from twintrack.raters.patterns import MOST_RATERS, vote_patterns

Floats = NDArray[np.float64]

_TOLERANCE = 1e-7
"""The iteration ends once no sensitivity or specificity moved by more than this, as in ITK's filter."""


@dataclass(frozen=True, eq=False)
class Staple:
    """What STAPLE estimates from one case.

    Attributes:
        probability: Probability that the voxel belongs to the hidden true segmentation, float32 in [0, 1], of
            the masks' shape.
        sensitivity: Per rater, the estimated fraction of the true foreground that the rater labels.
        specificity: Per rater, the estimated fraction of the true background that the rater leaves.
        iterations: Number of updates of sensitivities and specificities that were done; equal to the allowed
            maximum where the estimate may not have converged.
    """

    probability: NDArray[np.float32]
    sensitivity: tuple[float, ...]
    specificity: tuple[float, ...]
    iterations: int

    @property
    def mask(self) -> NDArray[np.uint8]:
        """Voxels whose probability exceeds one half, uint8 with values 0 and 1.

        A probability that is one half to float32's precision is a tie and stays 0. With two raters that is
        common, and in more digits only rounding noise would decide.
        """
        return (self.probability > 0.5).view(np.uint8)


def staple(
    masks: Sequence[NDArray[Any]],
    *,
    max_iterations: int = 100,
    engine: Literal["pattern", "simpleitk"] = "pattern",
) -> Staple:
    """Estimate the hidden true segmentation behind the raters' masks.

    With prior g (the fraction of foreground over all raters and voxels), sensitivities p_k and specificities
    q_k, expectation-maximisation alternates

    - M: p_k = Σ_{k votes 1} W / Σ W and q_k = Σ_{k votes 0} (1 − W) / Σ (1 − W), sums over all voxels,
    - E: W = g·a / (g·a + (1 − g)·b) per voxel, with a the product over raters of p_k (vote 1) or 1 − p_k
      (vote 0), and b that of 1 − q_k or q_k,

    from W = the mean of the raters until no p_k or q_k moves by more than 1e-7. This start and this stopping
    rule are those of ITK's filter. W depends on a voxel's votes alone, so the engine ``"pattern"`` iterates
    over the at most 2^K vote patterns, weighted with their number of voxels, and gives what ITK gives up to
    the rounding of sums. Where the raters' votes are exactly symmetric the iteration can meet a saddle
    point, where rounding decides in both engines.

    Pitfalls: the result depends on how much background the arrays hold (through g and q_k), so masks cropped
    to the tumour give another result than the full image. With nested masks STAPLE leans to the largest.

    Without foreground (all raters empty) nothing can be estimated and ITK gives NaN; here the probability is
    0 everywhere, the specificities are 1 and the sensitivities NaN. Without background (all raters label
    every voxel) the probability is 1, the sensitivities are 1 and the specificities NaN. Both report 0
    iterations.

    Source: Warfield, Zou and Wells, "Simultaneous truth and performance level estimation (STAPLE)", IEEE
    Transactions on Medical Imaging 23(7), 2004, for one global prior.

    Args:
        masks: One binary mask (bool, or uint8 with values 0 and 1) per rater, K ≥ 1, all of one shape,
            (z, y, x) or (y, x).
        max_iterations: Greatest number of iterations, at least 1.
        engine: ``"pattern"`` (up to 16 raters) or ``"simpleitk"``, which runs SimpleITK's filter.

    Returns:
        The probability, each rater's sensitivity and specificity, and the number of iterations.

    Raises:
        InputError: If the masks are not binary or differ in shape, `max_iterations` is below 1, the engine is
            unknown, or there are too many raters for the engine.
    """
    votes = as_votes(masks)
    _require_iterations(max_iterations)
    if engine not in ("pattern", "simpleitk"):
        raise InputError(f'the STAPLE engines are "pattern" and "simpleitk"; got {engine!r}')
    if engine == "pattern" and len(votes) > MOST_RATERS:
        raise InputError(
            f'the STAPLE engine "pattern" takes at most {MOST_RATERS} raters; got {len(votes)}. Use engine="simpleitk"'
        )
    labelled = sum(int(np.count_nonzero(vote)) for vote in votes)
    if labelled in (0, len(votes) * votes[0].size):
        return _unanimous(votes, label=int(labelled > 0))
    run = _by_patterns if engine == "pattern" else _by_simpleitk
    return run(votes, max_iterations)


def staple_patterns(
    labels: NDArray[np.bool_], voxels: NDArray[np.integer[Any]], *, max_iterations: int = 100
) -> NDArray[np.float32]:
    """Give the STAPLE probability of vote patterns whose voxels have been counted already.

    Method, start, stopping rule and ties are those of `staple`.

    Args:
        labels: Array of shape (P, K), bool: whether rater k labels the voxels of pattern p; patterns may
            repeat.
        voxels: Array of shape (P,): number of voxels of each pattern, background included.
        max_iterations: Greatest number of iterations, at least 1.

    Returns:
        Array of shape (P,), in [0, 1]; 0 for patterns without voxels. As with `staple`, all 0 without any
        foreground and 1 for all that occur without any background.

    Raises:
        InputError: If the shapes do not fit together, a count is negative, no voxel was counted, or
            `max_iterations` is below 1.
    """
    fit = labels.dtype == np.bool_ and labels.ndim == 2 and voxels.shape == labels.shape[:1]
    if not fit or labels.size == 0:
        raise InputError(
            f"expected bool labels of shape (patterns, raters) and one count per pattern; got {labels.dtype} "
            f"labels of shape {labels.shape} and counts of shape {voxels.shape}"
        )
    _require_iterations(max_iterations)
    # Pitfall: a pattern that no voxel shows may be impossible under the estimate, which would give 0 / 0.
    occurring = voxels > 0
    if (voxels < 0).any() or not occurring.any():
        raise InputError("the numbers of voxels per vote pattern must not be negative and must not all be 0")
    labels = labels[occurring]
    probability = np.zeros(occurring.shape, dtype=np.float32)
    if labels.all() or not labels.any():
        probability[occurring] = labels.any()
    else:
        probability[occurring] = _iterate(labels, voxels[occurring].astype(np.float64), max_iterations)[0]
    return probability


def _require_iterations(max_iterations: int) -> None:
    if max_iterations < 1:
        raise InputError(f"max_iterations must be at least 1; got {max_iterations}")


def _unanimous(votes: Sequence[NDArray[np.uint8]], *, label: int) -> Staple:
    one, undefined = (1.0,) * len(votes), (float("nan"),) * len(votes)
    return Staple(
        probability=np.full(votes[0].shape, label, dtype=np.float32),
        sensitivity=one if label else undefined,
        specificity=undefined if label else one,
        iterations=0,
    )


def _by_simpleitk(votes: Sequence[NDArray[np.uint8]], max_iterations: int) -> Staple:
    import SimpleITK  # noqa: PLC0415 - loading it takes longer than the rest of this room

    sitk: Any = SimpleITK  # its functions carry no types
    staple_filter = sitk.STAPLEImageFilter()
    staple_filter.SetForegroundValue(1.0)
    staple_filter.SetMaximumIterations(max_iterations)
    image = staple_filter.Execute([sitk.GetImageFromArray(vote) for vote in votes])
    return Staple(
        probability=sitk.GetArrayViewFromImage(image).astype(np.float32),
        sensitivity=tuple(staple_filter.GetSensitivity()),
        specificity=tuple(staple_filter.GetSpecificity()),
        # Pitfall: the filter does not count the iteration in which it finds that it has converged.
        iterations=min(staple_filter.GetElapsedIterations() + 1, max_iterations),
    )


def _by_patterns(votes: Sequence[NDArray[np.uint8]], max_iterations: int) -> Staple:
    patterns = vote_patterns(votes)
    # Pitfall: a pattern that no voxel shows may be impossible under the estimate, which would give 0 / 0.
    occurring = np.flatnonzero(patterns.voxels)
    labels = (occurring[:, None] >> np.arange(len(votes))) & 1 == 1
    probability, sensitivity, specificity, iterations = _iterate(
        labels, patterns.voxels[occurring].astype(np.float64), max_iterations
    )
    values = np.zeros(patterns.voxels.size, dtype=np.float32)
    values[occurring] = probability
    return Staple(
        probability=patterns.look_up(values),
        sensitivity=tuple(sensitivity.tolist()),
        specificity=tuple(specificity.tolist()),
        iterations=iterations,
    )


def _iterate(labels: NDArray[np.bool_], voxels: Floats, max_iterations: int) -> tuple[Floats, Floats, Floats, int]:
    """Iterate over patterns: `labels` is (patterns, raters), `voxels` the number of voxels with each."""
    probability = labels.mean(axis=1)
    prior = float(voxels @ probability / voxels.sum())
    previous = np.full((2, labels.shape[1]), np.inf)
    iterations = 0
    while iterations < max_iterations:
        estimate = np.stack([_share(voxels * probability, labels), _share(voxels * (1 - probability), ~labels)])
        probability = _expectation(labels, prior, *estimate)
        iterations += 1
        if np.abs(estimate - previous).max() <= _TOLERANCE:
            break
        previous = estimate
    return probability, estimate[0], estimate[1], iterations


def _share(weights: Floats, chosen: NDArray[np.bool_]) -> Floats:
    """Give per rater the share of the weights that lies on the chosen patterns."""
    hit, miss = weights @ chosen, weights @ ~chosen
    # Pitfall: hit / weights.sum() could exceed 1, as the two sums round apart.
    return np.asarray(hit / (hit + miss), dtype=np.float64)


def _expectation(labels: NDArray[np.bool_], prior: float, sensitivity: Floats, specificity: Floats) -> Floats:
    inside = prior * np.where(labels, sensitivity, 1 - sensitivity).prod(axis=1)
    outside = (1 - prior) * np.where(labels, 1 - specificity, specificity).prod(axis=1)
    return np.asarray(inside / (inside + outside), dtype=np.float64)
