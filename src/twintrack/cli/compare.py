"""`twintrack compare`: rank evaluations of the same cases and say which differences mean anything."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from twintrack.cli import options
from twintrack.cli.display import output, show_json, show_table, show_written


def command(
    evaluations: Annotated[
        list[Path], typer.Argument(help="Folders that `twintrack evaluate` wrote, of the same cases.")
    ],
    out: Annotated[Path, typer.Option("--out", help="Folder for the tables.")],
    scores: Annotated[
        str | None, typer.Option(help="Scores to rank by, separated by commas. Default: all of the protocol.")
    ] = None,
    repeats: Annotated[int, typer.Option(help="Resamples of the bootstrap over patients.", min=1)] = 2000,
    seed: Annotated[int, typer.Option(help="Seed of the bootstrap.", min=0)] = 0,
    json: options.Json = False,
) -> None:
    """Compare any number of evaluations: paired differences with intervals, and a ranking with its stability.

    Example: `twintrack compare scores/isotonic scores/temperature scores/platt --out comparison`
    """
    from twintrack.evaluation import compare, read_entries, write_comparison  # noqa: PLC0415  (keeps --help fast)

    chosen = [name.strip() for name in scores.split(",")] if scores else None
    found = compare(read_entries(evaluations), scores=chosen, repeats=repeats, seed=seed)
    written = write_comparison(found, out)
    if json:
        show_json({"ranking": found.ranking, "stability": found.stability, **found.about})
        return
    rows = [
        [row["entry"], f"{row['rank']:g}", f"{row['low']:g}–{row['high']:g}", f"{100 * row['first']:.0f} %"]
        for row in found.ranking
    ]
    show_table("Ranking", ["entry", "rank", "interval", "first in"], rows)
    if found.stability is not None:
        output.print(f"stability under resampling of the patients (Kendall's tau): {found.stability:.2f}")
    show_written(written)
