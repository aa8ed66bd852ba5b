"""Risk against coverage: the mean error of what is kept when the least sure is left to experts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from matplotlib.axes import Axes

from twintrack.errors import InputError
from twintrack.evaluation.scores.selective import RiskCoverage
from twintrack.report.plot.axes import CYCLE, DASHES, GREY, drawing

ORACLE = "oracle"


def risk_coverage(
    curves: RiskCoverage | Mapping[str, RiskCoverage], *, risk: str = "mean risk of the kept", ax: Axes | None = None
) -> Axes:
    """Draw risk–coverage curves.

    Args:
        curves: One curve, or several by name (`twintrack.evaluation.scores.selective.risk_coverage`; of a triage,
            `twintrack.evaluation.triage.risk_coverages`). One called "oracle" is drawn in grey.
        risk: What to call the risk.
        ax: Where to draw; None: a new figure.

    Returns:
        The axes.

    Raises:
        InputError: If there is no curve.
    """
    named = {"": curves} if isinstance(curves, RiskCoverage) else dict(curves)
    if not named:
        raise InputError("there is no risk–coverage curve to draw")
    with drawing(ax, height=2.8) as axis:
        k = 0
        for name, one in named.items():
            style: dict[str, Any] = {"color": GREY, "linewidth": 1.0, "linestyle": (0, (1, 1))}
            if name != ORACLE:
                style = {"color": CYCLE[k % len(CYCLE)], "linewidth": 1.3, "linestyle": DASHES[k % len(DASHES)]}
                k += 1
            area = f"AURC {one.area:.3g}"
            label = f"{name.replace('_', ' ')}, {area}" if name else area
            axis.plot(one.coverage, one.risk, label=label, **style)
        axis.set(xlim=(0, 1.01), xlabel="coverage (share kept)", ylabel=risk)
        axis.set_ylim(bottom=0)
        axis.legend(frameon=False, loc="upper left", handlelength=2.2)
    return axis
