"""Measures triage: how much is found within a budget, and what the rules bring.

Lung nodules of LIDC-IDRI (2-D, three networks): calibrations and the rules' thresholds are made on the calibration
split, everything is measured on the test split; no patient is in both, and nothing was chosen by looking at the test
split.
Run: python experiments/triage.py [--data DIR] [--out docs/evidence/triage.md]
DIR holds lidc2d/ and lidc2d_predictions/; by default the environment variable TWINTRACK_DATA, or ../shared/data. The
figure is written beside the page.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import lidc2d
import matplotlib.style
import typer
from matplotlib.figure import Figure

import twintrack as tt
from twintrack.errors import TwinTrackWarning
from twintrack.evaluation.tables import as_markdown
from twintrack.evaluation.triage import Measured, fit_rules, measure, risk_coverages
from twintrack.evaluation.triage.summary import PAIRS
from twintrack.evaluation.triage.targets import CASE_TARGETS, VOXEL_TARGETS
from twintrack.report.save import save_figure

METHODS = ("isotonic", "auto")
SHOWN = "auto"
"""The method of the figure: the default."""
BY = ("dice_loss", "raw_dice_loss")
"""What the rules decide by."""
MEANT_FOR = {"disagreement": tuple(VOXEL_TARGETS), "dice_loss": ("dice_loss", "raw_dice_loss")}
"""What a ranking is for: sums put large ambiguous lesions first, Dice losses poor cases whatever their size."""
WORSE, SAME, BETTER = -1, 0, 1


def main(
    data: Annotated[Path, typer.Option(help="Folder with lidc2d and lidc2d_predictions.")] = lidc2d.DEFAULT_DATA,
    out: Annotated[Path, typer.Option(help="The page to write.")] = Path("docs/evidence/triage.md"),
) -> None:
    """Fit on the calibration split, measure on the test split, write page and figure."""
    warnings.simplefilter("ignore", TwinTrackWarning)
    calibration, test = (lidc2d.cohort(data, split) for split in ("calibration", "test"))
    fitted = {method: tt.fit(calibration, method=method, replicates=0) for method in METHODS}
    nodules = {method: judged(one, calibration, test) for method, one in fitted.items()}
    figure = out.with_name(f"{out.stem}.png")
    save_figure(figure, draw(nodules[SHOWN]["dice_loss"]))
    sections = [
        "<!-- written by experiments/triage.py -->",
        INTRODUCTION,
        f"## Lung nodules\n\n{about(nodules, len(calibration))}\n\n![Found within a budget]({figure.name})\n\n{FIGURE}",
        *in_tables(nodules),
    ]
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text("\n\n".join(sections) + "\n", encoding="utf-8")
    print(out.read_text(encoding="utf-8"))


INTRODUCTION = """\
# Triage

