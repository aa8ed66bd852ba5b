"""`twintrack evaluate`: score the ensemble, and what a calibration makes of it, against the raters."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from twintrack.cli import options
from twintrack.cli.display import Skipped, show_json, show_table, show_written, track


def command(
    out: Annotated[Path, typer.Option("--out", help="Folder for scores.csv and summary.json.")],
    raters: options.Raters = None,
    members: options.Members = None,
    calibration: Annotated[
        Path | None, typer.Option("--calibration", help="A calibration to score beside the raw ensemble.")
    ] = None,
    roi: options.Roi = None,
    cases: options.Cases = None,
    split: options.Split = None,
    foreground: options.Foreground = None,
    rater_labels: options.RaterLabels = None,
    repeats: Annotated[int, typer.Option(help="Resamples of the bootstrap over patients.", min=1)] = 2000,
    seed: Annotated[int, typer.Option(help="Seed of the bootstrap.", min=0)] = 0,
    skip_bad: options.SkipBad = False,
    json: options.Json = False,
) -> None:
    """Score a cohort, raw and calibrated, with intervals from a bootstrap over patients.

    Example: `twintrack evaluate --raters raters --members members/a members/b members/c --cases cases.csv --split test
    --calibration calibration.json --out scores`
    """
    from twintrack.calibration import load_calibration  # noqa: PLC0415  (keeps --help fast)
    from twintrack.evaluation import evaluate, write_evaluation  # noqa: PLC0415

    fitted = load_calibration(calibration) if calibration else None
    cohort = options.cohort_from(
        raters=raters,
        members=members,
        roi=roi,
        cases=cases,
        split=split,
        foreground=foreground,
        rater_labels=rater_labels,
        skip_bad=skip_bad,
    )
    skipped = Skipped()
    found = evaluate(
        cohort,
        calibration=fitted,
        repeats=repeats,
        seed=seed,
        on_bad=skipped if skip_bad else None,
        progress=track,
    )
    written = write_evaluation(found, out)
    skipped.show()
    if json:
        show_json({"skipped": skipped.reasons, **found.summary})
        return
    show_scores(found.summary)
    show_written(written)


def show_scores(summary: dict[str, Any]) -> None:
    """Print the cohort's scores: raw and, where there is one, calibrated with the paired difference."""
    calibrated = "calibrated" in summary["reliability"]
    header = [
        "score",
        "better",
        "raw",
        *(["calibrated", "difference [95 %]", "cases better / worse"] if calibrated else []),
    ]
    title = f"{summary['n_cases']} cases, {summary['n_patients']} patients"
    show_table(title, header, [_row(entry, calibrated=calibrated) for entry in summary["scores"].values()])


def _row(entry: dict[str, Any], *, calibrated: bool) -> list[str]:
    label = f"{entry['label']} ({entry['unit']})" if entry["unit"] else entry["label"]
    row = [label, entry["better"], _number(entry["raw"]["value"])]
    if calibrated:
        gap = entry["difference"]
        wins = f"{gap['cases_improved']} / {gap['cases_worsened']}" if "cases_improved" in gap else ""
        interval = f"{_number(gap['value'])} [{_number(gap['low'])}, {_number(gap['high'])}]"
        row += [_number(entry["calibrated"]["value"]), interval, wins]
    return row


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.4g}"
