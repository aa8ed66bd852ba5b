"""What can be chosen from, from the simplest to the most flexible."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from twintrack.calibration.conditional.fit import fit_conditional
from twintrack.calibration.conditional.model import ConditionalMap
from twintrack.calibration.conditional.reference import Reference
from twintrack.calibration.methods import AnyMap, ResponseMap, fit_map
from twintrack.calibration.sample import CaseSample, curve_of
from twintrack.calibration.selection.losses import Judged
from twintrack.calibration.volume_distribution import VolumeSummary

CONDITIONAL = "conditional"
"""The case-aware method."""

PRIOR_CASES = (10.0, 3.0, 1.0, 0.3)
"""Strengths of the case-aware method's prior that are tried, in cases."""

VOLUMES = (0.0, 0.5, 1.0)
"""How far the case-aware model's volume replaces the ensemble's."""

IDENTITY = "identity"

_COST_OF_MOVING = 0.3
_COST_OF_VOLUME = 1.5
_FREEDOM = {"temperature": 1.0, "isotonic": 3.0}


@dataclass(frozen=True)
class Candidate:
    """One calibration that can be chosen.

    Attributes:
        method: Its method.
        prior_cases: For "conditional", how many cases the identity counts as.
        volume: For "conditional", how far the model's volume replaces the ensemble's.
    """

    method: str
    prior_cases: float = 1.0
    volume: float = 1.0

    @property
    def keeps_volume(self) -> bool:
        """Whether the ensemble's own volumes are kept."""
        return self.method == IDENTITY or (self.method == CONDITIONAL and self.volume == 0)

    @property
    def cost(self) -> float:
        """What has to be gained before it is chosen, in losses of one case left alone, summed over all cases.

        A method that changes volumes learns from one number per case, and a few cases are soon all too large or all too
        small; one that only moves responses about within a case learns from every voxel of a rim.
        """
        if self.method == IDENTITY:
            return 0.0
        if self.keeps_volume:
            return float(_COST_OF_MOVING / np.sqrt(self.prior_cases))
        return _COST_OF_VOLUME * (1 + _FREEDOM.get(self.method, self.volume))

    @property
    def name(self) -> str:
        """What it is called in tables."""
        if self.method != CONDITIONAL:
            return self.method
        return f"conditional, identity counts as {self.prior_cases:g} cases, volume {self.volume:g}"

    def fit(
        self,
        samples: Sequence[CaseSample],
        reference: Reference,
        *,
        weights: Sequence[float] | None = None,
        near: AnyMap | None = None,
    ) -> AnyMap:
        """Fit it.

        Args:
            samples: The cases.
            reference: For "conditional".
            weights: How often each case counts; by default once.
            near: A map of the same method on nearly the same cases, to begin with.

        Returns:
            The map.

        Raises:
            CalibrationError: If it cannot be fitted to these cases.
        """
        if self.method == CONDITIONAL:
            start = np.array(near.coefficients) if isinstance(near, ConditionalMap) else None
            return fit_conditional(
                samples, reference, prior_cases=self.prior_cases, volume=self.volume, weights=weights, start=start
            )
        return fit_map(self.method, curve_of(samples, weights))

    @classmethod
    def of(cls, fitted: AnyMap) -> Candidate:
        """Give the candidate that a map was fitted as."""
        if isinstance(fitted, ConditionalMap):
            return cls(CONDITIONAL, fitted.prior_cases, fitted.volume)
        return cls(fitted.method)

    def variant_of(self, fitted: AnyMap) -> AnyMap:
        """Give this candidate's map from that of one which differs in `volume` only."""
        if isinstance(fitted, ConditionalMap):
            return fitted.model_copy(update={"volume": self.volume})
        return fitted


def conditional_candidates() -> tuple[Candidate, ...]:
    """Give the case-aware candidates: first those that keep the ensemble's volumes, the strongest prior first."""
    return tuple(Candidate(CONDITIONAL, cases, volume) for volume in VOLUMES for cases in PRIOR_CASES)


def all_candidates() -> tuple[Candidate, ...]:
    """Give everything that "auto" chooses from, from the simplest to the most flexible."""
    return (Candidate(IDENTITY), Candidate("temperature"), *conditional_candidates(), Candidate("isotonic"))


def judge(fitted: AnyMap, sample: CaseSample) -> Judged:
    """Apply a map to a sample.

    Args:
        fitted: The map.
        sample: The case.

    Returns:
        Its responses.
    """
    if isinstance(fitted, ResponseMap):
        return Judged(fitted(sample.low.probability), fitted(sample.high.probability))
    if sample.traits is None:
        return Judged(sample.low.probability, sample.high.probability)
    high = fitted.response_of(sample.voxel, sample.traits, sample.high.probability, sample.high.weight)
    return Judged(sample.low.probability, high)


def volume_summary(fitted: AnyMap, sample: CaseSample) -> VolumeSummary:
    """Summarise the responses that a map gives to a case, for the distribution of its raters' volumes."""
    found = judge(fitted, sample)
    return VolumeSummary.of(
        np.concatenate([found.low, found.high]), voxels=np.concatenate([sample.low.weight, sample.high.weight])
    )
