"""Writing an evaluation: one row per case and prediction as CSV, the cohort's scores as JSON."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

from twintrack.errors import OutputError
from twintrack.evaluation.evaluate import Evaluation
from twintrack.images.atomic import write_text


def write_evaluation(evaluation: Evaluation, folder: Path) -> tuple[Path, Path]:
    """Write ``scores.csv`` and ``summary.json``; each appears whole or not at all.

    Args:
        evaluation: What to write.
        folder: Where; made if it does not exist.

    Returns:
        The two files.

    Raises:
        OutputError: If they cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"cannot make the folder {folder}: {error.strerror}") from error
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, fieldnames=list(evaluation.per_case[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(evaluation.per_case)
    scores, summary = folder / "scores.csv", folder / "summary.json"
    write_text(scores, text.getvalue())
    write_text(summary, json.dumps(evaluation.summary, indent=1, allow_nan=False, ensure_ascii=False) + "\n")
    return scores, summary
