"""Writing a comparison: tables as CSV, everything as JSON, and a page for people."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from twintrack.evaluation.compare import Comparison
from twintrack.evaluation.tables import as_csv, as_markdown
from twintrack.images.atomic import make_folder, write_text


def write_comparison(comparison: Comparison, folder: Path) -> list[Path]:
    """Write ``means.csv``, ``differences.csv``, ``ranking.csv``, ``comparison.json`` and ``comparison.md``.

    Args:
        comparison: What to write.
        folder: Where; made if it does not exist.

    Returns:
        The files.

    Raises:
        OutputError: If they cannot be written.
    """
    make_folder(folder)
    texts = {
        "means.csv": as_csv(comparison.means),
        "differences.csv": as_csv(comparison.differences),
        "ranking.csv": as_csv(comparison.ranking),
        "comparison.json": json.dumps(asdict(comparison), indent=1, allow_nan=False, ensure_ascii=False) + "\n",
        "comparison.md": as_page(comparison),
    }
    for name, text in texts.items():
        write_text(folder / name, text)
    return [folder / name for name in texts]


def as_page(comparison: Comparison) -> str:
    """Lay out ranking, means and differences as Markdown."""
    about = comparison.about
    scores = about["scores"]
    entries = [row["entry"] for row in comparison.ranking]
    mean = {(row["entry"], row["score"]): row for row in comparison.means}
    stability = "–" if comparison.stability is None else f"{comparison.stability:.2f}"
    ranking = [
        [
            row["entry"],
            _number(row["rank"]),
            f"{_number(row['low'])}–{_number(row['high'])}",
            f"{100 * row['first']:.0f} %",
        ]
        for row in comparison.ranking
    ]
    means = [
        [f"{one['label']} ({one['better']})", *(_with_interval(mean[entry, name]) for entry in entries)]
        for name, one in scores.items()
    ]
    pairs = [
        [scores[row["score"]]["label"], f"{row['of']} − {row['to']}", _with_interval(row), _wins(row)]
        for row in comparison.differences
    ]
    return (
        "\n\n".join(
            [
                "# Comparison",
                f"Protocol {about['protocol']}, {about['n_cases']} cases of {about['n_patients']} patients. Intervals: "
                f"{about['bootstrap']['level']:.0%} of {about['bootstrap']['repeats']} resamples of the patients.",
                "## Ranking",
                f"By {', '.join(about['ranked_by'])}. Stability under resampling (Kendall's tau): {stability}.",
                as_markdown(["entry", "rank", "interval", "first in"], ranking),
                "## Means",
                as_markdown(["score (better)", *entries], means),
                "## Paired differences",
                as_markdown(["score", "difference", "value [interval]", "cases better / equal / worse"], pairs),
            ]
        )
        + "\n"
    )


def _with_interval(row: dict[str, Any]) -> str:
    return f"{_number(row['value'])} [{_number(row['low'])}, {_number(row['high'])}]"


def _wins(row: dict[str, Any]) -> str:
    return f"{row['cases_improved']} / {row['cases_equal']} / {row['cases_worsened']}"


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.4g}"
