"""Scores sampled rater masks against real radiologists and simpler ways to vary; writes a table and a figure.

Lung nodules of LIDC-IDRI with four radiologists each. The calibration and the field of the raters' thresholds are
fitted on the calibration split, the masks scored on the test split; no patient is in both, and nothing here was chosen
by looking at the test split. The figure shows the cases at fixed ranks of the radiologists' own agreement.

Run: python experiments/plausible_masks.py [--method isotonic] [--data DIR] [--out docs/evidence/plausible_masks.md]
DIR holds lidc2d/ and lidc2d_predictions/; by default the environment variable TWINTRACK_DATA, or ../shared/data. The
figure is written beside the page. About two minutes.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import matplotlib.style
import numpy as np
import typer
from lidc2d import DEFAULT_DATA, cohort
from matplotlib.figure import Figure
from numpy.typing import NDArray
from scipy.ndimage import generate_binary_structure, label

import twintrack as tt
from twintrack.calibration.outlines import FieldFit, RaterField, case_seed, fit_rater_field, sample_masks
from twintrack.cohort import CaseData
from twintrack.evaluation.bootstrap import Interval, patient_weights, weighted_means
from twintrack.evaluation.scores.energy_distance import binarise, energy_distance
from twintrack.evaluation.tables import as_markdown
from twintrack.images.windows import LUNG
from twintrack.report.panels import draw_ct, draw_scale
from twintrack.report.save import save_figure
from twintrack.report.sections import choose_sections

N_FITTED, N_SCORED, N_SHOWN = 128, 32, 4
"""Masks for each case in the fit, in the scores and in the figure."""
FIT_SEED, SCORE_SEED = 0, 1
LEAST_PIECE = 0.1
"""Set beforehand, not fitted: pieces below a tenth of the largest are specks."""
RANKS = (0.1, 0.35, 0.65, 0.9)
"""Where the figure's cases stand among the test cases, by the agreement of their radiologists."""

SALT_AND_PEPPER = RaterField(correlation=0, length_mm=1e-3)
ONE_THRESHOLD = RaterField(correlation=1)
FIELD, STRATIFIED, NO_SPECKS = "fitted field", "fitted field, stratified", "fitted field, specks left out"
PER_VOXEL, GLOBAL, MEMBERS, BEST = (
    "a threshold for each voxel",
    "one threshold for each mask",
    "the members' masks (p > 0.5)",
    "the best single mask (response > 0.5)",
)
RADIOLOGISTS = "radiologists"

Masks = list[NDArray[np.uint8]]


class Row(NamedTuple):
    """What is measured of one way to vary in one case."""

    unbiased: float
    literature: float
    among: float
    with_raters: float
    pieces: float
    empty: float
    voxels: float


def main(
    data: Annotated[Path, typer.Option(help="Folder with lidc2d and lidc2d_predictions.")] = DEFAULT_DATA,
    out: Annotated[Path, typer.Option(help="The page to write.")] = Path("docs/evidence/plausible_masks.md"),
    method: Annotated[str, typer.Option(help="How probabilities are calibrated.")] = "isotonic",
) -> None:
    """Fit on the calibration split, score on the test split, write page and figure."""
    calibration_cases, test = (four_raters(data, split) for split in ("calibration", "test"))
    calibration = tt.fit(calibration_cases, method=method)
    fitted = fit_rater_field(calibration_cases, calibration.apply, n=N_FITTED, seed=FIT_SEED)
    rows = [measure(case.read(), calibration, fitted.field) for case in test]
    sections = [
        "<!-- written by experiments/plausible_masks.py -->",
        "# Plausible rater masks",
        about(calibration_cases, test, method),
        "## The field, on the calibration split",
        field_table(fitted),
        "## The masks, on the test split",
        score_table(rows, [case.patient for case in test]),
        READING,
        f"![Radiologists' outlines and sampled ones]({out.with_suffix('.png').name})",
        CAPTION,
    ]
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text("\n\n".join(sections) + "\n", encoding="utf-8")
    agreement = [row[RADIOLOGISTS].among for row in rows]
    order = np.argsort(agreement, kind="stable")
    shown = [test[int(order[round(rank * (len(order) - 1))])] for rank in RANKS]
    save_figure(out.with_suffix(".png"), figure(shown, calibration, fitted.field), dpi=110)
    print(out.read_text(encoding="utf-8"))


