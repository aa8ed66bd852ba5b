"""Holds `pdacvi` official against figures that the benchmark's own evaluator printed, and writes the table.

Run: python experiments/pdacvi_golden.py --golden DIR [--out docs/evidence/pdacvi_golden.md]
DIR holds the arrays (*.npz with raters, soft, hard, vessels) and official.json; by default ../shared/golden.
"""

from __future__ import annotations

import json
import math
import warnings
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from twintrack.errors import TwinTrackWarning
from twintrack.evaluation import pdacvi
from twintrack.evaluation.tables import as_markdown

DEFAULT_GOLDEN = Path(__file__).resolve().parents[2] / "shared" / "golden"


def main(
    golden: Annotated[Path, typer.Option(help="Folder with the arrays and official.json.")] = DEFAULT_GOLDEN,
    out: Annotated[Path, typer.Option(help="The page to write.")] = Path("docs/evidence/pdacvi_golden.md"),
) -> None:
    """Compare every case, write the largest difference per score."""
    expected = json.loads((golden / "official.json").read_text(encoding="utf-8"))
    rows = [compare(name, golden, expected[name]) for name in sorted(expected)]
    header = [
        "case",
        "Dice (2)",
        "ECE (5 raters)",
        "CRPS, relative",
        "degrees: mean and SD (30)",
        "distances, relative (5)",
    ]
    worst = ["largest", *(largest([row[k] for row in rows]) for k in range(1, len(header)))]
    text = "\n\n".join(
        [
            "<!-- written by experiments/pdacvi_golden.py -->",
            "Largest difference between `official` and the evaluator's figures. Same failure: the evaluator raises or "
            "gives NaN, and here the figure is NaN with a warning.",
            as_markdown(header, [[text_of(cell) for cell in row] for row in [*rows, worst]]),
        ]
    )
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(text + "\n", encoding="utf-8")
    print(text)


def compare(name: str, golden: Path, expected: dict[str, Any]) -> list[Any]:
    """Give the largest difference of each kind of figure for one case."""
    with np.load(golden / f"{name}.npz", allow_pickle=False) as arrays, warnings.catch_warnings():
        warnings.simplefilter("ignore", TwinTrackWarning)
        found = pdacvi.score(arrays["raters"], arrays["soft"], binary=arrays["hard"], vessels=arrays["vessels"])
    dice = max(abs(found[key] - expected["dice"][key]) for key in ("thresh_dsc", "dsc_staple"))
    return [
        name,
        dice,
        ece(found, expected["ece"]),
        relative(found["crps"], expected["crps_voxels"]),
        *vessels(found, expected["vi"]),
    ]


def ece(found: pdacvi.Scores, expected: Any) -> float | str:
    """Compare the calibration errors, or the way they fail."""
    if isinstance(expected, str):
        return "same failure" if math.isnan(found["ece_mean"]) else "differs"
    pairs = list(zip(found["ece"].values(), expected.values() if isinstance(expected, dict) else expected, strict=True))
    if all(other is None or math.isnan(other) for _, other in pairs):
        return "same failure" if all(math.isnan(mine) for mine, _ in pairs) else "differs"
    return max(abs(mine - other) for mine, other in pairs)


def vessels(found: pdacvi.Scores, expected: dict[str, Any]) -> tuple[float, float]:
    """Compare the degrees' mean and population SD, and the distances."""
    degrees = []
    for vessel, planes in expected["degrees"].items():
        for plane, sets in planes.items():
            for mine, other in (("raters", "gt"), ("prediction", "pred")):
                values = found["vi_degrees"][vessel][plane][mine]
                degrees += [abs(np.mean(values) - sets[other][0]), abs(np.std(values) + 1e-6 - sets[other][1])]
    distances = [relative(found["vi"][vessel], value) for vessel, value in expected["wasserstein"].items()]
    return float(max(degrees)), max(distances)


def relative(mine: float, other: float) -> float:
    """Relative difference; absolute where the evaluator gives 0."""
    return abs(mine - other) / abs(other) if other else abs(mine)


def largest(cells: list[Any]) -> Any:
    """The largest number of a column."""
    return max(cell for cell in cells if not isinstance(cell, str))


def text_of(cell: Any) -> str:
    """Show a difference."""
    return cell if isinstance(cell, str) else "0" if cell == 0 else f"{cell:.1e}"


if __name__ == "__main__":
    typer.run(main)
