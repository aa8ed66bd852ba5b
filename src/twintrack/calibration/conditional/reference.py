"""What is known before any calibration case is seen: units of the features, and what a case tells of each."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import Annotated, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, model_validator
from typing_extensions import Self

from twintrack.calibration.conditional.describe import CASE_FEATURES, VOXEL_FEATURES

N_COEFFICIENTS = len(VOXEL_FEATURES) + 1 + 2 * len(CASE_FEATURES)
"""Coefficients of a map: one for each feature of a voxel, one for all alike, two for each feature of a case."""

Towards: TypeAlias = Literal["identity", "reference"]
"""What a fit is drawn to: no change, or the map that fits the reference's cases."""

Positive = Annotated[float, Field(gt=0)]


class Units(BaseModel):
    """In what units features are measured, so that coefficients of different cohorts mean the same.

    Attributes:
        voxel: The unit of each of `VOXEL_FEATURES`.
        case_centre: What counts as 0 of each of `CASE_FEATURES`.
        case: The unit of each of them.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    voxel: tuple[Positive, ...] = Field(min_length=len(VOXEL_FEATURES), max_length=len(VOXEL_FEATURES))
    case_centre: tuple[float, ...] = Field(min_length=len(CASE_FEATURES), max_length=len(CASE_FEATURES))
    case: tuple[Positive, ...] = Field(min_length=len(CASE_FEATURES), max_length=len(CASE_FEATURES))


class Reference(BaseModel):
    """What cohorts with many cases tell of how to fit one with few.

    Attributes:
        units: Units of the features.
        coefficients: Of the map that fits their cases.
        information: Mean over their cases of the Hessian of a case's loss at that map: what one case
            tells of the coefficients, symmetric. A prior that counts as λ cases has λ times this precision.
        about: Which cohorts.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    units: Units
    coefficients: tuple[float, ...] = Field(min_length=N_COEFFICIENTS, max_length=N_COEFFICIENTS)
    information: tuple[tuple[float, ...], ...]
    about: str

    @model_validator(mode="after")
    def _check_information(self) -> Self:
        if {len(self.information), *map(len, self.information)} != {N_COEFFICIENTS}:
            raise ValueError(f"the information is not a matrix of {N_COEFFICIENTS} rows and columns")
        matrix = self.precision
        if not np.allclose(matrix, matrix.T) or np.linalg.eigvalsh(matrix)[0] <= 0:
            raise ValueError("the information is not symmetric and positive definite")
        return self

    def centre(self, towards: Towards) -> NDArray[np.float64]:
        """Give the coefficients that a fit is drawn to, float64 (`N_COEFFICIENTS`,)."""
        return np.zeros(N_COEFFICIENTS) if towards == "identity" else np.array(self.coefficients, float)

    @property
    def precision(self) -> NDArray[np.float64]:
        """The information as an array, float64 (`N_COEFFICIENTS`, `N_COEFFICIENTS`)."""
        return np.array(self.information, float)


@cache
def shipped_reference() -> Reference:
    """Give the reference that comes with the package; docs/calibration.md says which cohorts it is from."""
    text = (files("twintrack.calibration.conditional") / "reference.json").read_text(encoding="utf-8")
    return Reference.model_validate_json(text)
