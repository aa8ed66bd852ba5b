"""Draws what the mean human response is and what an isotonic calibration does, on CT phantoms.

Left: the outlines of five simulated raters. Middle: the fraction of them who label each voxel. Right: over the
calibration cases, how often raters label voxels of a probability, and the isotonic map through it.

Run: python experiments/mhr_figure.py [--out FILE]
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from matplotlib import style
from matplotlib.figure import Figure
from numpy.typing import NDArray

import twintrack as tt
from twintrack.cohort import CaseData
from twintrack.raters import response
from twintrack.report.save import save_figure
from twintrack.synthetic import phantom_case

PAGE = Path(__file__).resolve().parent.parent / "docs" / "mhr.png"
CASES = 8
PERSONS = 3  # seed of who the raters are
MARGIN = 14  # pixels around the outlines
COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#D55E00")  # Okabe and Ito's, for all kinds of colour vision
BINS = 15


def main(out: Annotated[Path, typer.Option(help="The figure.")] = PAGE) -> None:
    """Make the cases and draw the figure."""
    cases = [phantom_case(seed, personality_seed=PERSONS) for seed in range(CASES)]
    calibration = tt.fit(cases, method="isotonic", replicates=0)
    with style.context("default"):
        figure = Figure(figsize=(10, 3.3), layout="constrained")
        left, middle, right = figure.subplots(1, 3)
        read = [case.read() for case in cases]
        case, data = max(zip(cases, read, strict=True), key=lambda pair: _disagreement(pair[1]).sum())
        ct = case.read_image()
        assert ct is not None
        _draw_case(left, middle, data, ct.array, figure)
        _draw_curve(right, read, calibration)
    save_figure(out, figure, dpi=110)
    typer.echo(f"wrote {out}")


def _disagreement(data: CaseData) -> NDArray[np.float64]:
    mean = response(list(data.raters.values()))
    return np.asarray(mean * (1 - mean), np.float64)


def _draw_case(left: Any, middle: Any, data: CaseData, ct: NDArray[Any], figure: Figure) -> None:
    masks = list(data.raters.values())
    mean = response(masks)
    z = int(_disagreement(data).sum(axis=(1, 2)).argmax())  # the slice on which they disagree most
    rows, columns = (np.flatnonzero(mean[z].any(axis=axis)) for axis in (1, 0))
    box = (slice(rows[0] - MARGIN, rows[-1] + MARGIN), slice(columns[0] - MARGIN, columns[-1] + MARGIN))
    left.imshow(ct[z][box], cmap="gray", vmin=-100, vmax=200)
    for mask, colour in zip(masks, COLOURS, strict=True):
        left.contour(mask[z][box], levels=[0.5], colors=[colour], linewidths=1.2)
    left.set_title("five raters' outlines")
    shown = middle.imshow(mean[z][box], cmap="cividis", vmin=0, vmax=1)
    middle.set_title("mean human response")
    bar = figure.colorbar(shown, ax=middle, ticks=np.linspace(0, 1, len(masks) + 1), shrink=0.85)
    bar.ax.set_yticklabels([f"{k} of {len(masks)}" for k in range(len(masks) + 1)])
    for axis in (left, middle):
        axis.set_xticks([])
        axis.set_yticks([])


def _draw_curve(axis: Any, cases: list[CaseData], calibration: tt.Calibration) -> None:
    p = np.concatenate([case.probability().ravel() for case in cases])
    r = np.concatenate([response(list(case.raters.values())).ravel() for case in cases])
    p, r = p[p > 0], r[p > 0]
    index = np.minimum((p * BINS).astype(int), BINS - 1)
    count = np.bincount(index, minlength=BINS)
    at, mean = np.bincount(index, p, BINS) / count, np.bincount(index, r, BINS) / count
    grid = np.linspace(0.001, 1, 500)
    axis.plot([0, 1], [0, 1], color="0.6", linewidth=1, label="a probability that means it")
    axis.plot(grid, calibration.apply(grid), color="#0072B2", label="isotonic map")
    axis.plot(at, mean, "o", color="#D55E00", markersize=4, label=f"voxels, in {BINS} bins")
    axis.set(xlabel="probability of the ensemble", ylabel="mean human response", xlim=(0, 1), ylim=(0, 1))
    axis.set_title(f"{len(cases)} calibration cases")
    axis.legend(frameon=False, fontsize=8, loc="upper left")


if __name__ == "__main__":
    typer.run(main)
