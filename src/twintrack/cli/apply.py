"""`twintrack apply`: turn members' probabilities into response maps."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from twintrack.cli import options
from twintrack.cli.display import Skipped, show_json, show_written, track
from twintrack.cli.flagged import Flagged
from twintrack.errors import CohortError


def command(
    calibration: Annotated[Path, typer.Argument(help="A calibration written by `twintrack fit`.")],
    out: Annotated[Path, typer.Option("--out", help="Folder for the response maps, one per case.")],
    members: options.Members = None,
    roi: options.Roi = None,
    cases: options.Cases = None,
    split: options.Split = None,
    foreground: options.Foreground = None,
    ending: Annotated[
        str, typer.Option("--format", help="nii.gz, nii, mha, nrrd, npy, npz or b2nd; the geometry is the input's.")
    ] = "nii.gz",
    uncertainty: options.UncertaintyMaps = False,
    skip_bad: options.SkipBad = False,
    workers: options.Workers = None,
    scheduler: options.Scheduler = None,
    json: options.Json = False,
) -> None:
    """Apply a calibration: one response map per case, on the grid of the input.

    A case that is unlike those of the calibration is warned of; flags.json beside the maps has the reasons.
    volumes.json has each case's expected volume, how sure it is, and the interval of a further rater's.

    Example: `twintrack apply calibration.json --members members/a members/b members/c --out responses`
    """
    from twintrack.calibration import load_calibration  # noqa: PLC0415  (keeps --help fast)
    from twintrack.calibration.writing.flags import FLAGS  # noqa: PLC0415
    from twintrack.calibration.writing.responses import write_responses  # noqa: PLC0415

    fitted = load_calibration(calibration)
    cohort = options.cohort_from(
        members=members, roi=roi, cases=cases, split=split, foreground=foreground, skip_bad=skip_bad
    )
    flagged, volumes = Flagged(), dict[str, Mapping[str, Any]]()
    with Skipped() as skipped, options.executor_from(workers, scheduler) as executor:
        written = write_responses(
            fitted,
            cohort,
            folder=out,
            ending=ending,
            band=uncertainty,
            on_flagged=flagged,
            on_written=lambda case, volume: volumes.update({case.id: volume}),
            on_bad=skipped if skip_bad else None,
            progress=track,
            executor=executor,
        )
        if not written:
            raise CohortError("there is nothing to write: every case was skipped")
    if json:
        maps = [str(path) for path in written]
        show_json({"written": maps, "volumes": volumes, "skipped": skipped.reasons, "flags": flagged.reasons})
        return
    flagged.show(n_cases=len(written), where=str(out / FLAGS), calibration=fitted)
    what = "response maps, each with a lower and an upper one," if uncertainty else "response maps"
    show_written([f"{len(written)} {what} into {out}"])
