"""The scores of the cohort: raw beside calibrated, and both beside one more rater."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from twintrack.evaluation.predictions import HUMAN, RAW, scored_as, vs_others
from twintrack.report.html.content import Content
from twintrack.report.html.words import count, interval, number, power_of_ten

_SMALL = 0.05  # below it scores are written in thousandths or less

_BETTER = {"lower": "lower is better", "higher": "higher is better", "zero": "best at 0"}
_VERDICTS = {1: "better", -1: "worse", 0: "no clear difference"}


def score_rows(content: Content) -> list[dict[str, Any]]:
    """Give a row for each score, raw beside calibrated against all raters."""
    scored = content.summary["scores"].values()
    return [_row(entry, content.predictions) for entry in scored if RAW in entry["predictions"]]


def ceiling_rows(content: Content) -> list[dict[str, Any]]:
    """Give a row for each score that has a human ceiling, everything against all raters but one."""
    names = (HUMAN, *(vs_others(name) for name in content.predictions))
    scored = content.summary["scores"].values()
    return [_row(entry, names) for entry in scored if HUMAN in entry["predictions"]]


def verdicts(rows: Sequence[dict[str, Any]]) -> dict[str, list[str]]:
    """Give the scores by what calibration did to them, in words of `_VERDICTS`."""
    found: dict[str, list[str]] = {word: [] for word in _VERDICTS.values()}
    for row in rows:
        for gap in row["gaps"]:
            if gap["verdict"]:
                found[gap["verdict"]].append(row["label"])
    return found


def _row(entry: dict[str, Any], names: Sequence[str]) -> dict[str, Any]:
    given = {name: entry["predictions"][name] for name in names if name in entry["predictions"]}
    power = score_power([one["value"] for one in given.values()])
    found = {name: _scaled(one, power) for name, one in given.items()}
    gaps = [_scaled(gap, power) for gap in entry["differences"] if gap["of"] in found and gap["to"] in found]
    return {
        "label": entry["label"],
        "meaning": entry["meaning"],
        "unit": score_unit(entry["unit"], power),
        "better": _BETTER[entry["better"]],
        "values": [
            {"kind": kind_of(name), "name": _name(name), "value": number(one["value"]), "range": _range(one)}
            for name, one in found.items()
        ],
        "strip": _strip(found),
        "gaps": [_gap(entry, gap) for gap in gaps],
    }


def score_power(values: Sequence[float | None]) -> int:
    """Choose the power of ten in which small scores are written: thousandths, millionths, …, or ones."""
    largest = max((abs(value) for value in values if value is not None and math.isfinite(value)), default=0.0)
    return 0 if largest == 0 or largest >= _SMALL else 3 * math.floor(math.log10(largest) / 3)


def score_unit(unit: str, power: int) -> str:
    """Say the unit of scores that are written in a power of ten."""
    return " ".join(part for part in (power_of_ten(power) if power else "", unit) if part)


def _scaled(one: dict[str, Any], power: int) -> dict[str, Any]:
    """Divide value and interval by a power of ten."""
    ends = ("value", "low", "high")
    return one | {end: None if one[end] is None else one[end] / 10.0**power for end in ends}


def kind_of(prediction: str) -> str:
    """Give the style of a prediction: "raw", "human", or "calibrated" for all others."""
    name = scored_as(prediction)
    return name if name in (RAW, HUMAN) else "calibrated"


def _name(prediction: str) -> str:
    return "one more rater" if prediction == HUMAN else scored_as(prediction)


def _range(one: dict[str, Any]) -> str:
    return interval(one["low"], one["high"])


def _strip(found: dict[str, dict[str, Any]]) -> list[dict[str, Any]]:
    """Lay the intervals beside each other, as percentages of the width they need together."""
    ends = [one[end] for one in found.values() for end in ("low", "value", "high") if one[end] is not None]
    if not ends:
        return []
    low, span = min(ends), (max(ends) - min(ends)) or 1.0

    def place(value: float) -> float:
        return round(float(4 + 92 * (value - low) / span), 2)

    return [
        {
            "kind": kind_of(name),
            "at": place(one["value"]),
            "from": place(one["low"]) if one["low"] is not None else place(one["value"]),
            "width": round(place(one["high"]) - place(one["low"]), 2) if one["low"] is not None else 0.0,
            "words": f"{_name(name)} {number(one['value'])}, {_range(one)}",
        }
        for name, one in found.items()
        if one["value"] is not None
    ]


def _gap(entry: dict[str, Any], gap: dict[str, Any]) -> dict[str, Any]:
    sign = _sign(entry["better"], gap)
    cases = None
    if "cases_improved" in gap:
        better, worse = gap["cases_improved"], gap["cases_worsened"]
        cases = f"{count(better, 'case')} better, {worse} worse"
    return {
        "of": _name(gap["of"]),
        "kind": kind_of(gap["of"]),
        "to": _name(gap["to"]),
        "value": number(gap["value"]),
        "range": _range(gap),
        "verdict": None if sign is None else _VERDICTS[sign],
        "cases": cases,
    }


def _sign(better: str, gap: dict[str, Any]) -> int | None:
    """Say whether the interval of a difference lies on one side of 0; of signed errors that says nothing of better."""
    low, high = gap["low"], gap["high"]
    if better == "zero" or low is None or high is None:
        return None
    side = 1 if low > 0 else -1 if high < 0 else 0
    return side if better == "higher" else -side
