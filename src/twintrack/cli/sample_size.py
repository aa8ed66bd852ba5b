"""`twintrack sample-size`: how a calibration gets better with more cases, and how many more would help."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from twintrack.cli import options
from twintrack.cli.display import Skipped, output, show_json, show_table, show_written, track, track_fits
from twintrack.errors import InputError, OutputError

if TYPE_CHECKING:
    from twintrack.calibration.learning.answer import Estimate
    from twintrack.calibration.learning_curve import LearningCurve


def command(
    raters: options.Raters = None,
    members: options.Members = None,
    method: Annotated[
        str, typer.Option(help="The method of the calibration, as in `twintrack fit`; auto chooses one for every set.")
    ] = "auto",
    sizes: Annotated[
        str | None,
        typer.Option(help="Numbers of cases to measure: 4,8,16,32. Default: from 4 to about 80 % of the cases."),
    ] = None,
    repeats: Annotated[
        int | None,
        typer.Option(
            help="How often every case is left out of the largest sets (five fits each time). Default: 2 for "
            "conditional and auto, 10 for the others.",
            min=1,
        ),
    ] = None,
    tolerance: Annotated[
        float, typer.Option(help="Fraction of the losses that is worth having, and near enough to the plateau.")
    ] = 0.02,
    seed: Annotated[int, typer.Option(help="Seed of the draws and of the intervals.", min=0)] = 0,
    out: Annotated[
        Path | None, typer.Option("--out", help="Folder for learning_curve.json and learning_curve.png.")
    ] = None,
    roi: options.Roi = None,
    cases: options.Cases = None,
    split: options.Split = None,
    foreground: options.Foreground = None,
    rater_labels: options.RaterLabels = None,
    skip_bad: options.SkipBad = False,
    workers: options.Workers = None,
    scheduler: options.Scheduler = None,
    json: options.Json = False,
) -> None:
    """Say how many more calibration cases would help, and by how much.

    Calibrations are fitted to sets of more and more of the cases and judged on the patients that are not among them.
    A curve through their losses tells what ten more cases, or twice as many, would bring.

    Example: `twintrack sample-size --raters raters --members members/a members/b members/c --cases cases.csv
    --split calibration --out curve`
    """
    from twintrack.calibration.learning_curve import learning_curve  # noqa: PLC0415  (keeps --help fast)

    wanted = _sizes(sizes)
    _require_folder(out)
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
    with Skipped() as skipped, options.executor_from(workers, scheduler) as executor:
        curve = learning_curve(
            cohort,
            method=method,
            sizes=wanted,
            repeats=repeats,
            tolerance=tolerance,
            seed=seed,
            on_bad=skipped if skip_bad else None,
            progress=track,
            fit_progress=track_fits,
            executor=executor,
        )
        written = _write(curve, out) if out else []
    if json:
        show_json({"skipped": skipped.reasons, **curve.model_dump()})
        return
    title = f"Losses relative to probabilities left alone: {curve.method}, cases of {curve.n_patients} patients"
    shown = [f"{name} [95 %]" for name in ("criterion", *curve.sizes[0].terms)]
    show_table(title, ["cases", "sets", *shown, "between sets ±"], _rows(curve))
    for sentence in curve.answer.sentences:
        output.print(sentence)
    show_written(written)


def _sizes(text: str | None) -> list[int] | None:
    if text is None:
        return None
    try:
        return [int(word) for word in text.split(",")]
    except ValueError as error:
        raise InputError(f"--sizes takes whole numbers separated by commas; got {text!r}") from error


def _require_folder(out: Path | None) -> None:
    """Say before any work is done that nothing could be written."""
    if out is not None and out.exists() and not out.is_dir():
        raise OutputError(f"cannot write into {out}: it is not a folder")


def _write(curve: LearningCurve, folder: Path) -> list[Path]:
    from twintrack.images.atomic import make_folder, write_text  # noqa: PLC0415  (keeps --help fast)
    from twintrack.report.learning_curve_figure import learning_curve_figure  # noqa: PLC0415
    from twintrack.report.save import save_figure  # noqa: PLC0415

    make_folder(folder)
    data, figure = folder / "learning_curve.json", folder / "learning_curve.png"
    write_text(data, curve.model_dump_json(indent=1) + "\n")
    save_figure(figure, learning_curve_figure(curve))
    return [data, figure]


def _rows(curve: LearningCurve) -> Iterator[list[str]]:
    for point in curve.sizes:
        found = (_interval(one) for one in (point.criterion, *point.terms.values()))
        spread = "–" if point.spread is None else f"{point.spread:.3f}"
        yield [str(point.n), str(point.draws), *found, spread]


def _interval(found: Estimate) -> str:
    return f"{found.value:.3f} [{found.low:.3f}, {found.high:.3f}]"
