"""`twintrack tabulate`: count a site's cases into a table from which, with those of other sites, one map is fitted."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from twintrack.cli import options
from twintrack.cli.display import Skipped, output, show_json, show_written, track


def command(
    out: Annotated[Path, typer.Option("--out", help="Where to write the table (JSON), for example site_a.table.")],
    raters: options.Raters = None,
    members: options.Members = None,
    min_count: Annotated[
        int,
        typer.Option(
            help="Let nothing leave that fewer than so many patients share, and nothing of a single case; 0: no limit. "
            "The map gets coarser, and the calibration has no guard, no volumes and no bands.",
            min=0,
        ),
    ] = 0,
    target: Annotated[str, typer.Option(help="response (also for majority), staple or rater:NAME.")] = "response",
    weighting: Annotated[
        Literal["voxels", "cases"], typer.Option(help="voxels: every voxel counts alike; cases: every case does.")
    ] = "voxels",
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
    """Count the cases of a site into a table, so that sites fit one calibration without sharing a voxel.

    The table holds no image, no mask and no name. Without --min-count it has a record of each case; docs/calibration.md
    says what it tells. `twintrack fit --tables` fits to the tables of all sites as if their cases were in one place.

    Example: `twintrack tabulate --raters raters --members members/a members/b members/c --cases cases.csv
    --split calibration --out site_a.table`
    """
    from twintrack.calibration import save_table, suppress, tabulate  # noqa: PLC0415  (keeps --help fast)

    options.require_folder_of(out)
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
        counted = tabulate(
            cohort,
            target=target,
            weighting=weighting,
            on_bad=skipped if skip_bad else None,
            progress=track,
            executor=executor,
        )
        table = suppress(counted, min_count)
        save_table(table, out)
    patients = len({case.patient for case in counted.cases})
    if json:
        show_json(
            {
                "table": str(out),
                "n_cases": table.n_cases,
                "n_patients": patients,
                "n_voxels": table.n_voxels,
                "min_count": min_count,
                "target": table.target,
                "weighting": table.weighting,
                "rows": [len(site.level) for site in table.withheld],
                "skipped": skipped.reasons,
            }
        )
        return
    output.print(f"{table.n_cases} cases of {patients} patients, {table.n_voxels:,} voxels")
    for site in table.withheld:
        output.print(
            f"{len(site.level)} rows, each of at least {min_count} patients; nothing of a single case is in the table"
        )
    show_written([out])
