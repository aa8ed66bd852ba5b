"""Vascular involvement: how far around each vessel the tumour reaches, and how far the raters differ in it.

The degrees of involvement of a vessel in a plane are 360 × contact pixels / edge pixels, at the slice where
that is largest (see `contact` for what counts). K raters give K values, the six thresholds of the prediction
six more; the score of a vessel is the Wasserstein-1 distance between the two sets, averaged over the three
planes, in degrees.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.stats import wasserstein_distance

from twintrack.evaluation.curvas.variant import Variant
from twintrack.evaluation.pdacvi.contact import contact_pixels
from twintrack.evaluation.pdacvi.drawn import FIRST_RATER
from twintrack.evaluation.pdacvi.protocol import PLANES, PlaneDegrees
from twintrack.evaluation.pdacvi.tally import Tally

GRID = np.linspace(0.0, 360.0, 1000)
"""Degrees at which `official` evaluates its two Gaussian densities."""

VANISHED = 1e-8
"""Sum of a density over `GRID` at and below which `official` takes it for absent.

The reference figures place the evaluator's limit between 2.7e-11 and 9.4e-7; where in between, they do not
tell.
"""

SD_FLOOR = 1e-6
"""Added by `official` to the standard deviation of the degrees, in degrees."""


def involvement(
    vessels: NDArray[np.uint8], edges: NDArray[np.int64], names: Mapping[int, str], found: Tally, *, variant: Variant
) -> tuple[dict[str, float], dict[str, dict[str, PlaneDegrees]], list[str]]:
    """Score the vascular involvement of every vessel.

    Args:
        vessels: Labels (z, y, x), all of them named or 0.
        edges: Their edge pixels (`edge_pixels`).
        names: Name by label.
        found: The tally of raters and prediction.
        variant: `official` or `corrected`.

    Returns:
        Distance by vessel, in degrees; degrees by vessel and plane; names of the vessels the volume does not
        hold. Of those, `official` gives a distance and degrees of 0, `corrected` NaN.
    """
    contact = contact_pixels(vessels, list(names), found, symmetric=variant == "corrected")
    largest = largest_degrees(contact, edges)
    absent = np.asarray(edges.sum(axis=(0, 1)) == 0)
    if variant == "corrected":
        largest[:, absent] = math.nan
    compare = gaussian_distance if variant == "official" else sample_distance
    distances, degrees = {}, {}
    for vessel, name in enumerate(names.values()):
        degrees[name] = {plane: _split(largest[axis, vessel]) for axis, plane in enumerate(PLANES)}
        distances[name] = _mean_distance(list(degrees[name].values()), compare)
    return distances, degrees, [name for name, gone in zip(names.values(), absent, strict=True) if gone]


def largest_degrees(contact: NDArray[np.int64], edges: NDArray[np.int64]) -> NDArray[np.float64]:
    """Turn pixel counts into degrees, at the slice where they are largest.

    Args:
        contact: Contact pixels (3, n, V, M) by plane, slice, vessel and mask.
        edges: Edge pixels (3, n, V).

    Returns:
        Degrees (3, V, M); 0 where no slice has contact.
    """
    # The order of the operations is the evaluator's: another one differs in the last digit.
    degrees = contact / np.maximum(edges, 1)[..., None] * 360
    return np.asarray(degrees.max(axis=1))


def gaussian_distance(raters: Sequence[float], prediction: Sequence[float]) -> float:
    """Distance of the `official` variant: between two Gaussians, on a grid of degrees.

    The grid has 1000 points from 0 to 360. Each set of degrees becomes a Gaussian with its mean and its
    population SD + 1e-6. Three quirks follow: a spread far below the grid's step of 0.36 degrees falls
    between its points; a mean far beyond 360 leaves it; and what of a Gaussian lies outside [0, 360] is cut
    off and the rest normalised. Where both densities vanish the distance is 0; where one does it is 360,
    unless the other sits on a single point of the grid: then it is that point's degrees.

    Args:
        raters: Degrees, one per rater.
        prediction: Degrees, one per threshold.

    Returns:
        Distance in degrees, in [0, 360].
    """
    densities = [_density(values) for values in (raters, prediction)]
    there = [density for density in densities if density.sum() > VANISHED]
    if len(there) == 2:
        return float(wasserstein_distance(GRID, GRID, *densities))
    if not there:
        return 0.0
    return float(GRID[there[0] > 0][0]) if np.count_nonzero(there[0]) == 1 else 360.0


def sample_distance(raters: Sequence[float], prediction: Sequence[float]) -> float:
    """Distance of the `corrected` variant: Wasserstein-1 between the two samples, exact.

    The integral over all levels of the absolute difference of the two empirical distribution functions
    (Ramdas, Trillos and Cuturi, "On Wasserstein two-sample testing", Entropy 2017, 19(2):47).

    Args:
        raters: Degrees, one per rater.
        prediction: Degrees, one per threshold.

    Returns:
        Distance in degrees, in [0, 360]; NaN where a value is NaN.
    """
    if np.isnan(raters).any() or np.isnan(prediction).any():
        return math.nan
    return float(wasserstein_distance(raters, prediction))


def _density(values: Sequence[float]) -> NDArray[np.float64]:
    sd = float(np.std(values)) + SD_FLOOR
    with np.errstate(under="ignore"):
        density = np.exp(-0.5 * ((GRID - np.mean(values)) / sd) ** 2) / (sd * math.sqrt(2 * math.pi))
    return np.asarray(density, dtype=np.float64)


def _split(degrees: NDArray[np.float64]) -> PlaneDegrees:
    values = degrees.tolist()
    return {"raters": values[FIRST_RATER:], "prediction": values[:FIRST_RATER]}


def _mean_distance(
    planes: Sequence[PlaneDegrees], compare: Callable[[Sequence[float], Sequence[float]], float]
) -> float:
    return float(np.mean([compare(plane["raters"], plane["prediction"]) for plane in planes]))
