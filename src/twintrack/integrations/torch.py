"""From probabilities to responses as PyTorch tensors: numbers stay on their device wherever the method allows it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from twintrack.calibration import Calibration
from twintrack.calibration.methods import AnyMap, ConditionalMap
from twintrack.calibration.methods.base import HIGHEST, LOWEST
from twintrack.calibration.methods.beta import BetaMap
from twintrack.calibration.methods.histogram import HistogramMap
from twintrack.calibration.methods.knots import KnotMap
from twintrack.calibration.methods.platt import PlattMap
from twintrack.calibration.methods.temperature import TemperatureMap
from twintrack.calibration.respond import respond_in_place
from twintrack.cohort import Case
from twintrack.cohort.checks import ROUNDING
from twintrack.errors import CalibrationError, InputError, MissingExtraError

try:
    import torch
except ModuleNotFoundError as error:
    raise MissingExtraError("twintrack.integrations.torch needs torch: pip install torch (docs/install.md)") from error

BLOCK = 1 << 22
"""Voxels that are worked on at once away from the host: the arithmetic is float64 and takes some 200 MB of the device
for this many, whatever the size of the volume."""

_HOST_DEVICES = ("cpu", "mps")
"""Where NumPy does the work: in the same memory on "cpu"; "mps" has no float64, so its numbers are copied."""


def respond(calibration: Calibration, probability: torch.Tensor, *, roi: torch.Tensor | None = None) -> torch.Tensor:
    """Turn probabilities into responses by a map of the probability alone, where the tensor is.

    On the CPU the tensor's memory is read as a NumPy array and the result is a tensor over NumPy's memory: one volume
    is allocated, that of the result, and the numbers are those of `Calibration.apply`. On another device the map is
    evaluated there, in float64, block by block; nothing but the map's few parameters and two numbers that say whether
    all probabilities are in range passes between host and device. Responses then differ from NumPy's by the rounding
    of float64 sums, at most one unit in the last place of float32 (6e-8; shown on the CPU, where there was no other
    device). As with an array, nothing is known of the case, so that it is not compared with the fitted ones
    (`respond_to_case` does).

    Args:
        calibration: Any but a case-aware one.
        probability: Merged probability, floating, any shape. It is not changed, and no gradient flows through.
        roi: Mask of that shape and device, outside which the response is 0. None: everywhere.

    Returns:
        float32 responses of the same shape on the same device, exactly 0 outside the ROI and, where the calibration
        pins it, where the probability is exactly 0.

    Raises:
        CalibrationError: If the calibration is case-aware.
        InputError: If the tensor is not floating, a probability is not in [0, 1], or the ROI is of another shape or
            device.
    """
    if isinstance(calibration.map, ConditionalMap):
        raise CalibrationError(
            "this calibration is case-aware: it looks at a voxel's surroundings, the ROI and the voxel size. "
            "Use respond_to_case(calibration, members, spacing=...)"
        )
    _check(probability, roi)
    p = probability.detach().to(torch.float32)
    if p.device.type not in _HOST_DEVICES:
        return _on_device(calibration.map, p, roi, pin_zero=calibration.pin_zero)
    inside = None if roi is None else np.ascontiguousarray(_host(roi != 0).view(np.uint8))
    response = respond_in_place(
        np.array(_host(p), order="C"), calibration.map, pin_zero=calibration.pin_zero, roi=inside
    )
    return torch.from_numpy(response).to(p.device)


def respond_to_case(
    calibration: Calibration,
    members: Sequence[torch.Tensor],
    *,
    spacing: Sequence[float] | None = None,
    roi: torch.Tensor | None = None,
    name: str = "of the tensors",
) -> torch.Tensor:
    """Turn the members' probabilities of one case into its responses, by any calibration, also a case-aware one.

    The work is done on the host: tensors on the CPU are read where they are, others are copied there and the result
    back. The case is compared with the fitted ones as `Calibration.apply` does.

    Args:
        calibration: The calibration.
        members: Merged probability of each member, or one that is averaged already; floating, (z, y, x) or (y, x).
        spacing: Voxel size in mm along these axes; None where it is not known.
        roi: Mask of that shape; None: everywhere.
        name: What to call the case in messages.

    Returns:
        float32 responses as of `Calibration.apply`, on the first member's device.

    Raises:
        TwinTrackError: As `Calibration.apply`.

    Warns:
        TwinTrackWarning: If the case is unlike the fitted ones.
    """
    case = Case(
        name,
        members=[_host(member.detach()) for member in members],
        roi=None if roi is None else _host(roi),
        spacing=spacing,
    )
    return torch.from_numpy(calibration.apply(case)).to(members[0].device)


def _host(tensor: torch.Tensor) -> NDArray[Any]:
    """Give a tensor as an array over the same memory where it is on the CPU; NumPy knows no bfloat16."""
    if tensor.dtype == torch.bfloat16:
        tensor = tensor.to(torch.float32)
    array: NDArray[Any] = tensor.cpu().numpy()
    return array


def _check(probability: torch.Tensor, roi: torch.Tensor | None) -> None:
    if not probability.is_floating_point():
        raise InputError(f"a tensor of probabilities is floating; this one is {probability.dtype}")
    if roi is not None and (roi.shape != probability.shape or roi.device != probability.device):
        raise InputError(
            f"the ROI has shape {tuple(roi.shape)} on {roi.device}, the probability {tuple(probability.shape)} on "
            f"{probability.device}; both must be alike"
        )
    if not probability.numel():
        return
    low, high = (float(bound) for bound in torch.aminmax(probability.detach()))
    if not (low >= -ROUNDING and high <= 1 + ROUNDING):  # also where one is NaN
        raise InputError(f"probabilities lie in [0, 1]; found {low} to {high}. Give probabilities, not logits.")


def _on_device(fitted: AnyMap, probability: torch.Tensor, roi: torch.Tensor | None, *, pin_zero: bool) -> torch.Tensor:
    response = torch.empty(probability.shape, dtype=torch.float32, device=probability.device)
    values, out = probability.reshape(-1), response.reshape(-1)
    inside = None if roi is None else roi.reshape(-1) != 0
    for start in range(0, values.numel(), BLOCK):
        part = slice(start, start + BLOCK)
        p = values[part].to(torch.float64).clamp(0.0, 1.0)
        found = evaluate_map(fitted, p)
        if pin_zero:
            found = torch.where(p == 0, 0.0, found)
        if inside is not None:
            found = torch.where(inside[part], found, 0.0)
        out[part] = found
    return response


def evaluate_map(fitted: AnyMap, p: torch.Tensor) -> torch.Tensor:
    """Evaluate a map of the probability alone with torch's own operations, on the tensor's device.

    Args:
        fitted: The map.
        p: float64 in [0, 1], any shape.

    Returns:
        Responses, float64, same shape; what the map itself gives, to rounding.

    Raises:
        CalibrationError: If the map is not one of the probability alone.
    """
    kept = p.clamp(LOWEST, HIGHEST)
    if isinstance(fitted, KnotMap):
        return _between_knots(fitted, p)
    if isinstance(fitted, TemperatureMap):
        return torch.sigmoid(torch.logit(kept) / fitted.temperature)
    if isinstance(fitted, PlattMap):
        return torch.sigmoid(fitted.slope * torch.logit(kept) + fitted.offset)
    if isinstance(fitted, BetaMap):
        return torch.sigmoid(fitted.a * torch.log(kept) - fitted.b * torch.log1p(-kept) + fitted.c)
    if isinstance(fitted, HistogramMap):
        values = torch.tensor(fitted.values, dtype=torch.float64, device=p.device)
        return values[(p * len(values)).long().clamp(max=len(values) - 1)]
    if fitted.method == "identity":
        return p
    raise CalibrationError(f"{fitted.method} is not a map of the probability alone")


def _between_knots(fitted: KnotMap, p: torch.Tensor) -> torch.Tensor:
    """Interpolate as `numpy.interp` does: slope × (p − knot on the left) + its response."""
    x, y = np.asarray(fitted.probability), np.asarray(fitted.response)
    # A flat line before the first knot and after the last, so that every p lies on a line.
    start, value = np.concatenate([[-1.0], x]), np.concatenate([y[:1], y])
    slope = np.concatenate([[0.0], np.diff(y) / np.diff(x), [0.0]])
    left, at_left, steep = (torch.from_numpy(numbers).to(p.device) for numbers in (start, value, slope))
    line = torch.searchsorted(left, p, right=True) - 1
    return steep[line] * (p - left[line]) + at_left[line]
