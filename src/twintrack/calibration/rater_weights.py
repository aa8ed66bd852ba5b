"""How much a case of K raters tells: weights for cohorts in which the number of raters differs.

At a voxel whose chance of being labelled is r, the mean of K independent votes has variance r(1 − r)/K. A curve of the
response by probability sees more than that: voxels of one probability differ in r, and two votes at the same voxel
resemble each other. With ρ the correlation of two raters' votes at a voxel beyond what its probability explains, the
variance about the curve is that of a beta-binomial distribution,

    Var(mean of K votes) = f(1 − f)/K · (1 + (K − 1)ρ),

and the inverse of it, but for f(1 − f), is the weight w_K = K / (1 + (K − 1)ρ): proportional to K where votes are
independent, the same for all K where raters always agree.

Source: Kleinman, "Proportions with extraneous variance: single and independent samples", Journal of the American
Statistical Association 68(341), 1973, for one proportion; here there is one at each probability.

Pitfall: voxels of a case resemble each other too. That makes every voxel tell less, whatever the number of raters, and
no weight by K mends it.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from twintrack.calibration.curve import Curve
from twintrack.calibration.methods.isotonic import IsotonicMap
from twintrack.calibration.table import ResponseTable
from twintrack.compute.levels import N_LEVELS, level_values
from twintrack.errors import CalibrationError


def rater_weight(k: int, correlation: float = 0.0) -> float:
    """Give the weight of a voxel that K raters voted on: K / (1 + (K − 1)ρ).

    Args:
        k: Number of raters K, at least 1.
        correlation: The correlation ρ of two raters' votes at a voxel beyond its probability, in [0, 1].

    Returns:
        The weight, from 1 (one rater, or ρ = 1) to K (ρ = 0).

    Raises:
        CalibrationError: If an argument is out of range.

    Examples:
        >>> rater_weight(5), rater_weight(5, 0.5), rater_weight(5, 1.0)
        (5.0, 1.6666666666666667, 1.0)
    """
    if k < 1 or not 0 <= correlation <= 1:
        raise CalibrationError(
            f"a weight needs at least 1 rater and a correlation in [0, 1]; got {k} raters and {correlation}"
        )
    return k / (1 + (k - 1) * correlation)


def vote_correlation(table: ResponseTable, *, pin_zero: bool = True) -> float:
    """Estimate by moments how far two raters' votes at a voxel agree beyond what its probability explains.

    With f the isotonic fit to all votes and j of K votes at a voxel,

        ρ = Σ [j(j − 1)/(K(K − 1)) − 2f·j/K + f²] / Σ f(1 − f),

    sums over the voxels with two raters or more. A summand above is the mean, over the pairs of raters, of the product
    of the two votes' residuals (v − f)(v′ − f); one below is the variance of a vote. That is the moment estimator of
    the intraclass correlation, each voxel counting alike, with f read off the curve instead of one mean. Estimates
    outside [0, 1] are set to its ends.

    Args:
        table: A response table that holds voxels with two raters or more.
        pin_zero: Leave out the voxels whose probability is exactly 0.

    Returns:
        The correlation ρ, in [0, 1].

    Raises:
        CalibrationError: If cases are withheld, no voxel has two raters, no voxel is left, or all votes are the same.
    """
    _require_votes(table)
    counts = {k: part for k, part in table.counts.items() if k > 1}
    if not counts:
        raise CalibrationError(
            "the correlation of raters needs cases with two raters or more; this table has "
            f"{'none' if table.target == 'response' else f'one mask for each case, the target {table.target}'}"
        )
    first = 1 if pin_zero else 0
    response = IsotonicMap.fit(weighted_curve(table, correlation=0.0, pin_zero=pin_zero))(level_values())[first:]
    products = variance = 0.0
    for k, part in sorted(counts.items()):
        votes = np.arange(k + 1)
        voxels = part[first:].sum(axis=1)
        pairs = part[first:] @ (votes * (votes - 1) / (k * (k - 1)))
        share = part[first:] @ (votes / k)
        products += float(np.sum(pairs - 2 * response * share + voxels * response**2))
        variance += float(voxels @ (response * (1 - response)))
    if variance == 0:
        raise CalibrationError("the correlation of raters cannot be told: at each probability all votes are the same")
    return min(max(products / variance, 0.0), 1.0)


def weighted_curve(table: ResponseTable, *, correlation: float | None = None, pin_zero: bool = True) -> Curve:
    """Give the mean response at every level, each number of raters weighted by how much it tells (`rater_weight`).

    `ResponseTable.curve` lets every voxel count alike, whether two raters saw it or five. With a correlation of 0 the
    curve is that of all single votes pooled; with 1 it is that of `ResponseTable.curve`.

    Args:
        table: The response table; what its target is does not matter. With weighting "cases" the weights come on top:
            a case of five raters then counts for more than one of two.
        correlation: The correlation ρ of two raters' votes at a voxel beyond its probability, in [0, 1]; None:
            estimated from the table (`vote_correlation`).
        pin_zero: Leave out the voxels whose probability is exactly 0.

    Returns:
        The curve, by increasing probability; its weights sum to what those of `ResponseTable.curve` do.

    Raises:
        CalibrationError: If cases are withheld, no voxel is left, the correlation is out of range, or it cannot be
            estimated.
    """
    _require_votes(table)
    if correlation is None:
        # With one number of raters all weigh the same, whatever the correlation.
        correlation = vote_correlation(table, pin_zero=pin_zero) if len(table.counts) > 1 else 0.0
    first = 1 if pin_zero else 0
    voxels, weight, total = np.zeros((3, N_LEVELS - first))
    for k, counts in sorted(table.counts.items()):
        of_k = rater_weight(k, correlation)
        voxels += counts[first:].sum(axis=1)
        weight += of_k * counts[first:].sum(axis=1)
        total += of_k * (counts[first:] @ (np.arange(k + 1) / k))
    occupied: NDArray[np.intp] = np.flatnonzero(voxels)
    scale = voxels.sum() / weight.sum() if occupied.size else 1.0
    return Curve(
        level_values()[first:][occupied], scale * weight[occupied], np.clip(total[occupied] / weight[occupied], 0, 1)
    )


def _require_votes(table: ResponseTable) -> None:
    if table.withheld:
        raise CalibrationError(
            "a table with a minimum count does not tell how many raters saw a voxel; leave --weighting raters away"
        )
