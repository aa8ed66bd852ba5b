"""Making the report: everything is collected, laid out by templates and written as one file that needs no other."""

from __future__ import annotations

import base64
import hashlib
from importlib.resources import files
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from twintrack.errors import InputError
from twintrack.images.atomic import write_text
from twintrack.report.html.card import model_card, provenance, sentences
from twintrack.report.html.cases import case_table
from twintrack.report.html.content import Content, read_content
from twintrack.report.html.curve import curve_charts, selection_rows
from twintrack.report.html.disagreement import disagreement
from twintrack.report.html.headline import ceiling_rows, score_rows
from twintrack.report.html.learning import learning_chart
from twintrack.report.html.pictures import colour_gradient, colour_table, differences, picture_data, picture_panels
from twintrack.report.html.reliability import reliability_charts
from twintrack.report.html.volumes import Unit, volume_charts
from twintrack.report.html.words import count, number, plain

_SCRIPTS = ("tips.js", "theme.js", "scale.js", "table.js", "contours.js", "pictures.js")
_HERE = "twintrack.report.html"


def write_report(
    evaluation: Path | str,
    out: Path | str,
    *,
    calibration: Path | str | None = None,
    learning_curve: Path | str | None = None,
    prediction: str | None = None,
    title: str = "Calibration report",
) -> Path:
    """Make a report of an evaluation: one HTML file that opens from disk, without a network.

    The same inputs give the same bytes with the same versions.

    Args:
        evaluation: A folder that `twintrack evaluate` wrote.
        out: The file to write, ending in ``.html``; it appears whole or not at all.
        calibration: The file of the calibration that was evaluated: the report then also shows its curve and what it
            was fitted on.
        learning_curve: `learning_curve.json`, which `twintrack sample-size` wrote; None: the one in the folder, if any.
        prediction: Which prediction to report beside raw, where several were scored; None: that of the calibration
            given, else the first.
        title: What to write above it.

    Returns:
        The file.

    Raises:
        InputError: If the folder is no evaluation, is empty or was altered, or what else is given does not fit it.
        CalibrationError: If the calibration cannot be read.
        OutputError: If the file cannot be written. No part of it is left, an older one stays.
    """
    target = Path(out)
    if target.suffix.lower() not in (".html", ".htm"):
        raise InputError(f"{target}: a report is written as .html; choose this ending")
    content = read_content(
        Path(evaluation),
        calibration=None if calibration is None else Path(calibration),
        learning_curve=None if learning_curve is None else Path(learning_curve),
        prediction=prediction,
    )
    write_text(target, render(content, title=title))
    return target


def render(content: Content, *, title: str) -> str:
    """Lay a report out.

    Args:
        content: What it is made of.
        title: What to write above it.

    Returns:
        The page.
    """
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader(_HERE),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals.update(number=number, plain=plain, count=count)
    script = _script()
    page = environment.get_template("page.html.j2").render(
        title=title,
        style=Markup(_static("report.css")),  # noqa: S704  (a file of this package)
        script=Markup(script),  # noqa: S704
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        gradient=colour_gradient(),
        **_sections(content),
    )
    return page + "\n"


def _sections(content: Content) -> dict[str, Any]:
    rows, details = score_rows(content), content.details
    abouts = [] if details is None else [case.about for case in details.cases]
    unit = Unit.of(abouts) if abouts else None
    names = content.predictions
    selection = None if content.calibration is None else content.calibration.selection
    pictures = () if details is None else details.pictures
    return {
        "content": content,
        "predictions": names,
        "calibrated": content.calibrated is not None,
        "sentences": sentences(content, rows),
        "rows": rows,
        "ceiling": ceiling_rows(content),
        "reliability": [] if details is None else [reliability_charts(details, name) for name in names],
        "curve": curve_charts(content.calibration, details, content.chosen),
        "selection": None if selection is None else selection_rows(selection),
        "terms": [] if selection is None else list(selection.candidates[0].terms),
        "volumes": None if details is None or unit is None else volume_charts(details.cases, names, unit),
        "disagreement": None if details is None or unit is None else disagreement(details.cases, names, unit),
        "pictures": [{"about": one.about, "panels": picture_panels(one, names)} for one in pictures],
        "differences": differences(names),
        "data": {"colours": colour_table(), "pictures": picture_data(pictures, names)},
        "table": case_table(content, unit),
        "learning": None if content.learning is None else learning_chart(content.learning),
        "flagged": [(one.case, flags) for one in abouts if (flags := one.flags.get(content.chosen or ""))],
        "card": model_card(content),
        "provenance": provenance(content),
    }


def _script() -> str:
    """Put the small scripts together, in a scope of their own."""
    return '(() => {\n"use strict";\n' + "\n".join(_static(name) for name in _SCRIPTS) + "})();\n"


def _static(name: str) -> str:
    return (files(_HERE) / "static" / name).read_text(encoding="utf-8")
