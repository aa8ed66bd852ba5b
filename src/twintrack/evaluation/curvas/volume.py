"""Continuous ranked probability score of the tumour volume, as the benchmark's evaluator integrates it.

The raters' volumes are taken as a Gaussian with distribution function F, the prediction as a number x:
CRPS = ∫ (F(v) − 1[v ≥ x])² dv, in the unit of the volume. Its closed form is
`twintrack.evaluation.scores.volume.crps_gaussian`.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.integrate import quad
from scipy.special import ndtr, ndtri


def integrated_crps(value: float, samples: Sequence[float]) -> float:
    """Give the score of a number against a Gaussian through samples, as the benchmark's evaluator does.

    The Gaussian (population SD) is kept as its distribution function at 100 points between its 1 % and 99 %
    quantiles, with straight lines between them, 0 before and 1 after; an adaptive quadrature runs from mean -
    3 SD to mean + 3 SD. Hence two quirks: a prediction outside that range scores the same however far it is,
    and raters who agree exactly give a range of width 0 and the score 0, whatever is predicted.

    Args:
        value: The predicted volume.
        samples: The raters' volumes, at least one, in the same unit.

    Returns:
        The score, in the same unit.
    """
    mean, sd = float(np.mean(samples)), float(np.std(samples))
    if sd == 0:
        return 0.0
    volumes = mean + sd * np.linspace(ndtri(0.01), ndtri(0.99), 100)
    levels = ndtr((volumes - mean) / sd)

    def integrand(volume: float) -> float:
        level = float(np.interp(volume, volumes, levels, left=0.0, right=1.0))
        return (level - float(volume >= value)) ** 2

    # full_output, lest it warn on every case: the integrand's step exhausts the subdivisions.
    return float(quad(integrand, mean - 3 * sd, mean + 3 * sd, full_output=1)[0])
