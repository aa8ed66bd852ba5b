"""`twintrack triage`: which cases and regions an expert should look at, and what that is worth."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

import typer

from twintrack.cli import options
from twintrack.cli.display import Skipped, show_json, show_written, track
from twintrack.cli.triage_display import show_measured, show_rules, show_worklist
from twintrack.errors import CalibrationError, InputError

if TYPE_CHECKING:
    from twintrack.calibration import Calibration
    from twintrack.evaluation.triage import Measured, Reading, TriageRules
    from twintrack.evaluation.triage.vessels import Vessels

CalibrationFile: TypeAlias = Annotated[Path, typer.Argument(help="A calibration written by `twintrack fit`.")]
Experts: TypeAlias = Annotated[
    int | None,
    typer.Option("--experts", help="K of the levels of agreement. Default: as in the calibration.", min=1, max=255),
]
MinutesPerCase: TypeAlias = Annotated[
    float, typer.Option("--minutes-per-case", help="Minutes to open and close a case: time your own readers.")
]
MinutesPerSlice: TypeAlias = Annotated[
    float, typer.Option("--minutes-per-slice", help="Minutes to look at one slice of a region.")
]
VesselNames: TypeAlias = Annotated[
    str | None, typer.Option("--vessel-names", help="Names and labels of the vessels: PORTA=1,SMV=2.")
]
Masks: TypeAlias = Annotated[
    int | None,
    typer.Option(
        "--masks",
        help="For vessels: draw so many masks of each case by the calibration's rater field (`fit --masks`), instead "
        "of taking experts' masks for nested.",
        min=1,
    ),
]


def rank(
    calibration: CalibrationFile,
    out: Annotated[Path, typer.Option("--out", help="Folder for triage.json, cases.csv and regions.csv.")],
    members: options.Members = None,
    budget: Annotated[
        str | None, typer.Option("--budget", help="What can be looked at: 60min, 10cases or 5%. Default: everything.")
    ] = None,
    rules: Annotated[
        Path | None, typer.Option("--rules", help="Rules that accept, review or defer (`twintrack triage rules`).")
    ] = None,
    ranking: Annotated[
        str,
        typer.Option(help="disagreement, margin, dice_loss, entropy, raw_disagreement, raw_dice_loss or members."),
    ] = "disagreement",
    experts: Experts = None,
    uncertain: Annotated[
        str | None,
        typer.Option(
            "--uncertain",
            help="Responses between which a voxel is uncertain: 0.2,0.8. Default: where not all experts agree.",
        ),
    ] = None,
    regions: Annotated[int, typer.Option("--regions", help="Regions of a case that are listed.", min=1)] = 20,
    minutes_per_case: MinutesPerCase = 1.0,
    minutes_per_slice: MinutesPerSlice = 0.1,
    roi: options.Roi = None,
    vessels: options.Vessels = None,
    vessel_names: VesselNames = None,
    masks: Masks = None,
    cases: options.Cases = None,
    split: options.Split = None,
    foreground: options.Foreground = None,
    skip_bad: options.SkipBad = False,
    workers: options.Workers = None,
    scheduler: options.Scheduler = None,
    json: options.Json = False,
) -> None:
    """Rank new cases for review, cut at a budget. No rater is needed.

    Example: `twintrack triage rank calibration.json --members members/a members/b members/c --budget 60min
    --rules rules.json --out triage`
    """
    from twintrack.evaluation.triage import Budget, rank_cases  # noqa: PLC0415  (keeps --help fast)
    from twintrack.evaluation.triage.files import worklist_record, write_worklist  # noqa: PLC0415

    given = Budget.parse(budget) if budget is not None else None
    pace, between = _reading(minutes_per_case, minutes_per_slice), _range(uncertain)
    fitted, known = _load(calibration, rules)
    where: dict[str, Any] = {"members": members, "roi": roi, "vessels": vessels, "cases": cases, "split": split}
    cohort = options.cohort_from(**where, foreground=foreground, skip_bad=skip_bad)
    with Skipped() as skipped, options.executor_from(workers, scheduler) as executor:
        worklist = rank_cases(
            fitted,
            cohort,
            budget=given,
            reading=pace,
            ranking=ranking,
            rules=known,
            n_raters=experts,
            uncertain=between,
            most_regions=regions,
            vessels=_vessels(fitted, vessel_names, masks),
            on_bad=skipped if skip_bad else None,
            progress=track,
            executor=executor,
        )
        written = write_worklist(worklist, out)
    if json:
        show_json({"skipped": skipped.reasons, **worklist_record(worklist)})
        return
    show_worklist(worklist)
    show_written(written)


def rules(
    calibration: CalibrationFile,
    out: Annotated[Path, typer.Option("--out", help="The file to write, such as rules.json.")],
    raters: options.Raters = None,
    members: options.Members = None,
    ranking: Annotated[str, typer.Option(help="The number of a case that decides, as in `triage rank`.")] = "dice_loss",
    tolerance: Annotated[float, typer.Option(help="The largest tolerable 1 − Dice to the raters' majority.")] = 0.3,
    accept_risk: Annotated[float, typer.Option(help="How often an accepted case may be beyond tolerance.")] = 0.1,
    defer_risk: Annotated[float, typer.Option(help="How often a deferred case must be beyond tolerance.")] = 0.5,
    experts: Experts = None,
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
    """Set the thresholds that accept, review or defer a case, by calibration cases with raters.

    Example: `twintrack triage rules calibration.json --raters raters --members members/a members/b members/c
    --cases cases.csv --split calibration --out rules.json`
    """
    from twintrack.evaluation.triage import fit_rules  # noqa: PLC0415  (keeps --help fast)

    options.require_folder_of(out)
    fitted, _ = _load(calibration, None)
    where: dict[str, Any] = {"raters": raters, "members": members, "roi": roi, "cases": cases, "split": split}
    cohort = options.cohort_from(**where, foreground=foreground, rater_labels=rater_labels, skip_bad=skip_bad)
    with Skipped() as skipped, options.executor_from(workers, scheduler) as executor:
        found = fit_rules(
            fitted,
            cohort,
            ranking=ranking,
            tolerance=tolerance,
            accept_risk=accept_risk,
            defer_risk=defer_risk,
            n_raters=experts,
            on_bad=skipped if skip_bad else None,
            progress=track,
            executor=executor,
        )
        found.save(out)
    if json:
        show_json({"skipped": skipped.reasons, **found.model_dump()})
        return
    show_rules(found)
    show_written([out])


def measure(
    calibration: CalibrationFile,
    out: Annotated[
        Path, typer.Option("--out", help="Folder for measured.json, measured_cases.csv and the curves as pictures.")
    ],
    raters: options.Raters = None,
    members: options.Members = None,
    rules: Annotated[
        Path | None, typer.Option("--rules", help="Rules to measure, set on other cases (`twintrack triage rules`).")
    ] = None,
    experts: Experts = None,
    minutes_per_case: MinutesPerCase = 1.0,
    minutes_per_slice: MinutesPerSlice = 0.1,
    roi: options.Roi = None,
    vessels: options.Vessels = None,
    vessel_names: VesselNames = None,
    masks: Masks = None,
    cases: options.Cases = None,
    split: options.Split = None,
    foreground: options.Foreground = None,
    rater_labels: options.RaterLabels = None,
    repeats: Annotated[int, typer.Option(help="Resamples of the bootstrap over patients.", min=1)] = 2000,
    seed: Annotated[int, typer.Option(help="Seed of the bootstrap.", min=0)] = 0,
    skip_bad: options.SkipBad = False,
    workers: options.Workers = None,
    scheduler: options.Scheduler = None,
    json: options.Json = False,
) -> None:
    """Measure on held-out cases with raters what each ranking finds within a budget, and what the rules bring.

    Example: `twintrack triage measure calibration.json --raters raters --members members/a members/b members/c
    --cases cases.csv --split test --rules rules.json --out measured`
    """
    from twintrack.evaluation.triage import measure as measure_cases  # noqa: PLC0415  (keeps --help fast)
    from twintrack.evaluation.triage.files import write_measured  # noqa: PLC0415

    pace = _reading(minutes_per_case, minutes_per_slice)
    fitted, known = _load(calibration, rules)
    where: dict[str, Any] = {
        "raters": raters,
        "members": members,
        "roi": roi,
        "vessels": vessels,
        "cases": cases,
        "split": split,
    }
    cohort = options.cohort_from(**where, foreground=foreground, rater_labels=rater_labels, skip_bad=skip_bad)
    with Skipped() as skipped, options.executor_from(workers, scheduler) as executor:
        found = measure_cases(
            fitted,
            cohort,
            rules=known,
            reading=pace,
            n_raters=experts,
            vessels=_vessels(fitted, vessel_names, masks),
            repeats=repeats,
            seed=seed,
            on_bad=skipped if skip_bad else None,
            progress=track,
            executor=executor,
        )
        written = [*write_measured(found, out), *_draw(found, out)]
    if json:
        show_json({"skipped": skipped.reasons, **found.summary})
        return
    show_measured(found.summary)
    show_written(written)


def _load(calibration: Path, rules: Path | None) -> tuple[Calibration, TriageRules | None]:
    """Read the files, and see before any work is done that they belong together."""
    from twintrack.calibration import load_calibration  # noqa: PLC0415  (keeps --help fast)
    from twintrack.evaluation.triage import load_rules  # noqa: PLC0415

    fitted = load_calibration(calibration)
    known = None if rules is None else load_rules(rules)
    if known is not None:
        known.require_fitting(fitted)
    return fitted, known


def _reading(minutes_per_case: float, minutes_per_slice: float) -> Reading:
    from twintrack.evaluation.triage import Reading  # noqa: PLC0415  (keeps --help fast)

    return Reading(minutes_per_case, minutes_per_slice)


def _range(text: str | None) -> tuple[float, float] | None:
    if text is None:
        return None
    try:
        low, high = (float(word) for word in text.split(","))
    except ValueError as error:
        raise InputError(f"--uncertain takes two numbers with a comma, such as 0.2,0.8; got {text!r}") from error
    return low, high


def _vessels(calibration: Calibration, names: str | None, masks: int | None) -> Vessels:
    from twintrack.evaluation.triage.vessels import Vessels, default_vessels  # noqa: PLC0415  (keeps --help fast)

    named = default_vessels().names if names is None else options.names_by_label(names, option="--vessel-names")
    if masks is None:
        return Vessels(named)
    if calibration.rater_field is None:
        raise CalibrationError(
            "this calibration does not say how raters' masks vary, so none can be drawn; leave --masks out, or fit it "
            "again with masks (`twintrack fit --masks`)"
        )
    return Vessels(named, field=calibration.rater_field, n_masks=masks)


def _draw(found: Measured, folder: Path) -> Iterator[Path]:
    from twintrack.evaluation.triage import risk_coverages  # noqa: PLC0415  (keeps --help fast)
    from twintrack.report import plot  # noqa: PLC0415
    from twintrack.report.save import save_figure  # noqa: PLC0415

    axes = {
        "found_by_voxels": plot.capture(found.summary["voxels"]["error"], budget="voxels", found="errors", up_to=0.1),
        "found_by_cases": plot.capture(found.summary["cases"]["error"], budget="cases", found="errors"),
        "risk_coverage": plot.risk_coverage(risk_coverages(found), risk="mean 1 − Dice of the kept"),
    }
    for name, axis in axes.items():
        path = folder / f"{name}.png"
        save_figure(path, plot.figure_of(axis))
        yield path
