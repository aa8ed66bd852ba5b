"""Writing an evaluation: one row per case and prediction as CSV, the cohort's scores as JSON."""

from __future__ import annotations

import json
from pathlib import Path

from twintrack.evaluation.evaluate import Evaluation
from twintrack.evaluation.tables import as_csv
from twintrack.images.atomic import make_folder, write_text


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
    make_folder(folder)
    scores, summary = folder / "scores.csv", folder / "summary.json"
    write_text(scores, as_csv(evaluation.per_case))
    write_text(summary, json.dumps(evaluation.summary, indent=1, allow_nan=False, ensure_ascii=False) + "\n")
    return scores, summary
