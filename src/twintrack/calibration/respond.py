"""From the probabilities of a case to its responses, and to how sure they are where that is asked for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from twintrack.calibration.case_uncertainty import (
    DescribedCase,
    ExpectedInterval,
    ResponseBand,
    curve_band,
    curve_volumes,
)
from twintrack.calibration.methods import AnyMap, ConditionalMap, ResponseMap
from twintrack.calibration.methods.knots import KnotMap
from twintrack.calibration.tally import CaseTally
from twintrack.calibration.uncertainty import Uncertainty
from twintrack.calibration.volumes.summary import VolumeSummary
from twintrack.cohort import CaseData
from twintrack.compute.blocks import blocks, flat
from twintrack.compute.levels import level_histogram


@dataclass(frozen=True, eq=False)
class CaseResponse:
    """What a calibration says of a case.

    Attributes:
        response: float32 responses in [0, 1] on the case's grid; exactly 0 outside the ROI and, where the calibration
            pins it, where the probability is exactly 0.
        flags: In what the case is unlike the fitted ones, in words.
        interval: The interval of the expected volume; None where the calibration does not know how sure it is.
        band: Lower and upper response maps; None where they were not asked for.
    """

    response: NDArray[np.float32]
    flags: tuple[str, ...] = ()
    interval: ExpectedInterval | None = None
    band: ResponseBand | None = None


def respond(
    data: CaseData, fitted: AnyMap, *, pin_zero: bool, uncertainty: Uncertainty | None = None, band: bool = False
) -> CaseResponse:
    """Turn a case's probabilities into responses.

    Without `uncertainty` one volume is allocated, with the band three more; never one for each draw.

    Args:
        data: The case's voxels.
        fitted: The map.
        pin_zero: Whether a probability of exactly 0 keeps response 0.
        uncertainty: Maps of other draws of the patients, of the same kind; None: how sure the map is is not asked for.
        band: Whether lower and upper response maps are wanted.

    Returns:
        What the map says of the case, without flags.
    """
    if isinstance(fitted, ConditionalMap):
        if uncertainty is None:
            return CaseResponse(fitted.respond(data, data.probability()))
        return _respond_aware(data, fitted, uncertainty, band=band)
    if uncertainty is None:
        return CaseResponse(respond_in_place(data.probability(), fitted, pin_zero=pin_zero, roi=data.roi))
    return _respond_curve(data, fitted, uncertainty, pin_zero=pin_zero, band=band)


def respond_in_place(
    probability: NDArray[np.float32],
    response_map: Callable[[NDArray[Any]], NDArray[np.float64]],
    *,
    pin_zero: bool,
    roi: NDArray[np.uint8] | None,
) -> NDArray[np.float32]:
    """Turn probabilities into responses by a map of the probability alone, block by block.

    Args:
        probability: float32, any shape, contiguous; overwritten.
        response_map: The map.
        pin_zero: Whether a probability of exactly 0 keeps response 0.
        roi: Mask of that shape, outside which the response is 0; None: nowhere.

    Returns:
        The responses, the same array.
    """
    values = probability.reshape(-1)
    inside = None if roi is None else flat(roi)
    if isinstance(response_map, KnotMap):
        response_map.segments.replace(values, inside=inside, keep_zero=pin_zero)
        return probability
    for part in blocks(values.size):
        p = np.clip(values[part], 0.0, 1.0)
        response = response_map(p)
        if pin_zero:
            response[p == 0] = 0
        if inside is not None:
            response[inside[part] == 0] = 0
        values[part] = response
    return probability


def _respond_curve(
    data: CaseData, fitted: ResponseMap, uncertainty: Uncertainty, *, pin_zero: bool, band: bool
) -> CaseResponse:
    probability = data.probability()
    histogram = inside_histogram(probability, data.roi)

    def by(one: Callable[[NDArray[Any]], NDArray[np.float64]], p: NDArray[np.float32]) -> NDArray[np.float32]:
        return respond_in_place(p, one, pin_zero=pin_zero, roi=data.roi)

    response, found = by(fitted, probability.copy() if band else probability), None
    if band:
        low, high = curve_band(uncertainty)
        lower = by(low, probability.copy())
        found = ResponseBand.around(response, lower=lower, upper=by(high, probability))
    interval = curve_interval(
        histogram, uncertainty, pin_zero=pin_zero, expected=_expected(response), voxel_volume=data.grid.voxel_volume
    )
    return CaseResponse(response, interval=interval, band=found)


def inside_histogram(probability: NDArray[np.float32], roi: NDArray[np.uint8] | None) -> NDArray[np.int64]:
    """Count the voxels inside the ROI by level.

    Args:
        probability: float32 in [0, 1], exactly 0 outside the ROI.
        roi: Mask of that shape; None: all are inside.

    Returns:
        `N_LEVELS` counts.
    """
    histogram = level_histogram(probability)
    if roi is not None:
        histogram[0] -= np.count_nonzero(roi == 0)
    return histogram


def curve_interval(
    histogram: NDArray[np.int64], uncertainty: Uncertainty, *, pin_zero: bool, expected: float, voxel_volume: float
) -> ExpectedInterval:
    """Say how sure the expected volume of a case is, by maps of the probability alone.

    Args:
        histogram: As from `inside_histogram`.
        uncertainty: The maps of other draws.
        pin_zero: Whether a probability of exactly 0 keeps response 0.
        expected: The expected volume by the map itself, in voxels.
        voxel_volume: Volume of a voxel in mm³.

    Returns:
        The interval in mm³.
    """
    volumes = curve_volumes(uncertainty, CaseTally.of(histogram[:, np.newaxis], {}), pin_zero=pin_zero)
    return ExpectedInterval.of(volumes * voxel_volume, expected=expected * voxel_volume)


def _respond_aware(data: CaseData, fitted: ConditionalMap, uncertainty: Uncertainty, *, band: bool) -> CaseResponse:
    probability = data.probability()
    found = fitted.described(data, probability)
    seen = None if found is None else DescribedCase(found, fitted, uncertainty)
    response = probability.copy() if band else probability
    if seen is not None:
        seen.found.put(seen.response(), into=response)
    around = None
    if band:
        lower, upper = probability.copy(), probability
        if seen is not None:
            for values, into in zip(seen.band(), (lower, upper), strict=True):
                seen.found.put(values, into=into)
        around = ResponseBand.around(response, lower=lower, upper=upper)
    more = np.zeros(len(uncertainty.replicates)) if seen is None else seen.more_volume()
    expected = _expected(response)
    size = data.grid.voxel_volume
    interval = ExpectedInterval.of((expected + more) * size, expected=expected * size)
    return CaseResponse(response, interval=interval, band=around)


def _expected(response: NDArray[np.float32]) -> float:
    """Give the expected volume in voxels."""
    return VolumeSummary.of(response).expected
