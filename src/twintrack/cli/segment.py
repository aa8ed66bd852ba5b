"""`twintrack segment`: run the ensemble on CTs and write the members' probabilities."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from twintrack.cli import options, segment_options
from twintrack.cli.display import Skipped, show_json, show_table, show_written
from twintrack.errors import CohortError


def command(
    ct: segment_options.Cts,
    models: segment_options.Models,
    out: Annotated[Path, typer.Option("--out", help="Folder for members/, rois/ and segmentations/.")],
    roi: segment_options.RoiPath = None,
    margin: segment_options.Margin = None,
    device: segment_options.Device = "auto",
    threads: segment_options.Threads = None,
    trust_checkpoint: segment_options.TrustCheckpoint = False,
    overwrite: segment_options.Overwrite = False,
    ending: segment_options.Ending = "nii.gz",
    skip_bad: options.SkipBad = False,
    workers: options.Workers = None,
    scheduler: options.Scheduler = None,
    json: options.Json = False,
) -> None:
    """Segment CTs: each member's probability inside the region of interest, on the CT's own grid.

    A case that an earlier run finished with the same CT, bundle and settings is passed over: an interrupted run goes on
    where it stopped. `twintrack apply --members OUT/members --roi OUT/rois` and `twintrack fit` read the result.

    Example: `twintrack segment ct.nii.gz --models bundle --out segmented`
    """
    from twintrack.cli.stages import watching  # noqa: PLC0415  (keeps --help fast)
    from twintrack.segmentation.cts import find_cts  # noqa: PLC0415
    from twintrack.segmentation.stream import require_other_files, segment_cts  # noqa: PLC0415

    ending = segment_options.require_writable_ending(ending)
    cts = find_cts(ct)
    rois = segment_options.rois_of(cts, roi)
    require_other_files(cts, out)
    segmenter = segment_options.open_segmenter(
        models, margin=margin, device=device, threads=threads, trust_checkpoint=trust_checkpoint
    )
    with (
        Skipped() as skipped,
        options.executor_from(workers, scheduler) as executor,
        watching("Segmenting", executor) as (on_stage, progress),
    ):
        records = segment_cts(
            cts,
            segmenter=segmenter,
            folder=out,
            rois=rois,
            ending=ending,
            resume=not overwrite,
            executor=executor,
            on_stage=on_stage,
            on_bad=skipped if skip_bad else None,
            progress=progress,
        )
        if not records:
            raise CohortError("there is nothing to write: every CT was skipped")
    if json:
        show_json({"cases": records, "skipped": skipped.reasons})
        return
    show_table("Segmented", ["case", "ROI from", "ROI (ml)", "members"], [_row(record) for record in records])
    show_written([f"{len(records)} cases into {out}"])


def _row(record: dict[str, Any]) -> list[str]:
    volume = record["roi"]["volume_mm3"]
    return [
        record["case"],
        record["roi"]["source"],
        "–" if volume is None else f"{volume / 1000:.1f}",
        str(len(record["members"])),
    ]
