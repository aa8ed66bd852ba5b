"""Volumes of cases: what each rater drew, what the map expects, and where a further rater's is to be expected."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter

from twintrack.calibration import Calibration
from twintrack.cohort import Case
from twintrack.errors import InputError
from twintrack.report.plot.axes import BLUE, GREY, VERMILION, drawing

_LARGE = 1000.0  # mm³: from here on volumes are said in ml
_ROW = 0.16  # inches
_SMALLEST = 0.5  # of the least volume above 0: where what is empty stands on a logarithmic axis


@dataclass(frozen=True)
class CaseVolumes:
    """The volumes of one case, mm³ (mm² in 2-D).

    Attributes:
        case: What to call it.
        drawn: The volume that each rater drew; empty where no rater is known.
        expected: Expected volume of the response, Σr.
        raw: Expected volume of the raw probability, Σp; None: it is not shown.
        interval: Where a further rater's volume is to be expected; None where that is not known.
        flat: Whether these are areas.
    """

    case: str
    drawn: tuple[float, ...]
    expected: float
    raw: float | None = None
    interval: tuple[float, float] | None = None
    flat: bool = False

    @classmethod
    def of(cls, case: Case, calibration: Calibration) -> CaseVolumes:
        """Read a case and take its volumes.

        Args:
            case: A case with members, and with raters where they are known.
            calibration: What makes the response.

        Returns:
            The volumes.

        Raises:
            TwinTrackError: If it cannot be read.
        """
        calibration.check(case)
        data = case.read(raters=bool(case.raters))
        size, response = data.grid.voxel_volume, calibration.apply(data)
        found = calibration.estimate_volume(response, voxel_volume=size)
        return cls(
            case=case.id,
            drawn=tuple(int(np.count_nonzero(mask)) * size for mask in data.raters.values()),
            expected=found.expected,
            raw=float(data.probability().sum(dtype=np.float64)) * size,
            interval=None if found.interval is None else (found.interval.low, found.interval.high),
            flat=len(data.grid.shape) == 2,
        )


def volumes(cases: Sequence[CaseVolumes], *, ax: Axes | None = None) -> Axes:
    """Draw the volumes of cases, one row each, on a logarithmic axis; what is empty stands at its left end.

    Args:
        cases: The volumes, from above.
        ax: Where to draw; None: a new figure as high as the cases need.

    Returns:
        The axes.

    Raises:
        InputError: If there is no case, or some are areas and some volumes.
    """
    if not cases or len({one.flat for one in cases}) > 1:
        raise InputError(f"expected the volumes of cases, or the areas of cases; got {len(cases)} of both kinds")
    every = [size for one in cases for size in (*one.drawn, one.expected, *(one.interval or ())) if size > 0]
    # Where nothing was drawn and nothing is expected there is no scale; any will do.
    floor = min(every, default=1.0) * _SMALLEST
    unit, scale = _unit(max(every, default=1.0), flat=cases[0].flat)
    with drawing(ax, height=0.9 + _ROW * len(cases)) as axis:
        for row, one in enumerate(cases):
            _draw(axis, row, one, floor=floor, first=row == 0)
        axis.set_xscale("log")
        # Pitfall: a logarithmic axis writes its numbers as powers of ten.
        axis.xaxis.set_major_formatter(FuncFormatter(lambda size, _: f"{size / scale:g}"))
        axis.set_yticks(range(len(cases)), [_shorten(one.case) for one in cases], fontsize=6.5)
        axis.set(ylim=(len(cases) - 0.4, -0.6), xlabel=f"{'area' if cases[0].flat else 'volume'} ({unit})")
        axis.grid(axis="x", color="#dddddd", linewidth=0.5)
        axis.set_axisbelow(True)
        # Its right end is that of the axes: the names of the cases give it room on the left.
        place: dict[str, Any] = {"loc": "lower right", "bbox_to_anchor": (1, 1), "ncols": 2}
        axis.legend(frameon=False, borderaxespad=0, handlelength=1.4, **place)
    return axis


def _draw(axis: Axes, row: int, one: CaseVolumes, *, floor: float, first: bool) -> None:
    def above(size: float) -> float:
        return max(size, floor)

    def named(text: str) -> str | None:
        return text if first else None

    if one.interval is not None:
        ends = [above(end) for end in one.interval]
        axis.plot(
            ends, [row, row], color=BLUE, alpha=0.3, linewidth=4, solid_capstyle="butt", label=named("a further rater")
        )
    drawn = [above(size) for size in one.drawn]
    axis.plot(drawn, [row] * len(drawn), "|", color=GREY, markersize=6, markeredgewidth=1.1, label=named("raters"))
    if one.raw is not None:
        axis.plot(above(one.raw), row, "s", mfc="none", mec=VERMILION, ms=3.5, mew=0.9, label=named("expected, raw"))
    axis.plot(above(one.expected), row, "o", color=BLUE, markersize=3.5, label=named("expected, calibrated"))


def _unit(largest: float, *, flat: bool) -> tuple[str, float]:
    if flat:
        return "mm²", 1.0
    return ("ml", _LARGE) if largest >= _LARGE else ("mm³", 1.0)


def _shorten(name: str, *, most: int = 24) -> str:
    # Pitfall: two dollar signs in a name would be read as mathematics.
    plain = name.replace("$", r"\$").replace("\n", " ")
    return plain if len(plain) <= most else plain[: most - 1] + "…"
