"""Writing an evaluation: one row per case and prediction as CSV, the cohort's scores as JSON, and what reports show."""

from __future__ import annotations

import json
from pathlib import Path

from twintrack.evaluation.details.files import write_details
from twintrack.evaluation.evaluate import Evaluation
from twintrack.evaluation.tables import as_csv
from twintrack.images.atomic import make_folder, write_text


def write_evaluation(evaluation: Evaluation, folder: Path) -> tuple[Path, ...]:
    """Write ``scores.csv`` and ``summary.json``, and its details where it has any; each appears whole or not at all.

    Args:
        evaluation: What to write.
        folder: Where; made if it does not exist.

    Returns:
        The two files, then those of the details (`twintrack.evaluation.details.files`).

    Raises:
        OutputError: If they cannot be written.
    """
    make_folder(folder)
    scores, summary = folder / "scores.csv", folder / "summary.json"
    write_text(scores, as_csv(evaluation.per_case))
    write_text(summary, json.dumps(evaluation.summary, indent=1, allow_nan=False, ensure_ascii=False) + "\n")
    if evaluation.details is None:
        return scores, summary
    return scores, summary, *write_details(evaluation.details, folder, beside=(scores, summary))
