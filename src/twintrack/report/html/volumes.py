"""Volumes: what each rater drew, what is expected, and the interval of a further rater."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from twintrack.evaluation.details.case_details import CaseAbout, CaseDetails
from twintrack.evaluation.predictions import CALIBRATED, RAW
from twintrack.report.html.axes import Axis, log_axis
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


def volume_charts(cases: Sequence[CaseDetails], unit: Unit) -> dict[str, Any]:
    """Draw expected volumes against those the raters drew, and each case's volumes on a line.

    Args:
        cases: The cases.
        unit: What to say volumes in.

    Returns:
        "chart", "rows" (one for each case, by the raters' mean volume), their "marks" and how often the interval held.
    """
    abouts = [case.about for case in cases]
    every = [v for one in abouts for v in (*one.drawn.values(), *one.expected.values(), *_ends(one))]
    axis = log_axis(f"{unit.what} ({unit.name})", np.array(every) / unit.size)
    order = sorted(abouts, key=lambda one: (-_mean(one), one.case))
    held = [
        low <= v <= high for one in abouts for low, high in [_ends(one)] if one.interval for v in one.drawn.values()
    ]
    first = next((one.interval for one in abouts if one.interval), None)
    return {
        "chart": _against(abouts, unit, every),
        "rows": [_row(one, axis, unit) for one in order],
        "marks": [{"at": round(100 * place, 2), "words": words} for place, words in axis.marks()],
        "unit": unit,
        "held": percent(float(np.mean(held))) if held else None,
        "level": None if first is None else percent(first.level),
        "promised": None if first is None or first.promised >= first.level else percent(first.promised),
        "why_not": sorted({one.no_interval for one in abouts if one.no_interval}),
    }


def _ends(one: CaseAbout) -> tuple[float, ...]:
    return () if one.interval is None else (one.interval.low, one.interval.high)


def _mean(one: CaseAbout) -> float:
    return float(np.mean(list(one.drawn.values())))


def _against(abouts: Sequence[CaseAbout], unit: Unit, every: Sequence[float]) -> Any:
    values = np.array(every) / unit.size
    x = log_axis(f"mean {unit.what} of the raters ({unit.name})", values)
    y = log_axis(f"expected {unit.what} ({unit.name})", values)
    chart = Chart(x, y, f"Expected {unit.what} of each case against the mean of its raters")
    chart.line([x.low, x.high], [x.low, x.high], "diagonal")
    drawn = np.array([_mean(one) for one in abouts]) / unit.size
    for one, at in zip(abouts, drawn, strict=True):
        if one.interval is not None:
            chart.line([at, at], np.array(_ends(one)) / unit.size, "interval calibrated")
    for name in (RAW, CALIBRATED):
        found = [(at, one) for at, one in zip(drawn, abouts, strict=True) if name in one.expected]
        chart.dots(
            [at for at, _ in found],
            [one.expected[name] / unit.size for _, one in found],
            name,
            [
                f"{one.case}: {name}, expected {unit.say(one.expected[name])} {unit.name}; raters {_drawn(one, unit)}"
                for _, one in found
            ],
        )
    return chart.svg()


def _drawn(one: CaseAbout, unit: Unit) -> str:
    volumes = sorted(one.drawn.values())
    return interval(volumes[0] / unit.size, volumes[-1] / unit.size) if len(volumes) > 1 else unit.say(volumes[0])


def _row(one: CaseAbout, axis: Axis, unit: Unit) -> dict[str, Any]:
    def place(volume: float) -> float:
        return round(100 * float(axis.place(volume / unit.size)), 2)

    said = [f"raters {_drawn(one, unit)}"]
    said += [f"{name} {unit.say(volume)}" for name, volume in one.expected.items()]
    if one.interval is not None:
        said.append(f"interval {interval(one.interval.low / unit.size, one.interval.high / unit.size)}")
    ends = [place(end) for end in _ends(one)]
    return {
        "case": one.case,
        "drawn": [place(volume) for volume in one.drawn.values()],
        "expected": {name: place(volume) for name, volume in one.expected.items()},
        "from": ends[0] if ends else None,
        "width": round(ends[1] - ends[0], 2) if ends else 0,
        "words": f"{one.case}: {'; '.join(said)} {unit.name}",
    }
