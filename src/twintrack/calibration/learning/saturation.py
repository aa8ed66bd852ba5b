"""The curve that a criterion follows as cases are added: f(n) = a + b n^(−c), which falls towards the plateau a."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

EXPONENTS = np.geomspace(0.25, 2.0, 25)
"""Exponents c that are tried."""

_MIDDLE, _OCTAVES = 0.0, 1.0  # log₂ c and its standard deviation before any curve is seen


@dataclass(frozen=True, eq=False)
class Saturations:
    """One or many curves.

    Attributes:
        plateau: a, at least 0, float64 (B,).
        amount: b, at least 0, (B,).
        exponent: c, one of `EXPONENTS`, (B,).
    """

    plateau: NDArray[np.float64]
    amount: NDArray[np.float64]
    exponent: NDArray[np.float64]

    def at(self, sizes: Sequence[float] | NDArray[np.float64]) -> NDArray[np.float64]:
        """Give their values.

        Args:
            sizes: Numbers of cases, (S,).

        Returns:
            float64 (B, S).
        """
        n = np.asarray(sizes, float)
        return np.asarray(self.plateau[:, None] + self.amount[:, None] * n ** -self.exponent[:, None])

    def reaching(self, tolerance: float) -> NDArray[np.float64]:
        """Give the number of cases from which on a curve is above its plateau by no more than a fraction of it.

        Args:
            tolerance: The fraction, above 0.

        Returns:
            float64 (B,): 0 where a curve does not fall, infinite where its plateau is 0.
        """
        with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
            n = (self.amount / (tolerance * self.plateau)) ** (1 / self.exponent)
        return np.where(self.amount > 0, n, 0.0)


def fit_saturations(
    sizes: Sequence[int],
    curves: NDArray[np.float64],
    variance: NDArray[np.float64],
    *,
    shift: NDArray[np.float64] | None = None,
) -> Saturations:
    """Fit curves by weighted least squares with a ≥ 0 and b ≥ 0.

    Few points hardly tell c. Losses of a map with a fixed number of coefficients fall with 1/n, so c is drawn to 1:
    log₂ c counts as one more observation, of value 0 and standard deviation 1.

    Args:
        sizes: Numbers of cases, (S,), different.
        curves: Criteria, (B, S).
        variance: Of each point about the curve, (S,), positive.
        shift: Value of the additional observation in standard deviations, (B,), for curves whose points were resampled;
            by default 0.

    Returns:
        The curves, (B,).
    """
    n, weight = np.asarray(sizes, float), 1 / np.asarray(variance, float)
    expected = np.zeros(len(curves)) if shift is None else shift
    tried = [_with_exponent(c, n, curves, weight) for c in EXPONENTS]
    costs = (
        np.stack([cost for _, _, cost in tried]) + ((np.log2(EXPONENTS)[:, None] - _MIDDLE) / _OCTAVES - expected) ** 2
    )
    best = costs.argmin(axis=0)
    rows = np.arange(len(curves))
    return Saturations(
        plateau=np.stack([a for a, _, _ in tried])[best, rows],
        amount=np.stack([b for _, b, _ in tried])[best, rows],
        exponent=EXPONENTS[best],
    )


def _with_exponent(
    c: float, n: NDArray[np.float64], curves: NDArray[np.float64], weight: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Give a, b and the weighted sum of squares, (B,) each."""
    x, share = n**-c, weight / weight.sum()
    middle, means = float(x @ share), curves @ share
    b = np.maximum(((curves - means[:, None]) * (x - middle)) @ share / float((x - middle) ** 2 @ share), 0)
    a = means - b * middle
    below = a < 0
    a[below] = 0
    b[below] = (curves[below] * x) @ share / float(x**2 @ share)
    rest = curves - a[:, None] - b[:, None] * x
    return a, b, np.asarray(rest**2 @ weight)
