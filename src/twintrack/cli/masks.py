"""`twintrack masks`: draw whole masks as the raters of the calibration would vary."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from twintrack.cli import options, segment_options
from twintrack.cli.display import Skipped, show_json, show_written, track
from twintrack.cli.flagged import Flagged
from twintrack.errors import CohortError


def command(
    calibration: Annotated[Path, typer.Argument(help="A calibration written by `twintrack fit --masks`.")],
    out: Annotated[Path, typer.Option("--out", help="A new folder for the masks, with a folder for each case.")],
    members: options.Members = None,
    number: Annotated[int, typer.Option("--number", help="Masks to draw for each case.", min=1)] = 10,
    seed: Annotated[int, typer.Option("--seed", help="The same seed draws the same masks.", min=0)] = 0,
    roi: options.Roi = None,
    cases: options.Cases = None,
    split: options.Split = None,
    foreground: options.Foreground = None,
    ending: Annotated[
        str, typer.Option("--format", help="nii.gz, nii, mha, nrrd, npy or npz; the geometry is the input's.")
    ] = "nii.gz",
    skip_bad: options.SkipBad = False,
    workers: options.Workers = None,
    scheduler: options.Scheduler = None,
    json: options.Json = False,
) -> None:
    """Draw plausible masks: each like one rater's, and over many masks as often 1 at a voxel as the response says.

    Writes a folder for each case with mask_01, mask_02, … and masks.json, which has their volumes in mm³. flags.json
    has the cases that are unlike those of the calibration. A mask is no particular person's.

    Example: `twintrack masks calibration.json --members members/a members/b members/c --number 20 --out masks`
    """
    from twintrack.calibration import load_calibration  # noqa: PLC0415  (keeps --help fast)
    from twintrack.calibration.writing.flags import FLAGS  # noqa: PLC0415
    from twintrack.calibration.writing.masks import write_masks  # noqa: PLC0415

    fitted = load_calibration(calibration)
    ending = segment_options.require_writable_ending(ending)
    cohort = options.cohort_from(
        members=members, roi=roi, cases=cases, split=split, foreground=foreground, skip_bad=skip_bad
    )
    flagged, drawn = Flagged(), dict[str, Mapping[str, Any]]()
    with Skipped() as skipped, options.executor_from(workers, scheduler) as executor:
        written = write_masks(
            fitted,
            cohort,
            folder=out,
            n=number,
            seed=seed,
            ending=ending,
            on_flagged=flagged,
            on_drawn=lambda case, record: drawn.update({case.id: record}),
            on_bad=skipped if skip_bad else None,
            progress=track,
            executor=executor,
        )
        if not written:
            raise CohortError("there is nothing to write: every case was skipped")
    if json:
        show_json({"cases": list(drawn.values()), "skipped": skipped.reasons, "flags": flagged.reasons})
        return
    flagged.show(n_cases=len(written), where=str(out / FLAGS), calibration=fitted)
    masks = "1 mask" if number == 1 else f"{number} masks"
    show_written([f"{masks} of each of {len(written)} cases into {out}"])