How much of the errors and of the raters' disagreement is found when the most urgent voxels or cases are looked at
first. Rankings by the calibrated response are *disagreement* (Σ r(1 − r)), *margin* and *dice loss*; those by the raw
ensemble *entropy*, *raw disagreement* (Σ p(1 − p)), *raw dice loss* and *members*. Numbers are areas under the capture
curve, on a scale where random order is 0 and the best order there is (oracle) 1, with 95 % intervals by bootstrap over
patients. *Error* is where the response > 1/2 is not what the majority of the raters says, *raw error* the same of the
probability, *dice loss* is 1 − Dice to the majority."""

FIGURE = f"""\
Method `{SHOWN}`. Errors found by voxels and by cases, Dice loss found by cases, and the mean Dice loss of the cases
that are kept when those with the largest expected Dice loss go to experts."""


def judged(fitted: tt.Calibration, calibration: tt.Cohort, test: tt.Cohort) -> dict[str, Measured]:
    """Set rules on the calibration cases and measure them on the test cases, for each number that can decide."""
    return {name: measure(fitted, test, rules=fit_rules(fitted, calibration, ranking=name)) for name in BY}


def about(nodules: Mapping[str, Mapping[str, Measured]], n_calibration: int) -> str:
    """Say what was fitted and measured, and what came of it."""
    summary = nodules[SHOWN]["dice_loss"].summary
    lines = [
        f"Calibrations and rules of {n_calibration} cases, measured on {summary['n_cases']} cases of "
        f"{summary['n_patients']} patients, two to four radiologists each."
    ]
    for method, found in nodules.items():
        gaps = differences(found["dice_loss"])
        meant = [sign(gap["gain"]) for target, _, gap in gaps if target in MEANT_FOR[gap["of"]]]
        others = [sign(gap["gain"]) for target, _, gap in gaps if target not in MEANT_FOR[gap["of"]]]
        lines.append(
            f"**{method}**: of {len(meant)} comparisons of a ranking by the calibrated response with one by the raw "
            f"ensemble, on what the ranking is for (disagreement: errors and disagreement; dice loss: 1 − Dice), "
            f"{counted(meant)}. Of the {len(others)} comparisons on what it is not for, {counted(others)}."
        )
    return "\n\n".join(lines)


def counted(signs: list[int]) -> str:
    """Say how many comparisons went which way."""
    better, worse, same = (signs.count(one) for one in (BETTER, WORSE, SAME))
    return f"{better} are better, {worse} worse and {same} not distinguishable"


def differences(found: Measured) -> list[tuple[str, str, dict[str, Any]]]:
    """Give the target and unit of every comparison of a calibrated with a raw ranking, and the comparison."""
    units = {"voxels": VOXEL_TARGETS, "cases": CASE_TARGETS}
    return [
        (target, unit, gap)
        for unit, targets in units.items()
        for target in targets
        for gap in found.summary[unit][target]["differences"]
    ]


def sign(gap: Mapping[str, float]) -> int:
    """Say on which side of 0 an interval lies."""
    return BETTER if gap["low"] > 0 else WORSE if gap["high"] < 0 else SAME


def in_tables(nodules: Mapping[str, Mapping[str, Measured]]) -> list[str]:
    """Give the tables of the nodules."""
    sections = []
    for method, found in nodules.items():
        one = found["dice_loss"]
        sections += [
            f"### {method}: found by voxels",
            gains(one, "voxels", VOXEL_TARGETS),
            "Shares found with 1 and 2 % of the voxels:",
            shares(one, ("0.01", "0.02")),
            f"### {method}: found by cases",
            gains(one, "cases", CASE_TARGETS),
            f"### {method}: calibrated less raw, paired",
            "In bold: the interval lies above 0; in italics: below.",
            difference_table(one),
            f"### {method}: what the rules bring",
            rules_text(found),
            rules_table(found),
        ]
    return sections


def gains(found: Measured, unit: str, targets: Mapping[str, str]) -> str:
    """One row per ranking, one column per target."""
    names = [name for name in found.summary[unit]["error"]["rankings"] if name != "oracle"]
    rows = [
        [name.replace("_", " "), *(interval(found.summary[unit][one]["rankings"][name]["gain"]) for one in targets)]
        for name in names
    ]
    return as_markdown(["", *(one.replace("_", " ") for one in targets)], rows)


def shares(found: Measured, budgets: tuple[str, ...]) -> str:
    """One row per ranking and the oracle, a column for each target and budget."""
    header = [f"{target}, {100 * float(budget):g} %" for target in ("error", "disagreement") for budget in budgets]
    rows = []
    for name in found.summary["voxels"]["error"]["rankings"]:
        cells = [
            f"{found.summary['voxels'][target]['rankings'][name]['found'][budget]['value']:.3f}"
            for target in ("error", "disagreement")
            for budget in budgets
        ]
        rows.append([name, *cells])
    return as_markdown(["", *header], rows)


def difference_table(found: Measured) -> str:
    """One row per target and unit, one column per pair of rankings."""
    rows: dict[str, dict[tuple[str, str], str]] = {}
    for target, unit, gap in differences(found):
        what = f"{target.replace('_', ' ')}, by {unit}"
        text = interval(gap["gain"])
        mark = {BETTER: "**", WORSE: "*", SAME: ""}[sign(gap["gain"])]
        rows.setdefault(what, {})[gap["of"], gap["to"]] = f"{mark}{text}{mark}"
    header = [f"{of} − {to}".replace("_", " ") for of, to in PAIRS]
    return as_markdown(
        ["", *header], [[what, *(cells.get(pair, "") for pair in PAIRS)] for what, cells in rows.items()]
    )


def rules_text(found: Mapping[str, Measured]) -> str:
    """Say what the thresholds were set for."""
    rules = found["dice_loss"].summary["rules"]["rules"]
    return (
        f"Set on the calibration cases: of the accepted at most {100 * rules['accept_risk']:.0f} % beyond a 1 − Dice "
        f"of {rules['tolerance']:g}, of the deferred at least {100 * rules['defer_risk']:.0f} %. Measured on the test "
        "cases."
    )


def rules_table(found: Mapping[str, Measured]) -> str:
    """One row per rule and decision."""
    rows = [
        [
            f"{name.replace('_', ' ')}: {decision}",
            str(one["n"]),
            *(interval(one[key], scale=100, digits=1) for key in ("share", "beyond")),
            interval(one["error"]),
        ]
        for name, measured in found.items()
        for decision, one in measured.summary["rules"]["consequences"].items()
    ]
    return as_markdown(["decided by", "cases", "share of the cases (%)", "beyond tolerance (%)", "mean 1 − Dice"], rows)


def interval(found: Mapping[str, float], *, scale: float = 1, digits: int = 3) -> str:
    """Say a number with its interval."""
    if found["value"] is None or found["low"] is None:
        return "–"
    value, low, high = (f"{scale * found[end]:.{digits}f}" for end in ("value", "low", "high"))
    return f"{value} ({low} to {high})"


def draw(found: Measured) -> Figure:
    """Draw what is found, by voxels and by cases, and the risk of what is kept."""
    summary, rankings = found.summary, ["disagreement", "entropy", "members"]
    # Pitfall: axes keep the letters of the style they were made in, whatever is drawn into them later.
    with matplotlib.style.context(["default", {"font.size": 8}]):
        figure = Figure(figsize=(7.2, 7.2), facecolor="white", layout="constrained")
        axes = figure.subplots(2, 2).ravel()
    tt.plot.capture(summary["voxels"]["error"], budget="voxels", found="errors", up_to=0.05, ax=axes[0])
    tt.plot.capture(summary["cases"]["error"], rankings=rankings, budget="cases", found="errors", ax=axes[1])
    tt.plot.capture(
        summary["cases"]["dice_loss"], rankings=[*BY, "disagreement"], budget="cases", found="Dice losses", ax=axes[2]
    )
    tt.plot.risk_coverage(risk_coverages(found, rankings=BY), risk="mean 1 − Dice of the kept", ax=axes[3])
    return figure


if __name__ == "__main__":
    typer.run(main)
