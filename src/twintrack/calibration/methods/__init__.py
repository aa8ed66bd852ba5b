"""The methods: one file each, a small map that knows how to fit itself to a `Curve`; and the case-aware one."""

from __future__ import annotations

from typing import Annotated, TypeAlias

from pydantic import Field

from twintrack.calibration.conditional.model import ConditionalMap
from twintrack.calibration.curve import Curve
from twintrack.calibration.methods.base import ResponseMap
from twintrack.calibration.methods.beta import BetaMap
from twintrack.calibration.methods.centered_isotonic import CenteredIsotonicMap
from twintrack.calibration.methods.histogram import HistogramMap
from twintrack.calibration.methods.identity import IdentityMap
from twintrack.calibration.methods.isotonic import IsotonicMap
from twintrack.calibration.methods.platt import PlattMap
from twintrack.calibration.methods.temperature import TemperatureMap

AnyMap: TypeAlias = Annotated[
    IdentityMap
    | TemperatureMap
    | PlattMap
    | BetaMap
    | HistogramMap
    | IsotonicMap
    | CenteredIsotonicMap
    | ConditionalMap,
    Field(discriminator="method"),
]
"""Any fitted map, told apart by its field `method`."""

METHODS: dict[str, type[ResponseMap]] = {
    "identity": IdentityMap,
    "temperature": TemperatureMap,
    "platt": PlattMap,
    "beta": BetaMap,
    "histogram": HistogramMap,
    "isotonic": IsotonicMap,
    "centered-isotonic": CenteredIsotonicMap,
}
"""Every method that looks at the probability alone, by its name, from the simplest to the most flexible."""


def fit_map(method: str, curve: Curve) -> AnyMap:
    """Fit a map of the probability alone.

    Args:
        method: Its name, one of `METHODS`.
        curve: Mean target and weight by probability.

    Returns:
        The map.
    """
    fitted: AnyMap = METHODS[method].fit(curve)  # type: ignore[assignment]
    return fitted


__all__ = ["METHODS", "AnyMap", "ConditionalMap", "ResponseMap", "fit_map"]
