"""Drawing masks that look like raters' outlines from a response map.

A mask holds the voxels where the response exceeds a random threshold. Whatever the thresholds of different voxels have
to do with each other, a threshold that is uniform in (0, 1) at every voxel gives a mask whose frequency there is the
response; a smooth one gives outlines instead of salt and pepper.

Sources: level sets of Gaussian fields as samples of a segmentation, Lê, Unkelbach, Ayache, Delingette (2016), Sampling
image segmentations for uncertainty quantification, Medical Image Analysis 34; a given frequency at every place through
a truncated Gaussian field, Matheron, Beucher, de Fouquet, Galli (1987), Conditional simulation of the geometry of
fluvio-deltaic reservoirs, SPE 16753.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import scipy
from numpy.typing import NDArray

from twintrack.calibration.outlines.field import RaterField
from twintrack.calibration.outlines.gaussian import covariance_factors, smooth_normal
from twintrack.cohort.checks import mask_array, probability_array
from twintrack.errors import GeometryError, InputError
from twintrack.images import Volume

Box: TypeAlias = tuple[slice, ...]

_MASKS, _STRATA = 0, 1  # what random numbers are drawn for
_INSIDE = (1e-300, 1 - 2.0**-53)  # Pitfall: the normal score of 0 is −∞, and 0 · −∞ is not a number.


@dataclass(frozen=True, eq=False)
class Limits:
    """Where masks of a response map can differ, and below which normal score a threshold lets a voxel in.

    Attributes:
        box: The smallest box that holds every response above 0.
        score: Φ⁻¹(response) within the box, float32; −∞ where the response is 0, ∞ where it is 1.
        spacing: Voxel size in mm in array order.
    """

    box: Box
    score: NDArray[np.float32]
    spacing: tuple[float, ...]

    @classmethod
    def of(cls, response: NDArray[np.float32], *, spacing: Sequence[float]) -> Limits | None:
        """Find the limits.

        Args:
            response: Responses in [0, 1], float32, checked.
            spacing: Voxel size in mm in array order.

        Returns:
            The limits; None where every response is 0.
        """
        box = box_of(response > 0)
        if box is None:
            return None
        # Rounding may leave a response 1e-6 outside [0, 1].
        return cls(box, scipy.special.ndtri(np.clip(response[box], 0, 1)), tuple(spacing))

    def draws(self, length_mm: float, *, n: int, seed: int) -> Iterator[tuple[float, NDArray[np.float32]]]:
        """Draw what each rater's thresholds are made of.

        Args:
            length_mm: Correlation length in mm.
            n: Number of raters.
            seed: Chooses them; the same seed gives the same raters, and the same noise beneath h, for every length.

        Yields:
            For each rater g and h(x) within the box; see `RaterField`.
        """
        factors = covariance_factors(self.score.shape, spacing=self.spacing, length=length_mm)
        for k in range(n):
            rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(_MASKS, k)))
            yield float(rng.standard_normal()), smooth_normal(rng, factors)

    def outlined(self, correlation: float, g: float, h: NDArray[np.float32]) -> NDArray[np.bool_]:
        """Give the mask of one rater within the box.

        Args:
            correlation: ρ.
            g: The rater's part of the thresholds.
            h: The part that changes from place to place; left as it is.

        Returns:
            Where √ρ g + √(1 − ρ) h < Φ⁻¹(response), which is where the response exceeds the threshold.
        """
        threshold = h * np.float32(np.sqrt(1 - correlation))
        threshold += np.float32(np.sqrt(correlation) * g)
        return np.asarray(threshold < self.score)


def sample_masks(
    response: NDArray[Any],
    *,
    spacing: Sequence[float],
    field: RaterField,
    n: int,
    seed: int,
    roi: NDArray[Any] | None = None,
    stratified: bool = False,
    least_piece: float = 0.0,
) -> NDArray[np.uint8]:
    """Draw masks from a response map, each like one rater's.

    Over many masks the frequency at every voxel is the response there; a voxel with response 0 is in no mask and one
    with response 1 in all. Given the response, masks are independent of each other (unless stratified), and the first
    ones do not depend on `n`. All work is done within the box of what is above 0.

    The seed also chooses how generous the raters are: cases sampled with one seed are drawn by the same persons,
    generous or strict. Give each case its own (`case_seed`) where cases are averaged, or chance does not average out.

    Args:
        response: Responses in [0, 1], floating, (z, y, x) or (y, x).
        spacing: Voxel size in mm in array order.
        field: How thresholds hang together.
        n: Number of masks.
        seed: A whole number from 0.
        roi: Binary mask; outside it the response counts as 0.
        stratified: Spread how generous the n raters are evenly, one in each nth of the normal distribution, in random
            order: a few masks then vary as a whole panel would, and their mean is closer to the response. The
            frequencies stay exact. But the masks are no longer independent of each other, so statistics that take them
            for that (`energy_distance` with `unbiased=True`) do not hold, and the first masks depend on n.
        least_piece: Leave out of each mask the pieces (connected by faces) smaller than this fraction of its largest
            piece, from 0 (none) to 1 (all but the largest). Raters seldom draw specks. But the frequencies are then no
            longer the response: they fall short of it where it is low, and so does the mean volume.

    Returns:
        uint8 of 0 and 1, shape (n, …).

    Raises:
        InputError: If a response is not in [0, 1], the ROI is not binary, or n, seed or least_piece are out of range.
        GeometryError: If the array is not 2-D or 3-D, or spacing or ROI do not fit it.

    Examples:
        >>> import numpy as np
        >>> response = np.float32([[0.0, 0.5, 0.5, 1.0]])
        >>> masks = sample_masks(response, spacing=(1, 1), field=RaterField(correlation=1), n=1000, seed=0)
        >>> masks.mean(axis=0).round(1)
        array([[0. , 0.5, 0.5, 1. ]])
        >>> bool((masks[:, 0, 1] == masks[:, 0, 2]).all())
        True
    """
    found = each_mask(
        response,
        spacing=spacing,
        field=field,
        n=n,
        seed=seed,
        roi=roi,
        stratified=stratified,
        least_piece=least_piece,
    )
    masks = np.zeros((n, *np.shape(response)), np.uint8)
    for into, mask in zip(masks, found, strict=True):
        into[:] = mask
    return masks


def each_mask(
    response: NDArray[Any],
    *,
    spacing: Sequence[float],
    field: RaterField,
    n: int,
    seed: int,
    roi: NDArray[Any] | None = None,
    stratified: bool = False,
    least_piece: float = 0.0,
) -> Iterator[NDArray[np.uint8]]:
    """Draw the masks of `sample_masks` one by one, so that one is in memory at a time.

    Args:
        response: See `sample_masks`, here and for all that follow; it is checked before this returns.
        spacing: Voxel size in mm in array order.
        field: How thresholds hang together.
        n: Number of masks.
        seed: A whole number from 0.
        roi: Binary mask; outside it the response counts as 0.
        stratified: Spread how generous the raters are evenly.
        least_piece: Leave out smaller pieces.

    Returns:
        An iterator of n masks, uint8 of 0 and 1, each of the response's shape and an array of its own.

    Raises:
        InputError: As `sample_masks`.
        GeometryError: As `sample_masks`.
    """
    _check_options(n=n, seed=seed, least_piece=least_piece)
    checked = _checked_response(response, spacing, roi)
    limits = Limits.of(checked, spacing=spacing)
    strata = _strata(n, seed=seed) if stratified else None

    def masks() -> Iterator[NDArray[np.uint8]]:
        if limits is None:
            yield from (np.zeros(checked.shape, np.uint8) for _ in range(n))
            return
        for k, (g, h) in enumerate(limits.draws(field.length_mm, n=n, seed=seed)):
            mask = np.zeros(checked.shape, np.uint8)
            outlined = limits.outlined(field.correlation, g if strata is None else strata[k], h)
            mask[limits.box] = without_specks(outlined, least_piece=least_piece)
            yield mask

    return masks()


def box_of(mask: NDArray[np.bool_]) -> Box | None:
    """Give the smallest box that holds every voxel of a mask; None for an empty one."""
    found: list[Box] = scipy.ndimage.find_objects(mask.view(np.uint8))
    return found[0] if found else None


def without_specks(mask: NDArray[np.bool_], *, least_piece: float) -> NDArray[np.bool_]:
    """Leave out the pieces smaller than a fraction of the largest; 0 keeps all."""
    if least_piece == 0:
        return mask
    pieces, _ = scipy.ndimage.label(mask)
    sizes = np.bincount(pieces.reshape(-1))
    sizes[0] = 0
    kept: NDArray[np.bool_] = ((sizes > 0) & (sizes >= least_piece * sizes.max()))[pieces]
    return kept


def _strata(n: int, *, seed: int) -> list[float]:
    """Draw one normal score in each nth of the distribution, in random order.

    Each alone is standard normal, since every nth is equally likely for it.
    """
    rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(_STRATA, n)))
    places = (rng.permutation(n) + rng.random(n)) / n
    return [float(score) for score in scipy.special.ndtri(np.clip(places, *_INSIDE))]


def _check_options(*, n: int, seed: int, least_piece: float) -> None:
    if n < 1:
        raise InputError(f"n: at least one mask is drawn; got {n}")
    if seed < 0:
        raise InputError(f"a seed is a whole number from 0; got {seed}")
    if not 0 <= least_piece <= 1:
        raise InputError(f"least_piece: expected a fraction from 0 to 1; got {least_piece}")


def _checked_response(
    response: NDArray[Any], spacing: Sequence[float], roi: NDArray[Any] | None
) -> NDArray[np.float32]:
    """Check the response and its spacing; set it to 0 outside the ROI."""
    volume = Volume.from_array(response, spacing=spacing, name="the response")
    checked = probability_array(volume)
    if roi is None:
        return checked
    region = mask_array(Volume.from_array(roi, name="the ROI"), hint="An ROI is one region.")
    if region.shape != checked.shape:
        raise GeometryError(f"the response has shape {checked.shape}, the ROI {region.shape}")
    return checked * region
