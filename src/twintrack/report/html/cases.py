"""The table of cases: volumes, scores and flags of each, to be sorted by any column."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from twintrack.evaluation.details.case_details import CaseAbout
from twintrack.report.html.content import Content
from twintrack.report.html.headline import score_power, score_unit
from twintrack.report.html.volumes import Unit
from twintrack.report.html.words import DASH, interval, number

DIFFERENCE = "chosen − raw"  # no prediction is called so by chance


def case_table(content: Content, unit: Unit | None) -> dict[str, Any]:
    """Lay out the table.

    Args:
        content: What the report is made of.
        unit: What volumes are said in; None without details, which know the volumes.

    Returns:
        "columns", "rows" of cells with the value to sort by, and "views": whose scores the score columns show in turn.
    """
    views = [*content.predictions, *([DIFFERENCE] if len(content.predictions) > 1 else [])]
    about = {} if content.details is None else {case.about.case: case.about for case in content.details.cases}
    scores = {
        name: entry
        for name, entry in content.summary["scores"].items()
        if any(isinstance(row.get(name), float) and not math.isnan(row[name]) for row in content.rows)
    }
    powers = {name: _power(name, content) for name in scores}
    by_case: dict[str, dict[str, dict[str, Any]]] = {}
    for row in content.rows:
        by_case.setdefault(row["case"], {})[row["prediction"]] = row
    patients = any(rows[next(iter(rows))]["patient"] != case for case, rows in by_case.items())
    return {
        "views": views,
        "shown": content.predictions[-1] if content.predictions else "",
        "columns": _columns(content, unit, scores, powers, patients=patients),
        "rows": [
            [
                *_about_cells(case, rows, about.get(case), unit, content, patients=patients),
                *(_score_cell(name, power, rows, views, content) for name, power in powers.items()),
            ]
            for case, rows in by_case.items()
        ],
    }


def _columns(
    content: Content,
    unit: Unit | None,
    scores: Mapping[str, dict[str, Any]],
    powers: Mapping[str, int],
    *,
    patients: bool,
) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = [{"label": "case", "meaning": "", "number": False}]
    if patients:
        found.append({"label": "patient", "meaning": "", "number": False})
    numbers = [("raters", "how many drew it")]
    if content.details is not None and unit is not None:
        numbers.append((f"drawn ({unit.name})", f"mean {unit.what} of the raters, and its range"))
        numbers += [(f"{name} ({unit.name})", f"expected {unit.what}") for name in content.predictions]
        numbers.append(("pairs", "mean Dice of two raters"))
    if content.calibrated is not None:
        numbers.append(("flags", "in how many things it is unlike the calibration cases"))
    for name, entry in scores.items():
        said = score_unit(entry["unit"], powers[name])
        numbers.append((f"{entry['label']} ({said})" if said else entry["label"], entry["meaning"]))
    return found + [{"label": label, "meaning": meaning, "number": True} for label, meaning in numbers]


def _about_cells(
    case: str,
    rows: Mapping[str, dict[str, Any]],
    about: CaseAbout | None,
    unit: Unit | None,
    content: Content,
    *,
    patients: bool,
) -> list[dict[str, Any]]:
    row = next(iter(rows.values()))
    cells: list[dict[str, Any]] = [{"text": case, "sort": case, "head": True}]
    if patients:
        cells.append({"text": row["patient"], "sort": row["patient"]})
    cells.append({"text": f"{row['raters']:g}", "sort": row["raters"]})
    if about is not None and unit is not None:
        drawn = sorted(about.drawn.values())
        mean = sum(drawn) / len(drawn)
        ends = interval(drawn[0] / unit.size, drawn[-1] / unit.size) if len(drawn) > 1 else ""
        cells.append({"text": unit.say(mean), "more": ends, "sort": mean})
        volumes = [about.expected[name] for name in content.predictions]
        cells.extend({"text": unit.say(volume), "sort": volume} for volume in volumes)
        cells.append({"text": number(about.dice), "sort": -1.0 if about.dice is None else about.dice})
    if about is not None and content.calibrated is not None and content.chosen is not None:
        flags = len(about.flags[content.chosen])
        cells.append({"text": str(flags) if flags else "", "sort": flags, "flagged": flags > 0})
    return cells


def _power(name: str, content: Content) -> int:
    """Write a score's column in the power of ten of its mean."""
    predictions = content.summary["scores"][name]["predictions"]
    return score_power([predictions[one]["value"] for one in content.predictions if one in predictions])


def _score_cell(
    name: str, power: int, rows: Mapping[str, dict[str, Any]], views: list[str], content: Content
) -> dict[str, Any]:
    shown = content.predictions[-1] if content.predictions else ""
    values = {view: rows[view].get(name, math.nan) / 10.0**power for view in views if view in rows}
    if DIFFERENCE in views and len(values) > 1:
        raw, chosen = (values[name] for name in content.predictions)
        values[DIFFERENCE] = chosen - raw
    texts = {view: number(value) for view, value in values.items()}
    sorts = {view: "" if math.isnan(value) else repr(value) for view, value in values.items()}
    return {"text": texts.get(shown, DASH), "sort": sorts.get(shown, ""), "views": texts, "sorts": sorts}
