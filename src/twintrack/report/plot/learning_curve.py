"""The learning curve alone: the criterion by number of calibration cases, and the curve fitted through it."""

from __future__ import annotations

from matplotlib.axes import Axes

from twintrack.calibration.learning_curve import LearningCurve
from twintrack.report.learning_curve_figure import draw_criterion
from twintrack.report.plot.axes import drawing


def learning_curve(curve: LearningCurve, *, ax: Axes | None = None) -> Axes:
    """Draw a learning curve.

    Args:
        curve: The curve (`twintrack.calibration.learning_curve.learning_curve`).
        ax: Where to draw; None: a new figure.

    Returns:
        The axes. `twintrack.report.learning_curve_figure` has the criterion's terms beside it.
    """
    with drawing(ax, height=3.6) as axis:
        draw_criterion(axis, curve, columns=1)
    return axis
