"""Volumes: what each rater drew, what is expected, and the interval of a further rater."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from twintrack.evaluation.details.case_details import CaseAbout, CaseDetails
from twintrack.report.html.axes import Axis, log_axis
from twintrack.report.html.headline import kind_of
from twintrack.report.html.svg import Chart
from twintrack.report.html.words import interval, number, percent

_LARGE = 20_000.0  # mm³: from here on volumes are said in ml


@dataclass(frozen=True)
class Unit:
    """What volumes are said in.

    Attributes:
        name: The unit.
        size: How many mm³ (mm², voxels) it holds.
        what: "volume", or "area" of 2-D images.
    """

    name: str
    size: float
    what: str

    @classmethod
    def of(cls, cases: Sequence[CaseAbout]) -> Unit:
        """Choose a unit for all cases."""
        if not all(case.measured for case in cases):
            return cls("voxels", 1.0, "volume")
        if all(case.dimensions == 2 for case in cases):
            return cls("mm²", 1.0, "area")
        largest = max((max(case.drawn.values(), default=0.0) for case in cases), default=0.0)
        return cls("ml", 1000.0, "volume") if largest >= _LARGE else cls("mm³", 1.0, "volume")

    def say(self, volume: float | None) -> str:
        """Say a volume, without its unit."""
        return number(None if volume is None else volume / self.size)


def volume_charts(cases: Sequence[CaseDetails], predictions: Sequence[str], unit: Unit) -> dict[str, Any]:
    """Draw expected volumes against those the raters drew, and each case's volumes on a line.

    Args:
        cases: The cases.
        predictions: Which predictions to show; the interval is that of the last.
        unit: What to say volumes in.

    Returns:
        "chart", "rows" (one for each case, by the raters' mean volume), their "marks" and how often the interval held.
    """
    abouts = [case.about for case in cases]
    shown = [_Shown.of(one, predictions, unit) for one in abouts]
    # Ends of intervals do not count: one that reaches down to nothing would take most of the axis.
    values = np.array([volume for one in shown for volume in (*one.drawn, *one.expected.values())])
    axis = log_axis(f"{unit.what} ({unit.name})", values)
    held = [one.interval[0] <= volume <= one.interval[1] for one in shown if one.interval for volume in one.drawn]
    last = predictions[-1] if predictions else ""
    first = next((one.interval[last] for one in abouts if last in one.interval), None)
    return {
        "chart": _against(shown, values, unit),
        "rows": [_row(one, axis, unit) for one in sorted(shown, key=lambda one: (-one.mean, one.case))],
        "marks": [{"at": round(100 * place, 2), "words": words} for place, words in axis.marks()],
        "unit": unit,
        "key": [(kind_of(name), f"expected, {name}") for name in predictions],
        "held": percent(float(np.mean(held))) if held else None,
        "level": None if first is None else percent(first.level),
        "promised": None if first is None or first.promised >= first.level else percent(first.promised),
        "why_not": sorted({one.no_interval[last] for one in abouts if last in one.no_interval}),
    }


@dataclass(frozen=True)
class _Shown:
    """What is shown of a case, in the unit of all."""

    case: str
    drawn: list[float]
    expected: dict[str, float]
    interval: tuple[float, float] | None

    @classmethod
    def of(cls, about: CaseAbout, predictions: Sequence[str], unit: Unit) -> _Shown:
        found = about.interval.get(predictions[-1]) if predictions else None
        return cls(
            about.case,
            sorted(volume / unit.size for volume in about.drawn.values()),
            {name: about.expected[name] / unit.size for name in predictions},
            None if found is None else (found.low / unit.size, found.high / unit.size),
        )

    @property
    def mean(self) -> float:
        return float(np.mean(self.drawn))

    @property
    def words(self) -> str:
        return interval(self.drawn[0], self.drawn[-1]) if len(self.drawn) > 1 else number(self.drawn[0])


def _against(shown: Sequence[_Shown], values: NDArray[np.float64], unit: Unit) -> Any:
    x = log_axis(f"mean {unit.what} of the raters ({unit.name})", values)
    y = log_axis(f"expected {unit.what} ({unit.name})", values)
    chart = Chart(x, y, f"Expected {unit.what} of each case against the mean of its raters")
    chart.line([x.low, x.high], [x.low, x.high], "diagonal")
    for one in shown:
        if one.interval is not None:
            chart.line([one.mean, one.mean], one.interval, "interval calibrated")
    for name in shown[0].expected:
        tips = [
            f"{one.case}: {name}, expected {number(one.expected[name])} {unit.name}; raters {one.words}"
            for one in shown
        ]
        chart.dots([one.mean for one in shown], [one.expected[name] for one in shown], kind_of(name), tips)
    return chart.svg()


def _row(one: _Shown, axis: Axis, unit: Unit) -> dict[str, Any]:
    def place(volume: float) -> float:
        return round(100 * float(axis.place(volume)), 2)

    said = [f"raters {one.words}"]
    said += [f"{name} {number(volume)}" for name, volume in one.expected.items()]
    said += [] if one.interval is None else [f"interval {interval(*one.interval)}"]
    ends = None if one.interval is None else [place(end) for end in one.interval]
    return {
        "case": one.case,
        "drawn": [place(volume) for volume in one.drawn],
        "expected": {kind_of(name): place(volume) for name, volume in one.expected.items()},
        "from": None if ends is None else ends[0],
        "width": 0 if ends is None else round(ends[1] - ends[0], 2),
        "words": f"{one.case}: {'; '.join(said)} {unit.name}",
    }
