"""Volume: the expected volume of a response map against the volumes the raters drew."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.special import ndtr

_FAR = 40.0
"""Standard deviations beyond which Φ is 0 or 1 and φ is 0 to the last digit."""


def crps_gaussian(value: float, samples: Sequence[float]) -> float:
    """Give the continuous ranked probability score of a number against a Gaussian through samples.

    With μ the mean and σ the population standard deviation of the samples and z = (value − μ) / σ:
    CRPS = σ [z (2Φ(z) − 1) + 2φ(z) − 1/√π]. Gneiting, Raftery (2007), Strictly Proper Scoring Rules, Prediction, and
    Estimation, section 4.2. For σ = 0 its limit |value − μ|. CURVAS uses it with the raters' volumes as the
    distribution and the predicted volume as the observation.

    Args:
        value: The predicted volume.
        samples: The raters' volumes, at least one, in the same unit.

    Returns:
        The score, in the same unit; 0 at best.
    """
    mean, sd = float(np.mean(samples)), float(np.std(samples))
    if sd == 0:
        return abs(value - mean)
    z = (value - mean) / sd
    if abs(z) > _FAR:
        return abs(value - mean) - sd / float(np.sqrt(np.pi))
    density = float(np.exp(-(z**2) / 2) / np.sqrt(2 * np.pi))
    return sd * (z * (2 * float(ndtr(z)) - 1) + 2 * density - 1 / float(np.sqrt(np.pi)))


def crps_empirical(value: float, samples: Sequence[float]) -> float:
    """Give the continuous ranked probability score of a number against the samples themselves.

    CRPS = mean |xᵢ − value| − ½ mean |xᵢ − xⱼ| over all i and all pairs (i, j): the exact integral of
    (F(x) − 1{x ≥ value})² for the step function F of the samples. Gneiting, Raftery (2007), equation 21.

    Args:
        value: The predicted volume.
        samples: The raters' volumes, at least one, in the same unit.

    Returns:
        The score, in the same unit; 0 at best.
    """
    x = np.asarray(samples, float)
    return float(np.abs(x - value).mean() - np.abs(x[:, None] - x[None, :]).mean() / 2)
