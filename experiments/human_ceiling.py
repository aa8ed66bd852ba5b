"""Scores raw and calibrated predictions beside the human ceiling, and raters against each other; writes the tables.

Lung nodules of LIDC-IDRI (test split, isotonic and temperature fitted on the calibration split) by the protocols
response, extended and pdacvi-corrected; tumours of KiTS23 (three annotators, 3-D) rater against rater.

Run: python experiments/human_ceiling.py [--data DIR] [--out docs/evidence/human_ceiling.md]
DIR holds lidc2d/, lidc2d_predictions/ and kits23_raters/; by default TWINTRACK_DATA, or ../shared/data.
"""

from __future__ import annotations

import os
import warnings
from pathlib import Path
from typing import Annotated, Any

import typer

import twintrack as tt
from twintrack.errors import TwinTrackWarning
from twintrack.evaluation.tables import as_markdown

DEFAULT_DATA = Path(os.environ.get("TWINTRACK_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))
PROTOCOLS = ("response", "extended", "pdacvi-corrected")
KITS_TUMOUR = 2


def main(
    data: Annotated[Path, typer.Option(help="Folder with the data.")] = DEFAULT_DATA,
    out: Annotated[Path, typer.Option(help="The page to write.")] = Path("docs/evidence/human_ceiling.md"),
) -> None:
    """Score and write the page."""
    # A slice is thinner than the benchmark's margins: its protocol warns in every case.
    warnings.simplefilter("ignore", TwinTrackWarning)
    sections = ["<!-- written by experiments/human_ceiling.py -->", *nodules(data), *kidneys(data)]
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text("\n\n".join(sections) + "\n", encoding="utf-8")
    print(out.read_text(encoding="utf-8"))


def nodules(data: Path) -> list[str]:
    """Fit on the calibration split, score the test split."""
    calibration, test = (
        tt.find_cohort(
            raters=[data / "lidc2d"],
            members=[data / "lidc2d_predictions"],
            cases=data / "lidc2d" / "cases.csv",
            split=split,
        )
        for split in ("calibration", "test")
    )
    fitted = {method: tt.fit(calibration, method=method) for method in ("isotonic", "temperature")}
    sections = ["## Lung nodules: predictions beside one more radiologist"]
    for protocol in PROTOCOLS:
        found = {
            method: tt.evaluate(test, calibration=one, protocol=protocol, ceiling=True).summary
            for method, one in fitted.items()
        }
        sections += [f"### Protocol {protocol}", against_raw(found), against_humans(found)]
    return sections


def kidneys(data: Path) -> list[str]:
    """Score annotators against each other."""
    cohort = tt.find_cohort(raters=[data / "kits23_raters"], rater_labels=[KITS_TUMOUR])
    sections = [f"## Kidney tumours: {len(cohort)} cases, three annotators, each against the other two"]
    for protocol in PROTOCOLS:
        summary = tt.evaluate(cohort, protocol=protocol, ceiling=True).summary
        rows = [
            [label(entry), with_interval(entry["predictions"]["human"])]
            for entry in summary["scores"].values()
            if "human" in entry["predictions"]
        ]
        sections += [f"### Protocol {protocol}", as_markdown(["score", "annotator [95 %]"], rows)]
    return sections


def against_raw(found: dict[str, dict[str, Any]]) -> str:
    """All raters: raw, each method, and its paired difference to raw."""
    rows = []
    for name, entry in found["isotonic"]["scores"].items():
        row = [label(entry), with_interval(entry["predictions"]["raw"])]
        for summary in found.values():
            one = summary["scores"][name]
            row += [number(one["predictions"]["calibrated"]["value"]), with_interval(gap(one, "calibrated", "raw"))]
        rows.append(row)
    header = ["score", "raw [95 %]", *(text for method in found for text in (method, f"{method} − raw [95 %]"))]
    return as_markdown(header, rows)


def against_humans(found: dict[str, dict[str, Any]]) -> str:
    """Against all raters but one: one rater, raw, each method, and their paired differences to the rater."""
    rows = []
    for name, entry in found["isotonic"]["scores"].items():
        if "human" not in entry["predictions"]:
            continue
        row = [label(entry), with_interval(entry["predictions"]["human"])]
        row += [
            number(entry["predictions"]["raw_vs_others"]["value"]),
            with_interval(gap(entry, "raw_vs_others", "human")),
        ]
        for summary in found.values():
            one = summary["scores"][name]
            row.append(with_interval(gap(one, "calibrated_vs_others", "human")))
        rows.append(row)
    header = [
        "score",
        "radiologist [95 %]",
        "raw",
        "raw − radiologist",
        *(f"{method} − radiologist" for method in found),
    ]
    return "Against all radiologists but one, in the cases with three or more:\n\n" + as_markdown(header, rows)


def gap(entry: dict[str, Any], of: str, to: str) -> dict[str, Any]:
    """Find a paired difference."""
    return next(one for one in entry["differences"] if (one["of"], one["to"]) == (of, to))


def label(entry: dict[str, Any]) -> str:
    """Name, unit and direction of a score."""
    unit = f" {entry['unit']}" if entry["unit"] else ""
    return f"{entry['label']}{unit} ({entry['better']})"


def with_interval(entry: dict[str, Any]) -> str:
    """A value with its interval; in bold where the interval of a difference leaves out 0."""
    text = f"{number(entry['value'])} [{number(entry['low'])}, {number(entry['high'])}]"
    if "cases_improved" in entry and entry["low"] is not None and (entry["low"] > 0 or entry["high"] < 0):
        return f"**{text}**"
    return text


def number(value: float | None) -> str:
    """Round to four digits."""
    return "–" if value is None else f"{value:.4g}"


if __name__ == "__main__":
    typer.run(main)
