"""`twintrack evaluate`: score the ensemble, and what a calibration makes of it, against the raters."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape

from twintrack.cli import options
from twintrack.cli.display import Skipped, console, message, show_json, show_table, show_written, track
from twintrack.cohort import find_cohort
from twintrack.errors import CohortError

if TYPE_CHECKING:
    from twintrack.calibration import Calibration
    from twintrack.evaluation import Evaluation
    from twintrack.evaluation.curvas.variant import Variant
    from twintrack.evaluation.protocols import ScoringProtocol


def command(
    out: Annotated[Path, typer.Option("--out", help="Folder for the scores and what a report shows of them.")],
    raters: options.Raters = None,
    members: options.Members = None,
    calibration: Annotated[
        list[str] | None,
        typer.Option(
            "--calibration",
            help="A calibration to score beside the raw ensemble; several, each with this option, are called by their "
            "files' names, or as you say.",
            metavar="[NAME=]FILE",
        ),
    ] = None,
    predictions: Annotated[
        list[str] | None,
        typer.Option(
            "--predictions",
            help="Other predictions of the same cases to score as they are, as --members finds them; may be repeated.",
            metavar="[NAME=]DIR",
        ),
    ] = None,
    roi: options.Roi = None,
    vessels: options.Vessels = None,
    vessel_names: Annotated[
        str | None, typer.Option("--vessel-names", help="For pdacvi: names and labels of the vessels: PORTA=1,SMV=2.")
    ] = None,
    images: options.Images = None,
    cases: options.Cases = None,
    split: options.Split = None,
    foreground: options.Foreground = None,
    rater_labels: options.RaterLabels = None,
    protocol: Annotated[
        str,
        typer.Option(
            help="response, extended, pdacvi-official, pdacvi-corrected, curvas-2024 or curvas-2024-corrected."
        ),
    ] = "response",
    ceiling: Annotated[
        bool, typer.Option("--ceiling", help="Also score each rater against the others: the human ceiling.")
    ] = False,
    structures: Annotated[
        str,
        typer.Option(
            help="For curvas-2024: each structure's name in dataset.json and value in the raters' label maps.",
        ),
    ] = "pancreas=1,kidney=2,liver=3",
    repeats: Annotated[int, typer.Option(help="Resamples of the bootstrap over patients.", min=1)] = 2000,
    seed: Annotated[int, typer.Option(help="Seed of the bootstrap.", min=0)] = 0,
    skip_bad: options.SkipBad = False,
    workers: options.Workers = None,
    scheduler: options.Scheduler = None,
    json: options.Json = False,
) -> None:
    """Score a cohort, raw and calibrated, with intervals from a bootstrap over patients.

    Example: `twintrack evaluate --raters raters --members members/a members/b members/c --cases cases.csv --split test
    --calibration calibration.json --out scores`
    """
    from twintrack.evaluation import write_evaluation  # noqa: PLC0415  (keeps --help fast)

    where = {"raters": raters, "members": members, "roi": roi, "cases": cases, "split": split, "skip_bad": skip_bad}
    how: dict[str, Any] = {"ceiling": ceiling, "repeats": repeats, "seed": seed, "progress": track}
    with Skipped() as skipped, options.executor_from(workers, scheduler) as executor:
        how |= {"on_bad": skipped if skip_bad else None, "executor": executor}
        if protocol in CURVAS_2024:
            found = _score_structures(protocol, structures, calibration, predictions, where, how)
        else:
            more = {"foreground": foreground, "rater_labels": rater_labels, "vessels": vessels, "images": images}
            found = _score_one(_named(protocol, vessel_names), calibration, predictions, {**where, **more}, how)
        written = write_evaluation(found, out)
    if json:
        show_json({"skipped": skipped.reasons, **found.summary})
        return
    show_scores(found.summary)
    show_written(written)


CURVAS_2024: dict[str, Variant] = {"curvas-2024": "official", "curvas-2024-corrected": "corrected"}
"""The protocols that score several structures at once."""


def _named(protocol: str, vessel_names: str | None) -> ScoringProtocol:
    """Make the protocol, with the user's names of the vessels where there are any."""
    from twintrack.evaluation.protocols import protocol_named  # noqa: PLC0415  (keeps --help fast)
    from twintrack.evaluation.protocols.pdacvi import PdacviProtocol  # noqa: PLC0415

    made = protocol_named(protocol)
    if vessel_names is None:
        return made
    if not isinstance(made, PdacviProtocol):
        raise CohortError(f"--vessel-names goes with the pdacvi protocols, not with {protocol}")
    names = options.names_by_label(vessel_names, option="--vessel-names")
    return PdacviProtocol(made.variant, vessel_names=names)


