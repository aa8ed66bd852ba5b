"""The shared part of temperature, Platt and beta: a logistic model fitted to fractional responses."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import scipy
from numpy.typing import NDArray

from twintrack.calibration.curve import Curve
from twintrack.errors import CalibrationError


def fit_logistic(
    features: NDArray[np.float64],
    curve: Curve,
    *,
    start: Sequence[float],
    bounds: Sequence[tuple[float, float]],
) -> list[float]:
    """Minimise the weighted cross-entropy between the curve's response r and σ(x·θ).

    The loss Σ w [log(1 + exp(x·θ)) − r x·θ] / Σ w is convex in θ, so the minimum within the bounds is unique unless
    features are collinear. With r in [0, 1] it is the expected binary cross-entropy over the raters, a proper
    score for their mean.

    Args:
        features: x, shape (points, parameters).
        curve: Responses and weights of the points.
        start: Starting values of θ.
        bounds: Lower and upper bound of each parameter.

    Returns:
        θ.

    Raises:
        CalibrationError: If the optimiser fails.
    """
    weight = curve.weight / curve.weight.sum()
    scale = np.sqrt(weight @ features**2)
    scale[scale == 0] = 1.0
    scaled = features / scale

    def loss(theta: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        z = scaled @ theta
        value = float(weight @ (np.logaddexp(0.0, z) - curve.response * z))
        return value, scaled.T @ (weight * (scipy.special.expit(z) - curve.response))

    result = scipy.optimize.minimize(
        loss,
        np.asarray(start) * scale,
        jac=True,
        method="L-BFGS-B",
        bounds=[(low * s, high * s) for (low, high), s in zip(bounds, scale, strict=True)],
        options={"ftol": 1e-16, "gtol": 1e-10, "maxiter": 2000},
    )
    if not np.isfinite(result.x).all():
        raise CalibrationError(f"the fit did not converge: {result.message}")
    return [float(value) for value in result.x / scale]
