"""`twintrack fit`: fit a calibration to the raters' mean response."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from twintrack.cli import options
from twintrack.cli.display import Skipped, output, show_json, show_table, show_written, track
from twintrack.cohort import Cohort
from twintrack.errors import CalibrationError

if TYPE_CHECKING:
    from twintrack.calibration import ResponseTable
    from twintrack.calibration.selection.choose import Selection

REPLICATES = 50
"""As in `twintrack.calibration.uncertainty`, which is not imported here, to keep --help fast."""


def command(
    out: Annotated[Path, typer.Option("--out", help="Where to write the calibration (JSON).")],
    raters: options.Raters = None,
    members: options.Members = None,
    tables: Annotated[
        list[Path] | None,
        typer.Option(
            "--tables",
            help="Tables that `twintrack tabulate` wrote at one or several sites, instead of cases.",
            metavar="FILE [FILE ...]",
        ),
    ] = None,
    method: Annotated[
        str | None,
        typer.Option(
            help="auto, conditional, identity, temperature, platt, beta, histogram, isotonic or centered-isotonic. "
            "Default: auto; isotonic where auto does not go (tables, another target, --exact, --weighting).",
        ),
    ] = None,
    target: Annotated[str, typer.Option(help="response, majority, staple or rater:NAME.")] = "response",
    weighting: Annotated[
        Literal["voxels", "cases", "raters"] | None,
        typer.Option(
            help="voxels: every voxel counts alike; cases: every case does; raters: by how many saw it. Default: "
            "that of the tables, voxels for cases.",
        ),
    ] = None,
    exact: Annotated[bool, typer.Option("--exact", help="Isotonic methods without quantisation (two passes).")] = False,
    pin_zero: Annotated[bool, typer.Option(help="Keep the response 0 where the probability is exactly 0.")] = True,
    replicates: Annotated[
        int, typer.Option(help="Fits to resampled patients, which say how sure the map is; 0: none.", min=0)
    ] = REPLICATES,
    masks: Annotated[
        bool,
        typer.Option(
            "--masks",
            help="Also fit how raters' masks vary, for `twintrack masks`. Takes about a second per case, and 20 s for "
            "each million voxels of what is predicted or drawn.",
        ),
    ] = False,
    seed: Annotated[int, typer.Option(help="Of the resampling and of the masks.", min=0)] = 0,
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
    """Fit a calibration.

    Example: `twintrack fit --raters raters --members members/a members/b members/c --cases cases.csv
    --split calibration --out calibration.json`, or `twintrack fit --tables site_a.table site_b.table --out
    calibration.json`
    """
    from twintrack.calibration import fit, load_tables  # noqa: PLC0415  (keeps --help fast)

    options.require_folder_of(out)
    where: dict[str, Any] = {
        "raters": raters,
        "members": members,
        "roi": roi,
        "cases": cases,
        "split": split,
        "foreground": foreground,
        "rater_labels": rater_labels,
        "skip_bad": skip_bad,
    }
    fitted_to: ResponseTable | Cohort
    if tables:
        _require_only_tables({**where, "workers": workers, "scheduler": scheduler})
        fitted_to = load_tables(tables)
    else:
        fitted_to = options.cohort_from(**where)
    with Skipped() as skipped, options.executor_from(workers, scheduler) as executor:
        calibration = fit(
            fitted_to,
            method=method,
            target=target,
            weighting=weighting,
            exact=exact,
            pin_zero=pin_zero,
            replicates=replicates,
            masks=masks,
            seed=seed,
            on_bad=skipped if skip_bad else None,
            progress=track,
            executor=executor,
        )
        calibration.save(out)
    about = calibration.provenance
    if json:
        chosen = None if calibration.selection is None else calibration.selection.model_dump()
        show_json(
            {
                "calibration": str(out),
                "method": calibration.method,
                "selection": chosen,
                "rater_field": None if calibration.rater_field is None else calibration.rater_field.model_dump(),
                "skipped": skipped.reasons,
                **about.model_dump(exclude={"cases"}),
            }
        )
        return
    if calibration.selection is not None:
        _show_selection(calibration.selection)
    raters_text = ", ".join(f"{n} with {k} raters" for k, n in about.raters.items()) or "numbers of raters withheld"
    output.print(
        f"{calibration.method} fitted to the {about.target}: {about.n_cases} cases ({raters_text}), "
        f"{about.n_voxels:,} voxels"
    )
    if calibration.rater_field is not None:
        field = calibration.rater_field
        output.print(f"rater field: ρ = {field.correlation:g}, ℓ = {field.length_mm:g} mm")
    if about.n_withheld:
        output.print(
            f"of {about.n_withheld} cases only sums are known: the calibration has no guard, no volumes and no bands"
        )
    show_written([out])


def _require_only_tables(where: dict[str, Any]) -> None:
    """Refuse what is about cases, which a table does not hold."""
    given = [f"--{name.replace('_', '-')}" for name, value in where.items() if value]
    if given:
        raise CalibrationError(
            f"--tables does not go with {', '.join(given)}: a table holds counts of cases that were chosen and read "
            "when it was written. Give those options to twintrack tabulate, or fit to cases without --tables"
        )


def _show_selection(selection: Selection) -> None:
    """Say how the candidates did on cases they were not fitted to."""
    rows = [
        [
            f"{one.name} ←" if one.name == selection.chosen else one.name,
            *(f"{value:.3f}{' !' * (term in one.harms)}" for term, value in one.terms.items()),
            f"{one.criterion:.3f}",
            f"{one.penalised:.3f}",
        ]
        for one in selection.candidates
    ]
    show_table(
        f"Losses on cases left out, relative to leaving probabilities alone ({selection.n_patients} patients)",
        ["candidate", *selection.candidates[0].terms, "mean", "with error and cost"],
        rows,
    )
    output.print("!: may be worse than leaving probabilities alone", soft_wrap=True)
    output.print(f"chosen: {selection.chosen}", soft_wrap=True)
