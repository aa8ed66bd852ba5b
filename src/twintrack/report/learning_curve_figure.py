"""The picture of a learning curve: what was measured, the curve through it, and how far it is extrapolated."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import matplotlib.style
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter, NullLocator

from twintrack.calibration.learning.answer import Estimate
from twintrack.calibration.learning_curve import LearningCurve

_SIZE = (8.0, 4.0)  # inches
# Okabe and Ito's palette for all kinds of colour vision.
_CRITERION = "#0072B2"
_TERMS = (("#D55E00", "o"), ("#009E73", "s"), ("#CC79A7", "^"))
_GREY = "#666666"
_ASIDE = 0.04  # of the number of cases, by which terms are moved aside, so that bars do not hide each other


def learning_curve_figure(curve: LearningCurve) -> Figure:
    """Draw a learning curve.

    Left the criterion with its intervals and, where one could be fitted, the saturating curve: solid as far as was
    measured, dashed beyond, with its interval and the plateau. Right the criterion's terms. Numbers of cases are on a
    logarithmic axis.

    Args:
        curve: The curve.

    Returns:
        The figure; write it with `twintrack.report.save.save_figure`.
    """
    # Pitfall: without it the user's own matplotlibrc would decide how the figure looks.
    with matplotlib.style.context(["default", {"font.size": 8}]):
        figure = Figure(figsize=_SIZE, facecolor="white", layout="constrained")
        left, right = figure.subplots(1, 2, width_ratios=(1.25, 1))
        draw_criterion(left, curve)
        for k, (colour, marker) in enumerate(_TERMS):
            name = list(curve.sizes[0].terms)[k]
            found = [point.terms[name] for point in curve.sizes]
            _draw_points(right, curve, found, color=colour, label=name, marker=marker, aside=1 + (k - 1) * _ASIDE)
        _finish(right, "Its terms")
        _number(right, [point.n for point in curve.sizes])
    return figure


def draw_criterion(axis: Any, curve: LearningCurve, *, columns: int = 2) -> None:
    """Draw the criterion: what was measured, the curve through it, its plateau, and the cases at hand.

    Args:
        axis: Where.
        curve: The curve.
        columns: Columns of the legend, below the axes.
    """
    _draw_fit(axis, curve)
    _draw_points(axis, curve, [point.criterion for point in curve.sizes], color=_CRITERION, label="measured")
    axis.axvline(curve.n_cases, color=_GREY, linewidth=0.8, linestyle=(0, (1, 2)), label="cases at hand")
    _finish(axis, f"Criterion ({curve.method})", columns=columns)
    _number(axis, [point.n for point in curve.sizes] + [one.n for one in curve.answer.forecasts[-1:]])
    axis.set_ylabel("loss on new patients\n(1: probabilities left alone)")


def _draw_points(
    axis: Any,
    curve: LearningCurve,
    found: Sequence[Estimate],
    *,
    color: str,
    label: str,
    marker: str = "o",
    aside: float = 1.0,
) -> None:
    values = [one.value for one in found]
    bars = [[one.value - one.low for one in found], [one.high - one.value for one in found]]
    axis.errorbar(
        [point.n * aside for point in curve.sizes],
        values,
        yerr=bars,
        fmt=marker,
        color=color,
        markersize=4,
        linewidth=1,
        capsize=2,
        label=label,
    )


def _draw_fit(axis: Any, curve: LearningCurve) -> None:
    line, plateau = curve.answer.line, curve.answer.plateau
    if plateau is None:
        return
    n = [one.n for one in line]
    axis.fill_between(
        n,
        [one.criterion.low for one in line],
        [one.criterion.high for one in line],
        color=_CRITERION,
        alpha=0.15,
        linewidth=0,
    )
    largest = curve.sizes[-1].n
    parts = {
        "solid": [one for one in line if one.n <= largest],
        (0, (4, 2)): [one for one in line if one.n >= largest],
    }
    for style, part in parts.items():
        axis.plot(
            [one.n for one in part],
            [one.criterion.value for one in part],
            color=_CRITERION,
            linewidth=1.2,
            linestyle=style,
            label="fitted, dashed beyond what was measured" if style == "solid" else None,
        )
    axis.axhline(plateau.value, color=_CRITERION, linewidth=0.8, linestyle=(0, (1, 2)), label="its plateau")


def _finish(axis: Any, title: str, *, columns: int = 2) -> None:
    axis.axhline(1, color=_GREY, linewidth=0.8)
    axis.set_title(title, fontsize=9)
    axis.set_xlabel("number of calibration cases")
    axis.spines[["top", "right"]].set_visible(False)
    # Below the axes: wherever it is put inside, it hides something.
    axis.legend(frameon=False, fontsize=7, ncols=columns, loc="upper left", bbox_to_anchor=(0, -0.16))


def _number(axis: Any, sizes: Sequence[int]) -> None:
    axis.set_xscale("log")
    axis.set_xticks(sizes, [str(n) for n in sizes])
    # Pitfall: a logarithmic axis writes its own numbers between those that are set.
    axis.xaxis.set_minor_locator(NullLocator())
    axis.xaxis.set_minor_formatter(NullFormatter())
