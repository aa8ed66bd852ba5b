"""Capture curves: how much is found within a budget, by several rankings, by chance, and at best."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter

from twintrack.errors import InputError
from twintrack.report.plot.axes import CYCLE, DASHES, GREY, drawing


def capture(
    summary: Mapping[str, Any],
    *,
    rankings: Sequence[str] | None = None,
    budget: str = "cases",
    found: str = "target",
    up_to: float = 1.0,
    ax: Axes | None = None,
) -> Axes:
    """Draw the capture curves of one target.

    Args:
        summary: What was measured of it (`Measured.summary["cases"]["error"]`, for example;
            `twintrack.evaluation.triage.measure`).
        rankings: Which rankings to draw; None: all.
        budget: What is spent, for the axis: "voxels", "cases", "minutes".
        found: What is found, for the axis.
        up_to: The largest budget to show, as a share.
        ax: Where to draw; None: a new figure.

    Returns:
        The axes.

    Raises:
        InputError: If a ranking was not measured.
    """
    every = summary["rankings"]
    chosen = [name for name in every if name != "oracle"] if rankings is None else list(rankings)
    unknown = [name for name in chosen if name not in every]
    if unknown:
        raise InputError(f"not measured: {', '.join(unknown)}; there are {', '.join(every)}")
    with drawing(ax, height=3.4) as axis:
        axis.plot([0, 1], [0, 1], color=GREY, linewidth=0.8, label="random")
        _line(axis, every["oracle"], label="oracle", color=GREY, linewidth=1.0, linestyle=(0, (1, 1)))
        for k, name in enumerate(chosen):
            label = name.replace("_", " ") + _gain(every[name])
            style = {"color": CYCLE[k % len(CYCLE)], "linestyle": DASHES[k % len(DASHES)], "linewidth": 1.3}
            _line(axis, every[name], label=label, **style)
        axis.set(xlim=(0, up_to), ylim=(0, 1.01))
        axis.set_xlabel(f"budget (share of the {budget})")
        axis.set_ylabel(f"share of the {found}")
        for one in (axis.xaxis, axis.yaxis):
            one.set_major_formatter(FuncFormatter(lambda share, _: f"{100 * share:g} %"))
        # Below the axes: wherever it is put inside, it hides a curve.
        place: dict[str, Any] = {"loc": "upper center", "bbox_to_anchor": (0.45, -0.18), "ncols": 2}
        axis.legend(frameon=False, handlelength=2.2, title="area: random 0, oracle 1", **place)
    return axis


def _line(axis: Axes, one: Mapping[str, Any], **style: Any) -> None:
    axis.plot(one["curve"]["spent"], [_or_nan(value) for value in one["curve"]["found"]], **style)


def _or_nan(value: float | None) -> float:
    return float("nan") if value is None else value


def _gain(one: Mapping[str, Any]) -> str:
    value = one["gain"]["value"]
    return "" if value is None else f" {value:.2f}"
