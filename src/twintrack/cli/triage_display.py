"""What `twintrack triage` shows: the worklist, the rules, and what was measured."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from twintrack.cli.display import message, output, show_table

if TYPE_CHECKING:
    from twintrack.evaluation.triage import TriageRules, Worklist


def show_rules(rules: TriageRules) -> None:
    """Print the thresholds."""
    output.print(f"set by {rules.n_cases} cases, of which {rules.n_beyond} have 1 − Dice above {rules.tolerance:g}")
    output.print(f"accept: {_threshold(rules.ranking, '≤', rules.accept)}")
    output.print(f"defer:  {_threshold(rules.ranking, '>', rules.defer)}")


def _threshold(ranking: str, sign: str, value: float | None) -> str:
    return "no case" if value is None else f"{ranking} {sign} {value:.4g}"


_SHOWN = 20  # rows on the screen; the files have all


def show_worklist(worklist: Worklist) -> None:
    """Print the cases in their order, the first of many."""
    rows = [
        [
            one.case,
            str(k),
            decision,
            "–" if chosen is None else f"{len(chosen)} of {len(one.regions.found)}",
            f"{one.priorities[worklist.ranking]:.4g}",
            f"{one.at_least[1] - one.at_least[worklist.n_raters]:.4g}",
        ]
        for k, (one, decision, chosen) in enumerate(
            zip(worklist.cases, worklist.decisions, worklist.chosen, strict=True), start=1
        )
    ]
    title = f"{len(rows)} cases by {worklist.ranking}"
    if worklist.budget is not None:
        title += f", budget {worklist.budget}, {worklist.spent:.4g} spent"
    header = ["case", "rank", "decision", "regions to look at", worklist.ranking, "margin (mm³)"]
    show_table(title, header, rows[:_SHOWN])
    if len(rows) > _SHOWN:
        message(f"… and {len(rows) - _SHOWN} more cases in the files")


def show_measured(summary: dict[str, Any]) -> None:
    """Print what each ranking finds, what the rules bring, and the scores of contact with vessels."""
    about = f"{summary['n_cases']} cases, {summary['n_patients']} patients"
    for unit in ("voxels", "cases", "minutes"):
        targets = summary[unit]
        names = list(dict.fromkeys(name for one in targets.values() for name in one["rankings"]))
        rows = [[name, *(_interval(one["rankings"][name]["gain"]) for one in targets.values())] for name in names]
        show_table(f"Found by {unit} (random 0, oracle 1): {about}", ["ranking", *targets], rows)
    if summary["rules"]:
        rows = [
            [name, str(one["n"]), *(_interval(one[key]) for key in ("share", "error", "beyond"))]
            for name, one in summary["rules"]["consequences"].items()
        ]
        show_table("What the rules bring", ["decision", "cases", "share", "1 − Dice", "beyond tolerance"], rows)
    if summary["vessels"]:
        rows = [
            [f"above {cutoff}°", str(one["reached"]), *(_interval(one[key]) for key in _VESSEL_KEYS)]
            for cutoff, one in summary["vessels"].items()
        ]
        show_table("Brier score of contact with vessels", ["contact", "reached", *_VESSEL_KEYS], rows)
    if seen := summary["n_cases_seen_by_the_fit"]:
        message(f"warning: the calibration was fitted on {seen} of these cases")


_VESSEL_KEYS = ("raw", "calibrated", "difference", "least")


def _interval(found: dict[str, Any]) -> str:
    if found["value"] is None or found["low"] is None:
        return "–" if found["value"] is None else f"{found['value']:.3g}"
    return f"{found['value']:.3g} [{found['low']:.3g}, {found['high']:.3g}]"