def four_raters(data: Path, split: str) -> tt.Cohort:
    """Find the cases of a split that four radiologists drew."""
    return tt.Cohort(case for case in cohort(data, split) if len(case.raters) == 4)


def variants(data: CaseData, response: NDArray[np.float32], field: RaterField, *, n: int) -> dict[str, Masks]:
    """Draw the masks of a case in every way."""

    def drawn(which: RaterField, **options: Any) -> Masks:
        seed = case_seed(SCORE_SEED, data.id)
        return list(sample_masks(response, spacing=data.grid.spacing, field=which, n=n, seed=seed, **options))

    return {
        FIELD: drawn(field),
        STRATIFIED: drawn(field, stratified=True),
        NO_SPECKS: drawn(field, least_piece=LEAST_PIECE),
        PER_VOXEL: drawn(SALT_AND_PEPPER),
        GLOBAL: drawn(ONE_THRESHOLD),
        MEMBERS: binarise(data.members),
        # Twice, so that the distance between two samples is defined: it is 0.
        BEST: binarise([response, response]),
    }


def measure(data: CaseData, calibration: tt.Calibration, field: RaterField) -> dict[str, Row]:
    """Measure every way to vary in one case, and the radiologists themselves."""
    response, raters = calibration.apply(data), list(data.raters.values())
    found = {name: row(masks, raters) for name, masks in variants(data, response, field, n=N_SCORED).items()}
    # Stratified masks are not independent of each other, which the unbiased distance takes them for.
    found[STRATIFIED] = found[STRATIFIED]._replace(unbiased=float("nan"), among=float("nan"))
    own = row(raters, raters)
    found[RADIOLOGISTS] = own._replace(unbiased=float("nan"), literature=float("nan"), with_raters=own.among)
    return found


def row(masks: Masks, raters: Masks) -> Row:
    """Compare masks with the radiologists'."""
    unbiased, literature = (energy_distance(masks, raters, unbiased=flag) for flag in (True, False))
    return Row(
        unbiased=unbiased.value,
        literature=literature.value,
        among=1 - unbiased.samples,
        with_raters=1 - unbiased.between,
        pieces=float(np.mean([n_pieces(mask) for mask in masks if mask.any()] or [np.nan])),
        empty=float(np.mean([not mask.any() for mask in masks])),
        voxels=float(np.mean([np.count_nonzero(mask) for mask in masks])),
    )


def n_pieces(mask: NDArray[np.uint8]) -> int:
    """Count the pieces of a mask; pixels that touch at a corner are one piece."""
    return int(label(mask, generate_binary_structure(mask.ndim, mask.ndim))[1])


def about(calibration_cases: tt.Cohort, test: tt.Cohort, method: str) -> str:
    """Say what was done."""
    patients = len({case.patient for case in test})
    return (
        f"LIDC-IDRI nodules with four radiologists each. Calibration ({method}) and field fitted on the "
        f"{len(calibration_cases)} of the calibration split, masks scored on the {len(test)} of the test split "
        f"({patients} patients). Distance: generalised energy distance with 1 − IoU."
    )


def field_table(fitted: FieldFit) -> str:
    """Show the mean distance of every field that was tried."""
    scores = {(score.field.correlation, score.field.length_mm): score for score in fitted.scores}
    lengths = sorted({length for _, length in scores})
    lines = []
    for correlation in sorted({correlation for correlation, _ in scores}):
        found = [scores.get((correlation, length)) for length in lengths]
        lines.append([f"ρ = {correlation:g}", *("" if one is None else cell(one) for one in found)])
    chosen = fitted.field
    return (
        as_markdown(["", *(f"ℓ = {length:g} mm" for length in lengths)], lines)
        + f"\n\nMean unbiased distance over {fitted.n_cases} cases ({fitted.n} masks for each); in brackets the excess "
        "over the smallest ± its standard error over patients. In italics: within one standard error. Chosen, as the "
        f"smoothest of these: ρ = {chosen.correlation:g}, ℓ = {chosen.length_mm:g} mm."
    )


def cell(score: Any) -> str:
    """A distance and its excess, in italics where it is within its error."""
    text = f"{score.distance:.4f} ({score.excess:.4f} ± {score.error:.4f})"
    return f"*{text}*" if score.excess <= score.error else text


