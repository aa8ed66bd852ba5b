"""What is to be expected of a further value after n values of the same kind: limits with a stated rate of false alarms.

Both limits are the wider of two. One takes the values for normal and is right for any n if they are; with few values it
reaches beyond them, else one new value in n would be called unusual. The other is a rank: a further value is beyond the
k-th largest of n exchangeable values with a chance of at most k / (n + 1), whatever their distribution (conformal
prediction; Vovk, Gammerman and Shafer, "Algorithmic Learning in a Random World", 2005). So where n + 1 ≥ 1 / alpha (two
sides: 2 / alpha) the rate is at most `alpha` without any assumption; with fewer it is at most 1 / (n + 1) (two sides:
2 / (n + 1)), and about `alpha` if the values are normal. A value between the smallest and the largest is unusual only
where n + 1 is at least twice that.
"""

from __future__ import annotations

import numpy as np
import scipy
from numpy.typing import NDArray

_ROUNDING = 1e-9


def prediction_interval(
    values: NDArray[np.float64], given: NDArray[np.float64], at: NDArray[np.float64], *, alpha: float, least: float
) -> tuple[float, float] | None:
    """Give the interval in which a further value is to be expected, by linear regression on what is given with it.

    With nothing given it lies about the mean. Values are compared by their residuals, each divided by its own standard
    deviation; after a regression they are exchangeable only nearly, so that the rank's promise holds nearly.

    Args:
        values: (n,).
        given: What is known of each, (n, q); q may be 0.
        at: What is known of the further one, (q,).
        alpha: How often a further value may lie outside.
        least: Standard deviation of the residuals that is assumed at least.

    Returns:
        Lower and upper end; None where n values leave no degree of freedom.
    """
    n, q = given.shape
    freedom = n - q - 1
    if freedom < 1:
        return None
    centre = given.mean(axis=0)
    design = np.column_stack([np.ones(n), given - centre])
    inverse = np.linalg.pinv(design)
    slopes = inverse @ values
    residual = values - design @ slopes
    share = np.clip(1 - np.einsum("ij,ji->i", design, inverse), _ROUNDING, 1)
    own = np.sort(residual / np.sqrt(share))
    quantile = float(scipy.special.stdtrit(freedom, 1 - alpha / 2))
    reach = quantile * max(float(np.sqrt(residual @ residual / freedom)), least)
    rank = max(int((n + 1) * alpha / 2), 1)
    here = np.concatenate([[1.0], at - centre])
    width = float(np.sqrt(1 + here @ inverse @ inverse.T @ here))
    middle = float(here @ slopes)
    low, high = min(-reach, own[rank - 1]), max(reach, own[n - rank])
    return middle + width * low - _ROUNDING, middle + width * high + _ROUNDING


def upper_limit(
    values: NDArray[np.float64], *, centre: float, spread: float, freedom: float, alpha: float, least: float
) -> float:
    """Give what a further value is to be expected not to exceed.

    Args:
        values: (n,).
        centre: Their middle.
        spread: Their standard deviation, or what stands for it.
        freedom: Degrees of freedom of `spread`.
        alpha: How often a further value may exceed it.
        least: Spread that is assumed at least.

    Returns:
        The limit.
    """
    n = values.size
    quantile = float(scipy.special.stdtrit(max(freedom, 1.0), 1 - alpha))
    reach = quantile * max(spread, least) * float(np.sqrt(1 + 1 / n))
    rank = max(int((n + 1) * alpha), 1)
    return max(centre + reach, float(np.sort(values)[n - rank])) + _ROUNDING
