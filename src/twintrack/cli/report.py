"""`twintrack report`: one HTML file that shows an evaluation, its calibration and what to make of both."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from twintrack.cli import options
from twintrack.cli.display import show_written


def command(
    evaluation: Annotated[Path, typer.Option("--evaluation", help="Folder that `twintrack evaluate --out` wrote.")],
    out: Annotated[Path, typer.Option("--out", help="The file to write, ending in .html.")],
    calibration: Annotated[
        Path | None,
        typer.Option("--calibration", help="File of the calibration that was evaluated: also shows its curve."),
    ] = None,
    learning_curve: Annotated[
        Path | None,
        typer.Option(
            "--learning-curve",
            help="learning_curve.json that `twintrack sample-size --out` wrote; one beside the scores is found.",
        ),
    ] = None,
    prediction: Annotated[
        str | None,
        typer.Option("--prediction", help="Which prediction to show beside raw, where several were evaluated."),
    ] = None,
    title: Annotated[str, typer.Option("--title", help="What to write above it.")] = "Calibration report",
) -> None:
    """Make a report: one self-contained HTML file, for reading, printing and passing on.

    It opens from disk, sends and fetches nothing, and holds scores with intervals, pictures, reliability diagrams, the
    calibration curve, volumes, disagreement, every case, flags and a model card.

    Example: `twintrack report --evaluation scores --calibration calibration.json --out report.html`
    """
    from twintrack.report.html.page import write_report  # noqa: PLC0415  (keeps --help fast)

    options.require_folder_of(out)
    written = write_report(
        evaluation, out, calibration=calibration, learning_curve=learning_curve, prediction=prediction, title=title
    )
    show_written([written])
