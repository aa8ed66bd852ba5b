"""The case-aware map: a logistic model of the features, monotone in the probability, and aware of volume."""

from __future__ import annotations

from typing import Literal

import numpy as np
import scipy
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from twintrack.calibration.conditional.describe import FLOOR, STEEPEST_BEND, Description, Traits, describe
from twintrack.calibration.conditional.reference import N_COEFFICIENTS, Towards, Units
from twintrack.cohort import CaseData
from twintrack.errors import CalibrationError

LEAST_SLOPE = 0.05
"""What the response's logit grows by, at least, for each unit of the probability's."""

_FARTHEST = 3.0
"""Case features count as at most so many units from the centre: beyond, nothing was seen."""

_BOUND = 30.0  # logits: no shift is larger
_NEWTON_STEPS = 60
_CLOSE_ENOUGH = 1e-7  # of the volume


class ConditionalMap(BaseModel):
    """logit r = a(case) logit p + b(case) + Σ c_j x_j(voxel), the x_j being `VOXEL_FEATURES` but the first.

    a = 1 + c_0 + Σ u_k y_k is linear in the `CASE_FEATURES` y; it and c_1, of the bend, are kept such that the slope in
    logit p is at least `LEAST_SLOPE`: of two voxels alike in all else the one with the larger probability has the
    larger response. b = c_b + Σ v_k y_k + s, where the shift s
    gives the case the volume V = (Σ p)^(1 − t) (Σ r at s = 0)^t: with t = 0 the ensemble's own volume is kept and
    responses are only moved about, with t = 1 the model's is taken.

    Probabilities below `FLOOR` stay as they are, and those above it do not fall below it. Coefficients of 0 are the
    identity.

    Attributes:
        method: "conditional".
        dimensions: Of the cases it was fitted to; others are refused.
        units: Units of the features.
        coefficients: c_0 (of logit p), c_b (of all alike), c_1 … (of the other voxel features), v (of the case
            features), u (of the case features times logit p).
        volume: t, between 0 and 1.
        towards: What the fit was drawn to.
        prior_cases: How many cases that counted as.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    method: Literal["conditional"] = "conditional"
    dimensions: int = Field(ge=1, le=3)
    units: Units
    coefficients: tuple[float, ...] = Field(min_length=N_COEFFICIENTS, max_length=N_COEFFICIENTS)
    volume: float = Field(ge=0, le=1)
    towards: Towards = "identity"
    prior_cases: float = Field(gt=0)

    def respond(self, data: CaseData, probability: NDArray[np.float32]) -> NDArray[np.float32]:
        """Turn a case's probabilities into responses, in place.

        Args:
            data: The case's voxels.
            probability: `data.probability()`; overwritten.

        Returns:
            The responses, the same array.

        Raises:
            CalibrationError: If the case has not as many dimensions as the fitted ones.
        """
        found = self.described(data, probability)
        if found is not None:
            found.put(self.response_of(found.voxel, found.traits, found.probability), into=probability)
        return probability

    def described(self, data: CaseData, probability: NDArray[np.float32]) -> Description | None:
        """Describe a case that is to be responded to.

        Args:
            data: The case's voxels.
            probability: `data.probability()`; clipped to [0, 1] in place.

        Returns:
            The description; None where no probability reaches `FLOOR`.

        Raises:
            CalibrationError: If the case has not as many dimensions as the fitted ones.
        """
        np.clip(probability, 0, 1, out=probability)  # a softmax may lie outside by rounding
        found = describe(data, probability)
        if found is not None and found.traits.dimensions != self.dimensions:
            raise CalibrationError(
                f"case {data.id}: it has {found.traits.dimensions} dimensions, the cases of this case-aware "
                f"calibration {self.dimensions}; fit a calibration to cases like it"
            )
        return found

    def response_of(
        self,
        voxel: NDArray[np.float32],
        traits: Traits,
        probability: NDArray[np.float64],
        weight: NDArray[np.float64] | None = None,
    ) -> NDArray[np.float64]:
        """Give the responses of a case's described voxels.

        Args:
            voxel: Their features, (n, V).
            traits: The case's traits.
            probability: Their probabilities, (n,).
            weight: How many voxels each stands for, (n,); by default one.

        Returns:
            float64 (n,), at least `FLOOR`.
        """
        logit = self._logit(voxel, traits)
        logit += self._shift(logit, probability, weight)
        return np.asarray(np.maximum(scipy.special.expit(logit), FLOOR))

    def shift_of(
        self,
        voxel: NDArray[np.float32],
        traits: Traits,
        probability: NDArray[np.float64],
        weight: NDArray[np.float64] | None = None,
    ) -> float:
        """Give the shift s of a case, with which `shifted_response_of` needs only some of its voxels at a time.

        Args:
            voxel: Features of the case's described voxels, (n, V).
            traits: The case's traits.
            probability: Their probabilities, (n,).
            weight: How many voxels each stands for, (n,); by default one.

        Returns:
            The shift, logits.
        """
        return self._shift(self._logit(voxel, traits), probability, weight)

    def shifted_response_of(self, voxel: NDArray[np.float32], traits: Traits, shift: float) -> NDArray[np.float64]:
        """Give the responses of some described voxels of a case whose shift is known.

        Args:
            voxel: Their features, (n, V).
            traits: The case's traits.
            shift: From `shift_of`.

        Returns:
            float64 (n,), at least `FLOOR`.
        """
        return np.asarray(np.maximum(scipy.special.expit(self._logit(voxel, traits) + shift), FLOOR))

    def _shift(
        self, logit: NDArray[np.float64], probability: NDArray[np.float64], weight: NDArray[np.float64] | None
    ) -> float:
        if self.volume == 1:
            return 0.0
        each = np.ones_like(logit) if weight is None else weight
        kept, modelled = float(each @ probability), float(each @ np.maximum(scipy.special.expit(logit), FLOOR))
        return shift_to(logit, each, kept ** (1 - self.volume) * modelled**self.volume)

    def _logit(self, voxel: NDArray[np.float32], traits: Traits) -> NDArray[np.float64]:
        c, n_case = np.array(self.coefficients), traits.features.size
        y = case_units(traits, self.units)
        each = c[2 : -2 * n_case] / np.asarray(self.units.voxel[1:])
        slope = max(1 + (c[0] + c[-n_case:] @ y) / self.units.voxel[0], LEAST_SLOPE)
        each[0] = max(each[0], (LEAST_SLOPE - slope) / STEEPEST_BEND)
        logit = slope * voxel[:, 0].astype(np.float64) + voxel[:, 1:] @ each
        return np.asarray(logit + c[1] + c[-2 * n_case : -n_case] @ y)


def design(voxel: NDArray[np.float32], traits: Traits, units: Units) -> NDArray[np.float32]:
    """Give what each coefficient is multiplied with.

    Args:
        voxel: Features of a case's voxels, (n, V).
        traits: The case's traits.
        units: Units of the features.

    Returns:
        float32 (n, `N_COEFFICIENTS`), in the order of `ConditionalMap.coefficients`.
    """
    x = voxel / np.asarray(units.voxel, np.float32)
    y = case_units(traits, units).astype(np.float32)
    logit, rest = x[:, :1], x[:, 1:]
    one = np.ones_like(logit)
    return np.concatenate([logit, one, rest, one * y, logit * y], axis=1)


def case_units(traits: Traits, units: Units) -> NDArray[np.float64]:
    """Give the case features in their units, kept within what was seen."""
    y = (traits.features - np.asarray(units.case_centre)) / np.asarray(units.case)
    return np.asarray(np.clip(y, -_FARTHEST, _FARTHEST))


def shift_to(logit: NDArray[np.float64], weight: NDArray[np.float64], volume: float) -> float:
    """Find the shift s with Σ w max(σ(logit + s), `FLOOR`) = volume, by Newton steps within a shrinking bracket.

    Args:
        logit: (n,).
        weight: (n,), positive.
        volume: Wanted; as near as a shift within ±30 comes where it is out of reach.

    Returns:
        The shift.
    """
    low, high, shift = -_BOUND, _BOUND, 0.0
    for _ in range(_NEWTON_STEPS):
        r = scipy.special.expit(logit + shift)
        excess = float(weight @ np.maximum(r, FLOOR)) - volume
        if abs(excess) <= _CLOSE_ENOUGH * volume:
            break
        low, high = (low, shift) if excess > 0 else (shift, high)
        slope = float(weight @ np.where(r > FLOOR, r * (1 - r), 0))
        step = shift - excess / slope if slope > 0 else low
        shift = step if low < step < high else (low + high) / 2
    return shift
