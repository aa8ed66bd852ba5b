"""Axes of the report's charts: where a value lies between the two ends, and which values are written beside it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
import scipy
from numpy.typing import ArrayLike, NDArray

from twintrack.report.html.words import plain

Scale: TypeAlias = Literal["linear", "log", "logit"]

_STEPS = (1.0, 2.0, 2.5, 5.0, 10.0)
_LOGIT_TICKS = (0.001, 0.01, 0.1, 0.5, 0.9, 0.99, 0.999)
_MOST_TICKS = 6
_FEW_DECADES = 150.0


@dataclass(frozen=True)
class Axis:
    """One axis.

    Attributes:
        title: What to write along it.
        low: Value at its beginning.
        high: Value at its end.
        scale: How values are spaced.
        ticks: Which values are written.
        floor: What is written at `low` instead of its value, where smaller values (0) are shown there too.
    """

    title: str
    low: float
    high: float
    scale: Scale
    ticks: tuple[float, ...]
    floor: str | None = None

    def place(self, values: ArrayLike) -> NDArray[np.float64]:
        """Say how far along the axis values lie, 0 … 1; those beyond an end at the end."""
        ends = _spaced(np.array([self.low, self.high]), self.scale)
        inside = np.clip(np.asarray(values, np.float64), self.low, self.high)
        return np.asarray((_spaced(inside, self.scale) - ends[0]) / (ends[1] - ends[0]))

    def marks(self) -> list[tuple[float, str]]:
        """Give place and words of each tick."""
        marks = [(float(self.place(tick)), plain(tick)) for tick in self.ticks]
        return marks if self.floor is None else [(0.0, self.floor), *(mark for mark in marks if mark[0] > 0.04)]


def share_axis(title: str, scale: Scale) -> Axis:
    """Make an axis for probabilities and responses: linear, or by log-odds from one in a thousand on."""
    if scale == "logit":
        return Axis(title, _LOGIT_TICKS[0], _LOGIT_TICKS[-1], scale, _LOGIT_TICKS)
    return Axis(title, 0.0, 1.0, "linear", (0, 0.2, 0.4, 0.6, 0.8, 1))


def linear_axis(title: str, low: float, high: float) -> Axis:
    """Make a linear axis that reaches to round values around what is shown."""
    span = (high - low) or 1.0
    size = 10.0 ** math.floor(math.log10(span / 4))
    step = next(size * one for one in _STEPS if span / (size * one) <= _MOST_TICKS - 1)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    ticks = tuple(round(k * step, 12) for k in range(first, max(last, first + 1) + 1))
    return Axis(title, ticks[0], ticks[-1], "linear", ticks)


def log_axis(title: str, values: NDArray[Any]) -> Axis:
    """Make a logarithmic axis for values of 0 or more; 0 is shown at its beginning."""
    above = values[values > 0]
    low, high = (float(above.min()) / 1.2, float(above.max()) * 1.2) if above.size else (1.0, 10.0)
    none = bool((values <= 0).any())
    low /= 1.5 if none else 1.0
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    steps: tuple[float, ...] = (1, 2, 5) if high / low < _FEW_DECADES else (1,)
    every = max(1, math.ceil(len(decades) / (_MOST_TICKS + 1)))
    ticks = tuple(m * 10.0**k for k in decades if k % every == 0 for m in steps if low <= m * 10.0**k <= high)
    return Axis(title, low, high, "log", ticks, floor="0" if none else None)


def _spaced(values: NDArray[np.float64], scale: Scale) -> NDArray[np.float64]:
    if scale == "log":
        return np.asarray(np.log(values))
    return np.asarray(scipy.special.logit(values)) if scale == "logit" else values
