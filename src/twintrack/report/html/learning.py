"""The learning curve: how the losses on new patients fall with the number of calibration cases."""

from __future__ import annotations

from typing import Any

import numpy as np

from twintrack.calibration.learning_curve import LearningCurve
from twintrack.report.html.axes import Axis, linear_axis
from twintrack.report.html.svg import Chart
from twintrack.report.html.words import interval, number


def learning_chart(curve: LearningCurve) -> dict[str, Any]:
    """Draw a learning curve.

    Args:
        curve: The curve that `twintrack sample-size` measured.

    Returns:
        "chart", its numbers in words, and what the curve says of more cases.
    """
    line, sizes = curve.answer.line, curve.sizes
    largest = max([sizes[-1].n, *(one.n for one in line)])
    n = tuple(point.n for point in sizes)
    x = Axis("number of calibration cases", n[0] / 1.15, largest * 1.05, "log", _spread(n))
    ends = [end for one in [*(p.criterion for p in sizes), *(p.criterion for p in line)] for end in (one.low, one.high)]
    y = linear_axis("loss on new patients (1: raw)", min([*ends, 1.0]), max([*ends, 1.0]))
    chart = Chart(x, y, "Loss on new patients by number of calibration cases", height=250)
    chart.line([x.low, x.high], [1, 1], "diagonal")
    if line and curve.answer.plateau is not None:
        where = np.array([one.n for one in line])
        low, value, high = (np.array([getattr(one.criterion, end) for one in line]) for end in ("low", "value", "high"))
        chart.band(where, low, high, "confidence")
        inside = where <= sizes[-1].n
        chart.line(where[inside], value[inside], "main calibrated")
        chart.line(where[~inside], value[~inside], "beyond calibrated")
    for point in sizes:
        chart.line([point.n, point.n], [point.criterion.low, point.criterion.high], "interval calibrated")
    chart.dots(
        n,
        [point.criterion.value for point in sizes],
        "calibrated",
        [f"{p.n} cases: {number(p.criterion.value)} ({interval(p.criterion.low, p.criterion.high)})" for p in sizes],
    )
    return {
        "chart": chart.svg(),
        "method": curve.method,
        "n_cases": curve.n_cases,
        "n_patients": curve.n_patients,
        "sentences": curve.answer.sentences,
    }


def _spread(sizes: tuple[int, ...]) -> tuple[float, ...]:
    """Leave out sizes whose numbers would lie on one another."""
    kept = [sizes[0]]
    for size in sizes[1:]:
        if size >= 1.3 * kept[-1]:
            kept.append(size)
    return tuple(float(size) for size in kept)
