"""A monotone map given by knots, linear between them and constant outside: the form of both isotonic methods."""

from __future__ import annotations

from abc import ABC
from functools import cached_property, partial
from itertools import pairwise
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator
from typing_extensions import Self

from twintrack.calibration.methods.base import ResponseMap
from twintrack.compute.segments import Segments

UnitNumber = Annotated[float, Field(ge=0, le=1)]


class KnotMap(ResponseMap, ABC):
    """A non-decreasing, piecewise linear map.

    Attributes:
        probability: Positions of the knots, strictly increasing, in [0, 1].
        response: Values at the knots, non-decreasing, in [0, 1].
    """

    probability: tuple[UnitNumber, ...] = Field(min_length=1)
    response: tuple[UnitNumber, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _check_monotone(self) -> Self:
        if len(self.probability) != len(self.response):
            raise ValueError("probability and response of the knots differ in number")
        if any(a >= b for a, b in pairwise(self.probability)):
            raise ValueError("probabilities of the knots are not strictly increasing")
        if any(a > b for a, b in pairwise(self.response)):
            raise ValueError("responses of the knots decrease")
        return self

    def __call__(self, probability: NDArray[Any]) -> NDArray[np.float64]:
        """Map probabilities to responses by linear interpolation between the knots."""
        response: NDArray[np.float64] = self._between_knots(np.asarray(probability, np.float64))
        return response

    # Pitfall: two models that keep arrays cannot be compared; a function compares by identity and is passed over.
    @cached_property
    def _between_knots(self) -> partial[Any]:
        return partial(np.interp, xp=np.asarray(self.probability), fp=np.asarray(self.response))

    @cached_property
    def segments(self) -> Segments:
        """The same map for blocks of float32 probabilities, to the last bit, and many times as fast."""
        return Segments.between(np.asarray(self.probability), np.asarray(self.response))
