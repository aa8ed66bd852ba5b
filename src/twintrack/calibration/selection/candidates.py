"""What can be chosen from, from the simplest to the most flexible."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from twintrack.calibration.conditional.fit import fit_conditional
from twintrack.calibration.conditional.model import ConditionalMap
from twintrack.calibration.conditional.reference import Reference, Towards
from twintrack.calibration.methods import AnyMap, ResponseMap, fit_map
from twintrack.calibration.sample import CaseSample, curve_of
from twintrack.calibration.selection.losses import Judged
from twintrack.calibration.volumes.summary import VolumeSummary

CONDITIONAL = "conditional"
"""The case-aware method."""

PRIOR_CASES: dict[Towards, tuple[float, ...]] = {
    "identity": (10.0, 3.0, 1.0, 0.3),
    "reference": (100.0, 30.0, 10.0, 3.0),
}
"""Strengths of the case-aware method's prior that are tried, in cases: towards no change, and towards the map of the
reference, the first of which leaves it nearly as it is where there are few cases."""

VOLUMES = (0.0, 0.5, 1.0)
"""How far the case-aware model's volume replaces the ensemble's."""

IDENTITY = "identity"

_COST_OF_MOVING = 0.3
_COST_OF_VOLUME = {"temperature": 3.0, "isotonic": 6.0, CONDITIONAL: 3.0}


@dataclass(frozen=True)
class Candidate:
    """One calibration that can be chosen.

    Attributes:
        method: Its method.
        prior_cases: For "conditional", how many cases that counts as which the fit is drawn to.
        volume: For "conditional", how far the model's volume replaces the ensemble's.
        towards: For "conditional", what the fit is drawn to.
    """

    method: str
    prior_cases: float = 1.0
    volume: float = 1.0
    towards: Towards = "identity"

    @property
    def cost(self) -> float:
        """What has to be gained before it is chosen, in losses of one case left alone, summed over all cases.

        To move responses about within a case costs little: every voxel of a rim tells something of it, and the less is
        learnt the stronger the prior. To change volumes costs more: of them a case is one number, and a few are soon
        all too large or all too small; and how far volumes are off is not the same for other networks, so that the
        reference's are no better to be trusted.
        """
        if self.method == IDENTITY:
            return 0.0
        if self.method != CONDITIONAL:
            return _COST_OF_VOLUME[self.method]
        return _COST_OF_MOVING / float(np.sqrt(self.prior_cases)) + _COST_OF_VOLUME[CONDITIONAL] * self.volume

    @property
    def name(self) -> str:
        """What it is called in tables."""
        if self.method != CONDITIONAL:
            return self.method
        return f"conditional, {self.towards} counts as {self.prior_cases:g} cases, volume {self.volume:g}"

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
                samples,
                reference,
                prior_cases=self.prior_cases,
                volume=self.volume,
                towards=self.towards,
                weights=weights,
                start=start,
            )
        return fit_map(self.method, curve_of(samples, weights))

    @classmethod
    def of(cls, fitted: AnyMap) -> Candidate:
        """Give the candidate that a map was fitted as."""
        if isinstance(fitted, ConditionalMap):
            return cls(CONDITIONAL, fitted.prior_cases, fitted.volume, fitted.towards)
        return cls(fitted.method)

    def variant_of(self, fitted: AnyMap) -> AnyMap:
        """Give this candidate's map from that of one which differs in `volume` only."""
        if isinstance(fitted, ConditionalMap):
            return fitted.model_copy(update={"volume": self.volume})
        return fitted


def conditional_candidates() -> tuple[Candidate, ...]:
    """Give the case-aware candidates: first those that keep the ensemble's volumes, the strongest prior first."""
    strengths = [(towards, cases) for towards, several in PRIOR_CASES.items() for cases in several]
    return tuple(Candidate(CONDITIONAL, cases, volume, towards) for volume in VOLUMES for towards, cases in strengths)


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
