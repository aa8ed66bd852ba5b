"""The calibration curve: what response each probability is given, how sure that is, and where the data lie."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray
from scipy.special import expit

from twintrack.calibration import Calibration
from twintrack.calibration.methods import ConditionalMap, ResponseMap
from twintrack.calibration.uncertainty import LEVEL
from twintrack.cohort import Case
from twintrack.errors import InputError
from twintrack.evaluation.details.counts import CHANGE_EDGES, change_counts
from twintrack.report.plot.axes import BLUE, GREY, drawing, unit_square

_BARS = np.linspace(0, 1, 41)
_MIDDLES = (CHANGE_EDGES[1:] + CHANGE_EDGES[:-1]) / 2
_FLOOR = 0.22  # of the height, that the histogram takes
_SPREAD = (0.05, 0.95)


def calibration_curve(calibration: Calibration, *, cases: Iterable[Case] = (), ax: Axes | None = None) -> Axes:
    """Draw a calibration's map.

    A map of the probability alone is a line, and its band holds 90 % of the maps of other draws of the calibration
    patients, at each probability by itself. A case-aware map gives equal probabilities different responses: drawn is
    the mean response of the voxels of `cases` with about that probability, and between which responses 90 % of them
    lie, which is no uncertainty. Small bars at the bottom say where the voxels of `cases` lie, on a logarithmic scale.

    Args:
        calibration: The calibration.
        cases: Cases with members, read one at a time.
        ax: Where to draw; None: a new figure.

    Returns:
        The axes.

    Raises:
        InputError: If a case-aware map is to be drawn without cases, or there is no voxel above 0 in them.
        TwinTrackError: If a case cannot be read.
    """
    counts = _count(calibration, cases)
    fitted = calibration.map
    if isinstance(fitted, ConditionalMap) and counts is None:
        raise InputError(
            "a case-aware calibration is no curve: give cases, of whose voxels the responses are drawn (cases=…)"
        )
    with drawing(ax) as axis:
        axis.plot([0, 1], [0, 1], color=GREY, linewidth=0.8, label="probabilities left alone")
        if isinstance(fitted, ConditionalMap):
            assert counts is not None
            _draw_spread(axis, counts.by_response)
        else:
            _draw_map(axis, fitted, calibration)
        unit_square(axis)
        if counts is not None:
            _draw_bars(axis, counts.equal)
        axis.set_xlabel("probability of the ensemble")
        axis.set_ylabel("response (share of raters)")
        axis.legend(frameon=False, loc="upper left", handlelength=1.8, borderaxespad=0.2)
    return axis


@dataclass(frozen=True)
class _Counts:
    """Voxels with a probability above 0: in equal bins of it, and in bins of its logit by response."""

    equal: NDArray[np.float64]
    by_response: NDArray[np.float64]


def _count(calibration: Calibration, cases: Iterable[Case]) -> _Counts | None:
    """Count the voxels of cases; None without cases."""
    equal, by_response, seen = np.zeros(_BARS.size - 1), np.zeros((_MIDDLES.size, _MIDDLES.size)), False
    for case in cases:
        seen = True
        calibration.check(case)
        data = case.read(raters=False)
        p = data.probability()
        inside = p > 0
        equal += np.histogram(p[inside], _BARS)[0]
        by_response += change_counts(p, calibration.apply(data))
    if seen and not by_response.any():
        raise InputError("there is nothing to draw: no voxel of the cases has a probability above 0")
    return _Counts(equal, by_response) if seen else None


def _draw_map(axis: Axes, fitted: ResponseMap, calibration: Calibration) -> None:
    p = np.concatenate([[0], _fine_edges(), [1]])
    band = None if calibration.uncertainty is None else calibration.uncertainty.band(p)
    if band is not None:
        axis.fill_between(p, *band, color=BLUE, alpha=0.2, linewidth=0, label=f"{100 * LEVEL:.0f} % band")
    axis.plot(p, fitted(p), color=BLUE, linewidth=1.4, label=calibration.method)


def _fine_edges() -> NDArray[np.float64]:
    return np.asarray(expit(np.linspace(-12, 12, 601)))


def _draw_spread(axis: Axes, counts: NDArray[np.float64]) -> None:
    held = counts.sum(axis=1) > 0
    share = counts[held] / counts[held].sum(axis=1, keepdims=True)
    below = np.cumsum(share, axis=1)
    low, high = (_MIDDLES[(below >= mass - 1e-9).argmax(axis=1)] for mass in _SPREAD)
    axis.fill_between(_MIDDLES[held], low, high, color=BLUE, alpha=0.2, linewidth=0, label="90 % of the voxels")
    axis.plot(_MIDDLES[held], share @ _MIDDLES, color=BLUE, linewidth=1.4, label="case-aware, mean")


def _draw_bars(axis: Axes, count: NDArray[np.float64]) -> None:
    logs = np.log10(count + 1)
    below = axis.inset_axes((0, 0, 1, _FLOOR), transform=axis.transAxes, zorder=0)
    below.stairs(logs / logs.max(), _BARS, fill=True, color=GREY, alpha=0.3)
    below.set(xlim=axis.get_xlim(), ylim=(0, 1))
    below.set_axis_off()
