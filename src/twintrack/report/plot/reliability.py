"""The reliability diagram after CORP, with the band in which chance alone would put the curve."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import NullLocator
from numpy.typing import NDArray

from twintrack.errors import InputError
from twintrack.evaluation.predictions import CALIBRATED
from twintrack.evaluation.scores.corp_band import ReliabilityDiagram
from twintrack.report.plot.axes import COLOURS, CYCLE, DASHES, GREY, drawing, unit_square

_FLOOR = 0.22  # of the height, that the histogram takes at most
_BINS = 40


def reliability(
    diagrams: ReliabilityDiagram | Mapping[str, ReliabilityDiagram],
    *,
    cases: Sequence[ReliabilityDiagram] = (),
    ax: Axes | None = None,
) -> Axes:
    """Draw what is observed against what is predicted.

    The line is the isotonic recalibration of the prediction, which on the diagonal is calibrated; the band about the
    diagonal is where the line of a calibrated prediction would be, at each prediction by itself. Small bars at the
    bottom say where the voxels lie, on a logarithmic scale. The legend has the parts of the Brier score: MCB,
    miscalibration, and DSC, discrimination.

    Args:
        diagrams: One diagram, or several by name, such as "raw" and "calibrated"
            (`twintrack.evaluation.scores.corp_band.reliability_diagram`).
        cases: Diagrams of single cases, each drawn as one faint line.
        ax: Where to draw; None: a new figure.

    Returns:
        The axes.

    Raises:
        InputError: If there is no diagram.
    """
    named = {CALIBRATED: diagrams} if isinstance(diagrams, ReliabilityDiagram) else dict(diagrams)
    if not named:
        raise InputError("there is no reliability diagram to draw")
    with drawing(ax) as axis:
        axis.plot([0, 1], [0, 1], color=GREY, linewidth=0.8)
        for one in cases:
            _line(axis, one, color=GREY, linewidth=0.4, alpha=0.35)
        for k, (name, one) in enumerate(named.items()):
            colour = COLOURS.get(name, CYCLE[k % len(CYCLE)])
            axis.fill_between(one.predicted, one.lower, one.upper, color=colour, alpha=0.18, linewidth=0)
            label = f"{name}: MCB {_short(one.corp.miscalibration)}, DSC {_short(one.corp.discrimination)}"
            _line(axis, one, color=colour, linewidth=1.4, linestyle=DASHES[k % len(DASHES)], label=label)
            _bars(axis, one, colour, filled=k == 0)
        unit_square(axis)
        axis.set_xlabel("predicted")
        axis.set_ylabel("observed (share of raters)")
        axis.legend(frameon=False, loc="upper left", handlelength=1.8, borderaxespad=0.2)
    return axis


def _line(axis: Axes, one: ReliabilityDiagram, **style: object) -> None:
    # Blocks of the fit are level, and linear between each other, as the fitted map is.
    axis.plot(one.predicted, one.recalibrated, **style)  # type: ignore[arg-type]


def _bars(axis: Axes, one: ReliabilityDiagram, colour: str, *, filled: bool) -> None:
    """Draw where the voxels lie, at the bottom, from none to the most of any bin."""
    edges = np.linspace(0, 1, _BINS + 1)
    count, _ = np.histogram(one.predicted, edges, weights=one.weight)
    height = _heights(count)
    below = axis.inset_axes((0, 0, 1, _FLOOR), transform=axis.transAxes, zorder=0)
    below.stairs(height, edges, fill=filled, color=colour, alpha=0.3 if filled else 0.8, linewidth=0.6)
    below.set(xlim=axis.get_xlim(), ylim=(0, 1))
    below.set_axis_off()
    below.xaxis.set_major_locator(NullLocator())


def _heights(count: NDArray[np.float64]) -> NDArray[np.float64]:
    logs = np.log10(count + 1)
    return np.asarray(logs / logs.max())


def _short(value: float) -> str:
    """Say a part of the Brier score in thousandths, which is what it comes to."""
    return f"{1000 * value:.3g}‰"
