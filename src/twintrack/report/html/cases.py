"""The table of cases: volumes, scores and flags of each, to be sorted by any column."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from twintrack.evaluation.details.case_details import CaseAbout
from twintrack.report.html.content import Content
from twintrack.report.html.volumes import Unit
from twintrack.report.html.words import DASH, interval, number

DIFFERENCE = "difference"


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
    by_case: dict[str, dict[str, dict[str, Any]]] = {}
    for row in content.rows:
        by_case.setdefault(row["case"], {})[row["prediction"]] = row
    patients = any(rows[next(iter(rows))]["patient"] != case for case, rows in by_case.items())
    return {
        "views": views,
        "shown": content.best,
        "columns": _columns(content, unit, scores, patients=patients),
        "rows": [
            [
                *_about_cells(case, rows, about.get(case), unit, content, patients=patients),
                *(_score_cell(name, rows, views, content.best) for name in scores),
            ]
            for case, rows in by_case.items()
        ],
    }


def _columns(
    content: Content, unit: Unit | None, scores: Mapping[str, dict[str, Any]], *, patients: bool
) -> list[dict[str, str]]:
    found = [{"label": "case", "meaning": ""}]
    if patients:
        found.append({"label": "patient", "meaning": ""})
    found.append({"label": "raters", "meaning": "how many drew it"})
    if content.details is not None and unit is not None:
        found.append({"label": f"drawn ({unit.name})", "meaning": f"mean {unit.what} of the raters, and its range"})
        for name in content.details.cases[0].about.expected:
            found.append({"label": f"{name} ({unit.name})", "meaning": f"expected {unit.what}"})
        found.append({"label": "pairs", "meaning": "mean Dice of two raters"})
    if content.best in ("calibrated",):
        found.append({"label": "flags", "meaning": "in how many things it is unlike the calibration cases"})
    for entry in scores.values():
        label = f"{entry['label']} ({entry['unit']})" if entry["unit"] else entry["label"]
        found.append({"label": label, "meaning": entry["meaning"]})
    return found


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
        cells.extend({"text": unit.say(volume), "sort": volume} for volume in about.expected.values())
        cells.append({"text": number(about.dice), "sort": -1.0 if about.dice is None else about.dice})
    if content.best in ("calibrated",):
        flags = row.get("flags", math.nan)
        cells.append({"text": number(flags) if flags else "", "sort": flags or 0, "flagged": bool(flags)})
    return cells


def _score_cell(name: str, rows: Mapping[str, dict[str, Any]], views: list[str], shown: str) -> dict[str, Any]:
    values = {view: rows[view].get(name, math.nan) for view in views if view in rows}
    if DIFFERENCE in views and len(values) > 1:
        values[DIFFERENCE] = values["calibrated"] - values["raw"]
    texts = {view: number(value) for view, value in values.items()}
    sorts = {view: "" if math.isnan(value) else repr(value) for view, value in values.items()}
    return {"text": texts.get(shown, DASH), "sort": sorts.get(shown, ""), "views": texts, "sorts": sorts}
