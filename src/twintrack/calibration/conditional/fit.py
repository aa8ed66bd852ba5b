"""Fits the case-aware map: penalised cross-entropy per case, with the case's volume in the loss."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import scipy
from numpy.typing import NDArray

from twintrack.calibration.conditional.describe import FLOOR
from twintrack.calibration.conditional.model import ConditionalMap, design
from twintrack.calibration.conditional.reference import N_COEFFICIENTS, Reference, Towards, Units
from twintrack.calibration.sample import CaseSample
from twintrack.errors import CalibrationError

VOLUME = 0.3
"""Weight of a case's volume error beside its cross-entropy: a voxel of volume too much counts as so many nats."""

_STEPS = 50
_SMALLEST_STEP = 1e-10
_ENOUGH = 1e-8  # relative decrease of the loss below which the fit ends


@dataclass(frozen=True, eq=False)
class Terms:
    """One case, ready to be summed.

    Attributes:
        x: What the coefficients are multiplied with, float32 (n, `N_COEFFICIENTS`).
        logit: Of the probability, float64 (n,).
        response: Mean response, (n,).
        weight: Voxels each row stands for, (n,).
        volume: Voxels the raters drew on average among the rows.
        scale: What the case's loss is multiplied with.
    """

    x: NDArray[np.float32]
    logit: NDArray[np.float64]
    response: NDArray[np.float64]
    weight: NDArray[np.float64]
    volume: float
    scale: float

    @classmethod
    def of(cls, sample: CaseSample, units: Units, *, weight: float = 1.0) -> Terms | None:
        """Prepare a sample; None where nothing is described.

        The loss is in mm: nats times mm³ over mm² of surface. So a case counts by the width of its uncertain rim, not
        by its size, and as much on a fine grid as on a coarse one.
        """
        if sample.traits is None:
            return None
        return cls(
            x=design(sample.voxel, sample.traits, units),
            logit=sample.voxel[:, 0].astype(np.float64),
            response=sample.high.response,
            weight=sample.high.weight,
            volume=float(np.mean(sample.drawn)) - float(sample.low.weight @ sample.low.probability),
            scale=weight * sample.traits.voxel_volume / sample.traits.surface,
        )

    def loss(self, coefficients: NDArray[np.float64]) -> float:
        """Give the loss: Σ w [log(1 + e^q) − r q] + `VOLUME` √((Σ w σ(q) − volume)² + 1), scaled."""
        q = self.logit + self.x @ coefficients.astype(np.float32)
        miss = float(self.weight @ scipy.special.expit(q)) - self.volume
        entropy = float(self.weight @ (np.logaddexp(0.0, q) - self.response * q))
        return self.scale * (entropy + VOLUME * float(np.hypot(miss, 1.0)))

    def derivatives(self, coefficients: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Give gradient and a positive semi-definite Hessian (without the volume's curvature through σ)."""
        r = scipy.special.expit(self.logit + self.x @ coefficients.astype(np.float32))
        spread = self.weight * r * (1 - r)
        miss = float(self.weight @ r) - self.volume
        length = float(np.hypot(miss, 1.0))
        toward = (spread.astype(np.float32) @ self.x).astype(np.float64)
        gradient = ((self.weight * (r - self.response)).astype(np.float32) @ self.x).astype(np.float64)
        gradient += VOLUME * miss / length * toward
        curvature = (self.x.T @ (self.x * spread[:, None].astype(np.float32))).astype(np.float64)
        curvature += VOLUME / length**3 * np.outer(toward, toward)
        return self.scale * gradient, self.scale * curvature


def fit_coefficients(
    terms: Sequence[Terms],
    precision: NDArray[np.float64],
    *,
    centre: NDArray[np.float64] | None = None,
    start: NDArray[np.float64] | None = None,
) -> NDArray[np.float64]:
    """Minimise Σ losses + ½ (θ − centre)ᵀ precision (θ − centre) by damped Newton steps.

    Args:
        terms: The cases.
        precision: How strongly coefficients are drawn towards the centre; positive definite.
        centre: By default 0, the identity.
        start: Where to begin; by default at the centre.

    Returns:
        θ, float64 (`N_COEFFICIENTS`,).

    Raises:
        CalibrationError: If the loss is not finite.
    """
    middle = np.zeros(N_COEFFICIENTS) if centre is None else centre
    theta = middle.copy() if start is None else start.copy()

    def total(at: NDArray[np.float64]) -> float:
        away = at - middle
        return sum(term.loss(at) for term in terms) + 0.5 * float(away @ precision @ away)

    value = total(theta)
    for _ in range(_STEPS):
        gradient, curvature = precision @ (theta - middle), precision.copy()
        for term in terms:
            g, h = term.derivatives(theta)
            gradient += g
            curvature += h
        step, size = np.linalg.solve(curvature, -gradient), 1.0
        while (after := total(theta + size * step)) > value and size > _SMALLEST_STEP:
            size /= 2
        if not np.isfinite(after):
            raise CalibrationError("the case-aware fit did not converge: its loss is no number")
        if after >= value:
            break
        theta, before, value = theta + size * step, value, after
        if before - value < _ENOUGH * abs(before):
            break
    return theta


def fit_conditional(
    samples: Sequence[CaseSample],
    reference: Reference,
    *,
    prior_cases: float,
    volume: float,
    towards: Towards = "identity",
    weights: Sequence[float] | None = None,
    start: NDArray[np.float64] | None = None,
) -> ConditionalMap:
    """Fit the map.

    Args:
        samples: The calibration cases.
        reference: Units, what one case tells of each coefficient, and a map to be drawn to.
        prior_cases: λ: what the fit is drawn to counts as so many cases.
        volume: t: how far the model's volume replaces the ensemble's, between 0 and 1.
        towards: What the fit is drawn to: the identity, or the reference's map.
        weights: Weight of each case; by default all alike.
        start: Coefficients to begin with.

    Returns:
        The map.

    Raises:
        CalibrationError: If no case has a probability of at least `FLOOR`, cases of two and of three dimensions are
            mixed, or the fit fails.
    """
    dimensions = {sample.traits.dimensions for sample in samples if sample.traits is not None}
    if len(dimensions) > 1:
        raise CalibrationError(
            f"cases of {' and '.join(map(str, sorted(dimensions)))} dimensions cannot be fitted together: volumes and "
            "distances do not mean the same in them. Fit to the cases of one kind"
        )
    given = [1.0] * len(samples) if weights is None else weights
    found = (Terms.of(s, reference.units, weight=w) for s, w in zip(samples, given, strict=True) if w > 0)
    terms = [term for term in found if term is not None]
    if not terms:
        raise CalibrationError(f"there is nothing to fit: no case has a probability of at least {FLOOR:g}")
    theta = fit_coefficients(terms, prior_cases * reference.precision, centre=reference.centre(towards), start=start)
    return ConditionalMap(
        dimensions=dimensions.pop(),
        units=reference.units,
        coefficients=tuple(theta.tolist()),
        volume=volume,
        towards=towards,
        prior_cases=prior_cases,
    )
