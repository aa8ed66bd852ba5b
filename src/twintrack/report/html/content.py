"""What a report is made of: an evaluation's folder, its calibration and a learning curve, read and held together."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from twintrack.calibration import Calibration, load_calibration
from twintrack.calibration.learning_curve import LearningCurve
from twintrack.errors import InputError
from twintrack.evaluation.details.details import CalibrationAbout, Details, content_sha256
from twintrack.evaluation.details.files import AGAIN, read_details
from twintrack.evaluation.predictions import RAW, against_all
from twintrack.images.hashing import sha256_of
from twintrack.report.html.summary_shape import problem_of

SUMMARY, SCORES, CURVE = "summary.json", "scores.csv", "learning_curve.json"

_TEXT_COLUMNS = frozenset({"case", "patient", "prediction"})
_COLUMNS = frozenset({"case", "patient", "prediction", "raters"})


@dataclass(frozen=True, eq=False)
class Content:
    """Everything a report is made of.

    Attributes:
        folder: The evaluation's folder.
        summary: Its `summary.json`.
        rows: Its `scores.csv`: one row per case and prediction; numbers as float, NaN where there is none.
        details: What else it keeps; None where it was made without.
        chosen: The prediction the report is about, beside raw; None where raw alone was scored.
        calibration: The calibration that was evaluated, where its file was given.
        learning: The learning curve, where there is one.
        sha256: Hash of each file that was read, by name.
    """

    folder: Path
    summary: dict[str, Any]
    rows: list[dict[str, Any]]
    details: Details | None
    chosen: str | None
    calibration: Calibration | None
    learning: LearningCurve | None
    sha256: dict[str, str]

    @property
    def predictions(self) -> tuple[str, ...]:
        """Raw and the chosen prediction, as far as they were scored."""
        return tuple(name for name in (RAW, self.chosen) if name in self.scored)

    @property
    def scored(self) -> tuple[str, ...]:
        """Everything that was scored against all raters."""
        return tuple(against_all(dict.fromkeys(row["prediction"] for row in self.rows)))

    @property
    def calibrated(self) -> CalibrationAbout | None:
        """What is known of the calibration that made the chosen prediction."""
        return None if self.details is None or self.chosen is None else self.details.calibrations.get(self.chosen)


def read_content(
    folder: Path,
    *,
    calibration: Path | None = None,
    learning_curve: Path | None = None,
    prediction: str | None = None,
) -> Content:
    """Read and check what a report is made of.

    Args:
        folder: A folder that `twintrack evaluate` wrote.
        calibration: The file of the calibration that was evaluated.
        learning_curve: A file that `twintrack sample-size` wrote; None: the folder's `learning_curve.json`, if any.
        prediction: Which prediction to report beside raw; None: that of the calibration given, else the first.

    Returns:
        The content.

    Raises:
        InputError: If the folder is no evaluation, has no case, was altered, holds no such prediction, or the
            calibration or the learning curve is not what it should be.
        CalibrationError: If the calibration cannot be read.
    """
    summary, rows = _read_summary(folder), _read_rows(folder)
    if not rows or not summary["n_cases"]:
        raise InputError(f"{folder} has scores of no case: there is nothing to report")
    details = read_details(folder)
    if details is not None and [case.about.case for case in details.cases] != list(_cases(rows)):
        raise InputError(f"{folder}: its details are not of the cases of {SCORES}. {AGAIN.format(folder=folder)}")
    files = {SUMMARY: folder / SUMMARY, SCORES: folder / SCORES}
    scored = against_all(dict.fromkeys(row["prediction"] for row in rows))
    others = [name for name in scored if name != RAW]
    if prediction is not None and prediction not in others:
        raise InputError(
            f"{folder} has no prediction {prediction!r} to report; it has {', '.join(others) or 'raw alone'}"
        )
    chosen, fitted = prediction or next(iter(others), None), None
    if calibration is not None:
        fitted = load_calibration(calibration)
        chosen = _evaluated_as(fitted, calibration, folder, details, others, prediction)
        files["calibration"] = calibration
    curve = folder / CURVE if learning_curve is None and (folder / CURVE).exists() else learning_curve
    learning = None
    if curve is not None:
        learning, files["learning curve"] = _read_curve(curve), curve
    hashes = {name: sha256_of(path) for name, path in files.items()}
    return Content(folder, summary, rows, details, chosen, fitted, learning, hashes)


def _cases(rows: list[dict[str, Any]]) -> dict[str, None]:
    return dict.fromkeys(row["case"] for row in rows)


def _read_summary(folder: Path) -> dict[str, Any]:
    path = folder / SUMMARY
    if not folder.is_dir():
        raise InputError(f"{folder}: there is no such folder; name one that `twintrack evaluate … --out` wrote")
    try:
        summary = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{folder} is not an evaluation: {path}: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path} is not JSON ({error}). {AGAIN.format(folder=folder)}") from error
    if problem := problem_of(summary):
        raise InputError(
            f"{path} is of another version, or `twintrack evaluate` did not write it: {problem}. "
            f"{AGAIN.format(folder=folder)}"
        )
    found: dict[str, Any] = summary
    return found


def _read_rows(folder: Path) -> list[dict[str, Any]]:
    path = folder / SCORES
    try:
        with path.open(newline="", encoding="utf-8") as stream:
            reader = csv.DictReader(stream)
            _require_columns(reader.fieldnames or ())
            return [_row(row) for row in reader]
    except OSError as error:
        raise InputError(f"{folder} is not an evaluation: {path}: {error.strerror}") from error
    except (ValueError, csv.Error) as error:
        raise InputError(f"{path} is not a table of scores ({error}). {AGAIN.format(folder=folder)}") from error


def _require_columns(names: Sequence[str]) -> None:
    if lacking := sorted(_COLUMNS - set(names)):
        raise ValueError(f"it has no column {', '.join(lacking)}")


def _row(row: dict[Any, Any]) -> dict[str, Any]:
    # Pitfall: the reader puts what lies beyond the last column under None, and None into cells that a row lacks.
    if None in row or None in row.values():
        raise ValueError("a row has not as many cells as there are columns")
    return {name: _value(name, cell) for name, cell in row.items()}


def _value(name: str, cell: str) -> Any:
    if name in _TEXT_COLUMNS:
        return cell
    # Volumes by prediction are written as a mapping; a report takes them from the details.
    return cell if cell.startswith("{") else float(cell) if cell else math.nan


def _evaluated_as(
    fitted: Calibration, path: Path, folder: Path, details: Details | None, others: list[str], prediction: str | None
) -> str:
    """Find the prediction that a calibration made; refuse one that was not evaluated."""
    if not others:
        raise InputError(
            f"{folder} was made without a calibration; leave --calibration {path} out, or evaluate with it first"
        )
    if details is None:
        return prediction or others[0]
    found = content_sha256(fitted)
    names = [name for name, one in details.calibrations.items() if one.sha256 == found]
    if names and prediction in (None, names[0]):
        return names[0]
    known = "; ".join(
        f"{name}: method {one.method}, fitted on {one.n_cases} cases (content {one.sha256[:12]}…)"
        for name, one in details.calibrations.items()
        if prediction in (None, name)
    )
    raise InputError(
        f"{path} is not the calibration that was evaluated. It is of method {fitted.method}, fitted on "
        f"{fitted.provenance.n_cases} cases (content {found[:12]}…); {folder} was made with {known or 'none'}"
    )


def _read_curve(path: Path) -> LearningCurve:
    try:
        return LearningCurve.model_validate_json(path.read_bytes())
    except OSError as error:
        raise InputError(f"cannot read the learning curve {path}: {error.strerror}") from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(step) for step in first["loc"]) or "the file"
        raise InputError(
            f"{path} is not a learning curve that `twintrack sample-size` wrote: {where}: {first['msg']}"
        ) from error
