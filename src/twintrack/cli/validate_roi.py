"""`twintrack validate-roi`: how much of what the raters drew lies inside the region of interest."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from twintrack.cli import options, segment_options
from twintrack.cli.display import Skipped, output, show_json, show_table, track
from twintrack.errors import InputError

if TYPE_CHECKING:
    from twintrack.pipeline.validate_roi import MarginSummary


def command(
    models: segment_options.Models,
    raters: options.Raters = None,
    images: Annotated[
        list[Path] | None,
        typer.Option(
            "--images",
            help="CTs: a folder of images named by case, or of case folders. Default: image.nii.gz beside the raters' "
            "masks.",
            metavar="DIR [DIR ...]",
        ),
    ] = None,
    margins: Annotated[
        str | None, typer.Option("--margins", help="Margins in mm: 10,20,30. Default: the bundle's.")
    ] = None,
    cases: options.Cases = None,
    split: options.Split = None,
    rater_labels: options.RaterLabels = None,
    device: segment_options.Device = "auto",
    threads: segment_options.Threads = None,
    trust_checkpoint: segment_options.TrustCheckpoint = False,
    skip_bad: options.SkipBad = False,
    workers: options.Workers = None,
    scheduler: options.Scheduler = None,
    json: options.Json = False,
) -> None:
    """Report the recall of the region of interest on labelled cases: what lies outside it can never be found.

    Example: `twintrack validate-roi --models bundle --raters raters --images images --margins 10,20,30`
    """
    from twintrack.pipeline.validate_roi import summarise, validate_roi  # noqa: PLC0415  (keeps --help fast)
    from twintrack.segmentation.cts import find_cts  # noqa: PLC0415

    wanted = _margins(margins)
    cohort = options.cohort_from(raters=raters, cases=cases, split=split, rater_labels=rater_labels, skip_bad=skip_bad)
    cts = {ct.case_id: ct for ct in find_cts(images)} if images else None
    segmenter = segment_options.open_segmenter(
        models, margin=None, device=device, threads=threads, trust_checkpoint=trust_checkpoint
    )
    with Skipped() as skipped, options.executor_from(workers, scheduler) as executor:
        recalls = validate_roi(
            cohort,
            segmenter=segmenter,
            margins=wanted,
            cts=cts,
            on_bad=skipped if skip_bad else None,
            progress=track,
            executor=executor,
        )
        summaries = summarise(recalls)
    if json:
        content = {"margins": [asdict(one) for one in summaries], "cases": [asdict(one) for one in recalls]}
        show_json({**content, "skipped": skipped.reasons})
        return
    header = [
        "margin (mm)",
        "cases",
        "mean",
        "minimum",
        "rater: mean",
        "rater: minimum",
        "below 1",
        "not found",
        "ROI share",
    ]
    show_table("Recall of the raters' union inside the ROI", header, [_row(one) for one in summaries])
    for line in _named(summaries):
        output.print(line, markup=False)


def _row(one: MarginSummary) -> list[str]:
    recalls = (one.mean, one.minimum, one.mean_rater, one.minimum_rater)
    counts = (str(len(one.below_one)), str(len(one.not_found)))
    shown = (f"{value:.4f}" for value in recalls)
    return [f"{one.margin:g}", str(one.cases), *shown, *counts, f"{100 * one.mean_share:.1f} %"]


def _named(summaries: list[MarginSummary]) -> Iterator[str]:
    for one in summaries:
        if one.below_one:
            yield f"not wholly inside at {one.margin:g} mm: {', '.join(one.below_one)}"
        if one.not_found:
            yield f"nothing found, the whole image was used: {', '.join(one.not_found)}"


def _margins(text: str | None) -> list[float]:
    try:
        return [float(word) for word in text.split(",")] if text else []
    except ValueError as error:
        raise InputError(f"--margins takes numbers separated by commas; got {text!r}") from error