def _score_one(
    protocol: ScoringProtocol,
    calibration: list[str] | None,
    predictions: list[str] | None,
    where: dict[str, Any],
    how: dict[str, Any],
) -> Evaluation:
    from twintrack.evaluation import evaluate  # noqa: PLC0415  (keeps --help fast)

    others = {
        name: find_cohort(members=folder, foreground=options.words(where["foreground"]))
        for name, folder in _by_name(predictions or [], option="--predictions").items()
    }
    fitted = _fitted(calibration or [])
    cohort = options.cohort_from(**where)
    return evaluate(cohort, calibration=fitted, predictions=others, protocol=protocol, details=True, **how)


def _fitted(files: list[str]) -> Calibration | dict[str, Calibration]:
    """Load the calibrations; one that was given no name is given none."""
    from twintrack.calibration import load_calibration  # noqa: PLC0415  (keeps --help fast)

    named = _by_name(files, option="--calibration")
    found = {name: load_calibration(file) for name, file in named.items()}
    for name, one in found.items():
        if one.provenance.n_withheld:
            which = f"calibration {name!r}" if len(found) > 1 else "the calibration"
            message(
                f"{one.provenance.n_withheld} cases of {which} are withheld by a minimum count: whether it was "
                "fitted on some of these cases cannot be told"
            )
    if len(files) == 1 and Path(files[0]) in named.values():
        return next(iter(found.values()))
    return found


def _by_name(given: list[str], *, option: str) -> dict[str, Path]:
    """Take apart "name=path"; a path without a name is called by its last part.

    Raises:
        CohortError: If two have the same name.
    """
    found: dict[str, Path] = {}
    for text in given:
        name, equals, rest = text.partition("=")
        if not (equals and name) or Path(text).exists():
            path = Path(text)
            name = path.name if path.is_dir() else path.stem
        else:
            path = Path(rest)
        if name in found:
            raise CohortError(
                f"{option}: {found[name]} and {path} would both be called {name!r}; give them names, {option} NAME=PATH"
            )
        found[name] = path
    return found


def _score_structures(
    protocol: str,
    structures: str,
    calibration: list[str] | None,
    predictions: list[str] | None,
    where: dict[str, Any],
    how: dict[str, Any],
) -> Evaluation:
    from twintrack.evaluation import evaluate_structures  # noqa: PLC0415  (keeps --help fast)

    if calibration:
        raise CohortError(f"--calibration is of one structure; {protocol} scores several, as the members predict them")
    labels = options.pairs(structures, option="--structures")
    cohorts = {
        name: options.cohort_from(**where, foreground=name, rater_labels=label) for name, label in labels.items()
    }
    others = {
        name: {structure: find_cohort(members=folder, foreground=[structure]) for structure in labels}
        for name, folder in _by_name(predictions or [], option="--predictions").items()
    }
    return evaluate_structures(cohorts, predictions=others, variant=CURVAS_2024[protocol], **how)


def show_scores(summary: dict[str, Any]) -> None:
    """Print the cohort's scores and their paired differences; the human ceiling has a table of its own."""
    from twintrack.evaluation.predictions import against_all, ceiling  # noqa: PLC0415  (keeps --help fast)

    about = f"{summary['n_cases']} cases, {summary['n_patients']} patients, protocol {summary['protocol']}"
    panels = "Human ceiling (each rater, and the predictions, against the others)"
    for choose, title in ((against_all, "Scores"), (ceiling, panels)):
        entries = [entry for entry in summary["scores"].values() if choose(entry["predictions"])]
        if not entries:
            continue
        shown = choose(entries[0]["predictions"])
        gaps = entries[0]["differences"]
        pairs = [(gap["of"], gap["to"]) for gap in gaps if gap["of"] in shown and gap["to"] in shown]
        header = [f"{of} − {to} [95 %], cases better/worse" for of, to in pairs]
        rows = [_row(entry, shown, pairs) for entry in entries]
        show_table(f"{title}: {about}", ["score", "better", *shown, *header], rows)
    if seen := summary["n_cases_seen_by_the_fit"]:
        by_each = summary.get("n_cases_seen_by_each_fit", {})
        which = ", ".join(f"{name} on {n}" for name, n in by_each.items() if n)
        each = f" ({escape(which)})" if which else ""
        which_fit = "a calibration" if by_each else "the calibration"
        said = f"[yellow]warning:[/] {which_fit} was fitted on {seen} of these cases{each}"
        console.print(said, highlight=False, soft_wrap=True)


def _row(entry: dict[str, Any], names: Sequence[str], pairs: Sequence[tuple[str, str]]) -> list[str]:
    label = f"{entry['label']} ({entry['unit']})" if entry["unit"] else entry["label"]
    found = {(gap["of"], gap["to"]): gap for gap in entry["differences"]}
    values = [_number(entry["predictions"].get(name, {}).get("value")) for name in names]
    return [label, entry["better"], *values, *(_difference(found.get(pair)) for pair in pairs)]


def _difference(gap: dict[str, Any] | None) -> str:
    if gap is None:
        return ""
    wins = f", {gap['cases_improved']}/{gap['cases_worsened']}" if "cases_improved" in gap else ""
    return f"{_number(gap['value'])} [{_number(gap['low'])}, {_number(gap['high'])}]{wins}"


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.4g}"
