"""`twintrack raters`: what each rater draws and leaves, and what a calibration owes to each of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from twintrack.cli import options
from twintrack.cli.display import Skipped, output, show_json, show_table, track

if TYPE_CHECKING:
    from twintrack.calibration.rater_sensitivity import DroppedRater
    from twintrack.raters.effects import RaterEffects

PERSONS = (
    "Each name is taken for one person. Where it is only a place in a list, with someone else in each case, "
    "these are figures of that place, not of a person."
)


def command(
    raters: options.Raters = None,
    members: options.Members = None,
    method: Annotated[
        str, typer.Option(help="With members: the method of the calibration, as in `twintrack fit`.")
    ] = "isotonic",
    margin: Annotated[
        float,
        typer.Option(
            help="How far around what was drawn background is counted, in mm; specificity depends on it.", min=0
        ),
    ] = 5.0,
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
    """Give each rater's sensitivity and specificity over all cases, with standard errors.

    With members also what a calibration owes to each rater: it is fitted again without the rater's masks, and the
    change of the responses and of the expected volume is given.

    This makes sense only where names mean persons: a folder per rater, or annotation_1 drawn by the same person in
    every case.

    Example: `twintrack raters --raters readers/anna readers/boris readers/chen --cases cases.csv --split calibration`
    """
    from twintrack.calibration.rater_sensitivity import rater_sensitivity  # noqa: PLC0415  (keeps --help fast)
    from twintrack.raters.effects import rater_effects  # noqa: PLC0415

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
        on_bad = skipped if skip_bad else None
        # The rates come first: one reading tells whether the names can mean persons, before a fit for each of them.
        found = rater_effects(cohort, margin_mm=margin, on_bad=on_bad, progress=track, executor=executor)
        dropped = None
        if any(case.members for case in cohort):
            dropped = rater_sensitivity(cohort, method=method, on_bad=on_bad, progress=track, executor=executor)
    if json:
        show_json({**_rates(found), "without": _without(method, dropped), "skipped": skipped.reasons, "note": PERSONS})
        return
    show_table("Raters", ["rater", "cases", "sensitivity", "±", "specificity", "±"], _rate_rows(found))
    output.print(_about(found))
    if dropped is not None:
        header = ["without", "cases", "alone in", "largest change", "rms change", "volume"]
        show_table(f"Responses ({method}) fitted without one rater", header, _change_rows(dropped))
    output.print(PERSONS)


def _rates(found: RaterEffects) -> dict[str, Any]:
    content = asdict(found)
    # One number for each case means little without the cases' names.
    return {"n_cases": len(content.pop("prevalence")), **content}


def _without(method: str, dropped: Sequence[DroppedRater] | None) -> dict[str, Any] | None:
    return None if dropped is None else {"method": method, "raters": [asdict(one) for one in dropped]}


def _rate_rows(found: RaterEffects) -> Iterator[list[str]]:
    for name, rater in found.raters.items():
        rates = (rater.sensitivity, rater.sensitivity_error, rater.specificity, rater.specificity_error)
        yield [name, str(rater.n_cases), *("–" if rate is None else f"{rate:.4f}" for rate in rates)]


def _change_rows(dropped: Sequence[DroppedRater]) -> Iterator[list[str]]:
    for one in dropped:
        volume = "–" if one.volume_change is None else f"{100 * one.volume_change:+.2f} %"
        changes = (f"{one.largest_change:.4f}", f"{one.rms_change:.4f}")
        yield [one.rater, str(one.n_cases), str(one.n_lost), *changes, volume]


def _about(found: RaterEffects) -> str:
    used, margin = len(found.prevalence), found.margin_mm
    lines = [f"±: standard error over {used} cases; background: within {margin:g} mm of what was drawn"]
    if found.n_left_out:
        lines.append(f"cases with one rater, or with nothing drawn, which tell nothing: {found.n_left_out}")
    if not found.converged:
        lines.append(f"the rates were still moving after {found.iterations} updates")
    return "\n".join(lines)
