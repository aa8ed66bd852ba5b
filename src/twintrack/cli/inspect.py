"""`twintrack inspect`: what was found, how far the raters agree, and what is wrong."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING

import typer

from twintrack.cli import options
from twintrack.cli.display import Skipped, show_json, show_table, track
from twintrack.errors import CohortError

if TYPE_CHECKING:
    from twintrack.raters.survey import Survey


def command(
    raters: options.Raters = None,
    members: options.Members = None,
    roi: options.Roi = None,
    cases: options.Cases = None,
    split: options.Split = None,
    foreground: options.Foreground = None,
    rater_labels: options.RaterLabels = None,
    workers: options.Workers = None,
    scheduler: options.Scheduler = None,
    json: options.Json = False,
) -> None:
    """Read everything once and report it. Exits with 1 if a case cannot be used.

    Example: `twintrack inspect --raters raters --members members/a members/b members/c`
    """
    from twintrack.raters.survey import survey  # noqa: PLC0415  (keeps --help fast)

    cohort = options.cohort_from(
        raters=raters,
        members=members,
        roi=roi,
        cases=cases,
        split=split,
        foreground=foreground,
        rater_labels=rater_labels,
        skip_bad=True,
    )
    with Skipped() as bad, options.executor_from(workers, scheduler) as executor:
        try:
            found = survey(cohort, on_bad=bad, progress=track, executor=executor)
        except CohortError:
            if json:
                show_json({"cases": 0, "problems": bad.reasons})
            raise
        if json:
            show_json({**asdict(found), "problems": bad.reasons})
        else:
            show_table("What was found", ["", ""], _rows(found))
    if bad.reasons:
        raise typer.Exit(1)


def _rows(found: Survey) -> Iterator[tuple[str, str]]:
    yield "usable cases", str(found.cases)
    yield "members per case", _counts(found.members)
    yield "foreground", ", ".join(found.foreground) if found.foreground else "as given"
    yield "cases with an ROI", str(found.with_roi)
    yield "spacing (mm), smallest", _sizes(found.smallest_spacing)
    yield "spacing (mm), largest", _sizes(found.largest_spacing)
    agreement = found.agreement
    if agreement is None:
        return
    yield "raters per case", _counts(agreement.cases_by_raters)
    yield "raters' mean volume (mm³)", _number(agreement.mean_volume)
    yield "variation of raters' volumes", _number(agreement.volume_variation)
    yield "pairwise Dice", _number(agreement.mean_dice)
    yield "Fleiss' kappa, whole image", _number(agreement.kappa_image)
    yield "Fleiss' kappa, raters' union", _number(agreement.kappa_union)
    yield "ambiguous fraction of the union", _number(agreement.ambiguous_fraction)


def _counts(numbers: Mapping[int, int]) -> str:
    return ", ".join(f"{k} ({n} {'case' if n == 1 else 'cases'})" for k, n in sorted(numbers.items())) or "none"


def _sizes(spacing: tuple[float, ...]) -> str:
    return " × ".join(f"{size:.4g}" for size in spacing) or "not known"


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.4g}"
