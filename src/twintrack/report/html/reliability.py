"""Reliability diagrams: what was predicted against what the raters drew, all cases together and each by itself."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from twintrack.evaluation.details.counts import StripCounts
from twintrack.evaluation.details.details import Details
from twintrack.evaluation.scores.corp import ResponsePoints, corp_of_points
from twintrack.evaluation.scores.corp_band import LEVEL, ReliabilityDiagram, reliability_diagram
from twintrack.report.html.axes import Axis, Scale, share_axis
from twintrack.report.html.headline import kind_of
from twintrack.report.html.svg import Chart
from twintrack.report.html.words import number, percent

SCALES: tuple[Scale, ...] = ("linear", "logit")

_INK = 14.0  # of all cases' lines together, in lines that are not faint

MOST_LINES = 300
"""Cases that are drawn one by one; of more, evenly chosen ones."""


def reliability_charts(details: Details, prediction: str) -> dict[str, Any]:
    """Draw the reliability diagram of a prediction.

    Args:
        details: The evaluation's details.
        prediction: Its name.

    Returns:
        "charts" by scale, the decomposition in words, and what the band is.
    """
    counts = [case.counts[prediction] for case in details.cases]
    patients = [case.about.patient for case in details.cases]
    found = reliability_diagram([one.reliability() for one in counts], patients=patients)
    lines = [_case_line(one) for one in _evenly(counts)]
    parts = found.corp
    return {
        "prediction": prediction,
        "kind": kind_of(prediction),
        "faint": round(float(np.clip(_INK / len(lines), 0.07, 0.4)), 3),
        "charts": {scale: _chart(found, lines, prediction, scale) for scale in SCALES},
        "miscalibration": number(parts.miscalibration),
        "discrimination": number(parts.discrimination),
        "uncertainty": number(parts.uncertainty),
        "score": number(parts.score),
        "outside": percent(found.share_outside) if np.isfinite(found.lower).any() else None,
        "level": percent(LEVEL),
        "n_lines": len(lines),
        "n_cases": len(counts),
    }


def _evenly(counts: list[StripCounts]) -> list[StripCounts]:
    chosen = np.unique(np.linspace(0, len(counts) - 1, min(len(counts), MOST_LINES)).round().astype(int))
    return [counts[k] for k in chosen]


def _case_line(one: StripCounts) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Recalibrate a case by itself; give the corners of its curve."""
    sums = one.reliability()
    held = one.strip
    weight, response = sums.count[held].astype(np.float64), sums.observed[held] / sums.count[held]
    corp = corp_of_points(ResponsePoints(one.probability, weight, np.clip(response, 0, 1), float(sums.observed.sum())))
    return np.column_stack([corp.first, corp.last]).ravel(), np.repeat(corp.response, 2)


def _chart(
    found: ReliabilityDiagram,
    lines: list[tuple[NDArray[np.float64], NDArray[np.float64]]],
    prediction: str,
    scale: Scale,
) -> Any:
    kind = kind_of(prediction)
    what = "raw probability" if kind == "raw" else f"{prediction} response"
    x, y = share_axis(what, scale), share_axis("share of raters who drew it", scale)
    chart = Chart(x, y, f"Reliability diagram of the {what}", histogram=True)
    diagonal = np.array([x.low, x.high])
    chart.band(found.predicted, found.lower, found.upper, "chance")
    for across, along in lines:
        chart.line(across, along, f"case {kind}")
    chart.line(diagonal, diagonal, "diagonal")
    chart.line(found.predicted, found.recalibrated, f"main {kind}")
    add_histogram(chart, found.predicted, found.weight, kind)
    chart.columns(*_tips(found, x))
    return chart.svg()


def add_histogram(chart: Chart, values: NDArray[np.float64], voxels: NDArray[np.float64], kind: str) -> None:
    """Show below a chart how many voxels have which value; heights grow with the logarithm of their number.

    Args:
        chart: The chart, with room for a histogram.
        values: The values, on the chart's horizontal axis; exact 0 is left out.
        voxels: Number of voxels at each.
        kind: For the style sheet.
    """
    edges = _edges(chart.x, 28)
    above = values > 0
    n, _ = np.histogram(np.clip(values[above], edges[0], edges[-1]), edges, weights=voxels[above])
    heights = np.log1p(n) / max(np.log1p(n.max()), 1.0)
    tips = [
        f"{number(low)} to {number(high)}: {number(float(one))} voxels"
        for low, high, one in zip(edges[:-1], edges[1:], n, strict=True)
    ]
    chart.bars(edges, heights, kind, tips)


def _tips(found: ReliabilityDiagram, x: Axis) -> tuple[NDArray[np.float64], list[str]]:
    """Cut the chart into columns and say what it shows in each."""
    edges = _edges(x, 25)
    column = np.digitize(np.clip(found.predicted, x.low, x.high), edges[1:-1])
    tips = []
    for k in range(edges.size - 1):
        here = (column == k) & (found.weight > 0)
        if not here.any():
            tips.append("")
            continue
        weight = found.weight[here]
        mean = [float(weight @ values[here] / weight.sum()) for values in (found.predicted, found.recalibrated)]
        ends = [float(weight @ values[here] / weight.sum()) for values in (found.lower, found.upper)]
        chance = f"; chance alone: {number(ends[0])} to {number(ends[1])}" if np.isfinite(ends).all() else ""
        tips.append(
            f"predicted {number(mean[0])}, drawn by {number(mean[1])} of the raters{chance} "
            f"({number(float(weight.sum()))} voxels)"
        )
    return edges, tips


def _edges(axis: Axis, bins: int) -> NDArray[np.float64]:
    """Cut an axis into bins that look equally wide."""
    fine = np.linspace(axis.low, axis.high, 20001)
    return np.interp(np.linspace(0, 1, bins + 1), axis.place(fine), fine)