def score_table(rows: list[dict[str, Row]], patients: Sequence[str]) -> str:
    """One line for each way to vary."""
    weights = patient_weights(patients)
    expected = sum(row[RADIOLOGISTS].voxels for row in rows)
    lines = []
    for name in rows[0]:
        columns = Row(*(np.array(column) for column in zip(*(row[name] for row in rows), strict=True)))
        gap = columns.unbiased - np.array([row[FIELD].unbiased for row in rows])
        lines.append(
            [
                name,
                with_interval(columns.unbiased, weights),
                "" if name == FIELD else with_interval(gap, weights, bold=True),
                with_interval(columns.literature, weights),
                number(columns.with_raters),
                number(columns.among),
                number(columns.pieces, digits=2),
                number(100 * columns.empty, digits=1),
                f"{columns.voxels.sum() / expected:.2f}",
            ]
        )
    header = [
        "masks",
        "distance, unbiased [95 %]",
        "difference to the fitted field [95 %]",
        "distance, as in the literature [95 %]",
        "IoU with a radiologist",
        "IoU among them",
        "pieces",
        "empty (%)",
        "area / radiologists' area",
    ]
    return as_markdown(header, lines)


def with_interval(values: NDArray[np.float64], weights: NDArray[np.float64], *, bold: bool = False) -> str:
    """A mean with its interval over patients; in bold where it leaves out 0, if asked for."""
    if not np.isfinite(values).any():
        return "–"
    found = Interval.of(float(np.nanmean(values)), weighted_means(weights, values))
    text = f"{found.value:.3f} [{found.low:.3f}, {found.high:.3f}]"
    return f"**{text}**" if bold and not found.low <= 0 <= found.high else text


def number(values: NDArray[np.float64], *, digits: int = 3) -> str:
    """The mean over the cases that have a value."""
    return f"{np.nanmean(values):.{digits}f}" if np.isfinite(values).any() else "–"


READING = f"""How to read it:

* Lower distances are better; an unbiased distance of 0 is masks from the radiologists' own distribution. Intervals:
  bootstrap over patients; bold differences leave out 0. {N_SCORED} masks for each case, three of the members.
* The distance as in the literature counts each mask with itself. It is then above 0 even for the radiologists' own
  distribution, and depends on the number of masks: it is there to be compared with other work.
* IoU among radiologists is what the IoU among samples should be; that with a radiologist is theirs with each other.
* Pieces are counted in masks that are not empty; pixels that touch at a corner are one piece.
* Stratified masks are not independent, so only the distance as in the literature is given."""

CAPTION = f"""Test cases at the ranks {", ".join(f"{rank:.0%}" for rank in RANKS)} of the radiologists' agreement,
from the least on. From the left: the four radiologists; four masks of the fitted field; four with a threshold for each
voxel; four with one threshold each; the three members."""


def figure(cases: Sequence[tt.Case], calibration: tt.Calibration, field: RaterField) -> Figure:
    """Draw one row for each case: radiologists and samples on the CT."""
    columns = (RADIOLOGISTS, FIELD, PER_VOXEL, GLOBAL, "members")
    with matplotlib.style.context("default"):
        drawing = Figure(figsize=(1.9 * len(columns), 1.9 * len(cases) + 0.3), facecolor="white", layout="constrained")
        axes = drawing.subplots(len(cases), len(columns), squeeze=False)
        for line, case in zip(axes, cases, strict=True):
            draw_case(line, case, calibration, field)
        for axis, title in zip(axes[0], columns, strict=True):
            axis.set_title(title, fontsize=8)
    return drawing


def draw_case(axes: Any, case: tt.Case, calibration: tt.Calibration, field: RaterField) -> None:
    """Draw one case."""
    image, data = case.read_image(), case.read()
    assert image is not None
    masks = variants(data, calibration.apply(data), field, n=N_SHOWN)
    shown = (list(data.raters.values()), masks[FIELD], masks[PER_VOXEL], masks[GLOBAL], masks[MEMBERS])
    votes = np.sum(shown[0], axis=0)
    (section,) = choose_sections(votes, spacing=data.grid.spacing, upright=False)
    for axis, drawn in zip(axes, shown, strict=True):
        draw_ct(axis, section, image.array, {str(k): mask for k, mask in enumerate(drawn)}, window=LUNG)
    draw_scale(axes[0], section)


if __name__ == "__main__":
    typer.run(main)
