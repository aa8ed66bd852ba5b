"""The picture of one case: the CT with the raters' outlines, their response, and the prediction raw and calibrated."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import matplotlib.style
import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from twintrack.calibration import Calibration
from twintrack.cohort import Case
from twintrack.errors import InputError
from twintrack.images import Volume
from twintrack.images.windows import ABDOMEN, Window
from twintrack.raters.response import vote_count
from twintrack.report import panels
from twintrack.report.sections import Section, choose_sections
from twintrack.segmentation.orientation import oriented

_COLUMNS = 4
# Inches: a panel's side and the gap between two; the margins; what a title and a line of the legend add to them.
_PANEL, _GAP = 2.0, 0.06
_LEFT, _RIGHT, _TOP, _BOTTOM = 0.3, 0.62, 0.45, 0.3
_TITLE, _LINE = 0.25, 0.2
_LARGE = 1000.0  # mm³: from here on volumes are said in ml


@dataclass(frozen=True, eq=False)
class _Shown:
    """A case, turned as it is to be seen."""

    ct: NDArray[Any]
    raters: dict[str, NDArray[Any]]
    votes: NDArray[Any]
    maps: tuple[NDArray[Any], ...]
    sections: list[Section]


def case_figure(
    ct: Volume,
    *,
    raters: Mapping[str, NDArray[Any]],
    probability: NDArray[np.float32],
    response: NDArray[np.float32],
    title: str | None = None,
    window: Window = ABDOMEN,
) -> Figure:
    """Draw a case.

    One row for each of three sections through what the raters drew (one for a 2-D image), each where their outlines
    cover the largest area, seen as in radiology: the patient's right is on the left. The columns are the CT with
    each rater's outline, the raters' response, the ensemble's probability and the calibrated response. The three maps
    share one colour scale and carry the same outlines of agreement. Volumes below the columns are of the whole
    case, not of the section: mean, smallest and largest of the raters, expected volume Σp of the maps.

    Args:
        ct: The CT, HU, on any grid; without a known grid pixels are shown square and nothing is measured.
        raters: The raters' binary masks by name, on the CT's grid.
        probability: The ensemble's probability in [0, 1], on the CT's grid.
        response: The calibrated response in [0, 1], on the CT's grid.
        title: What to write above it.
        window: The HU shown black and white.

    Returns:
        The figure; write it with `twintrack.report.save.save_figure`.

    Raises:
        InputError: If there is no rater, or a mask is not binary.
        GeometryError: If an array does not have the CT's shape.
    """
    if not raters:
        raise InputError(f"{ct.name}: a figure of a case needs at least one rater")
    shown = _turned(ct, raters, (probability, response))
    captions = _captions(shown, ct.grid.voxel_volume if ct.grid.known else None)
    # Pitfall: without it the user's own matplotlibrc would decide how the figure looks.
    with matplotlib.style.context("default"):
        return _draw(shown, captions, title=title, window=window, measured=ct.grid.known)


def figure_of(case: Case, calibration: Calibration, *, title: str | None = None, window: Window = ABDOMEN) -> Figure:
    """Read a case and draw it.

    Args:
        case: A case with its CT, members and raters.
        calibration: What makes the response of the ensemble's probability.
        title: What to write above it; None takes the case's name.
        window: The HU shown black and white.

    Returns:
        The figure, as from `case_figure`.

    Raises:
        InputError: If the case has no CT.
        TwinTrackError: If it cannot be read.
    """
    ct = case.read_image()
    if ct is None:
        raise InputError(f"case {case.id}: there is no CT to draw (image.nii.gz beside the raters' masks)")
    calibration.check(case)
    data = case.read()
    ct.grid.require_same(data.grid, name=ct.name, other_name=f"the masks of case {case.id}")
    return case_figure(
        ct,
        raters=data.raters,
        probability=data.probability(),
        response=calibration.apply(data),
        title=case.id if title is None else title,
        window=window,
    )


def _turned(ct: Volume, raters: Mapping[str, NDArray[Any]], maps: tuple[NDArray[Any], ...]) -> _Shown:
    """Turn everything so that axes run towards head, back and left, where it is known how the patient lies."""
    upright = ct.grid.known and ct.array.ndim == 3
    image, turn = oriented(ct, "LPS" if upright else None)

    def turned(array: NDArray[Any], what: str) -> NDArray[Any]:
        return turn.forward(Volume(array, ct.grid, what).array)

    masks = {name: turned(mask, f"the mask of rater {name}") for name, mask in raters.items()}
    votes = vote_count(list(masks.values()))
    probability, response = (turned(one, what) for one, what in zip(maps, ("probability", "response"), strict=True))
    # Where nobody drew anything, what was predicted is what there is to see.
    weight = next((one for one in (votes, response, probability) if one.any()), votes)
    return _Shown(
        ct=image.array,
        raters=masks,
        votes=votes,
        maps=(probability, response),
        sections=choose_sections(weight, spacing=image.grid.spacing, upright=upright),
    )


def _captions(shown: _Shown, voxel: float | None) -> list[str]:
    """Say below each column how large the structure is."""
    if voxel is None:
        return [""] * _COLUMNS
    drawn = np.array([np.count_nonzero(mask) for mask in shown.raters.values()]) * voxel
    expected = np.array([one.sum(dtype=np.float64) for one in shown.maps]) * voxel
    what, unit = ("area", "mm²") if shown.votes.ndim == 2 else ("volume", "mm³")
    if what == "volume" and max(drawn.max(), expected.max()) >= _LARGE:
        drawn, expected, unit = drawn / 1000, expected / 1000, "ml"
    return [
        f"{what}s from {_round(drawn.min())} to {_round(drawn.max())} {unit}",
        f"mean {what} {_round(drawn.mean())} {unit}",
        *(f"expected {what} {_round(size)} {unit}" for size in expected),
    ]


def _round(size: float) -> str:
    return f"{size:.0f}" if size >= 100 else f"{size:.3g}"


def _draw(shown: _Shown, captions: list[str], *, title: str | None, window: Window, measured: bool) -> Figure:
    n_raters = len(shown.raters)
    top = _TOP + (_TITLE if title else 0.0)
    bottom = _BOTTOM + _LINE * panels.legend_lines(n_raters)
    figure, axes, bar = _frame(len(shown.sections), top=top, bottom=bottom)
    response = shown.votes / np.float32(n_raters)
    for section, row in zip(shown.sections, axes, strict=True):
        panels.draw_ct(row[0], section, shown.ct, shown.raters, window=window)
        for axis, values in zip(row[1:], (response, *shown.maps), strict=True):
            panels.draw_map(axis, section, values, shown.votes, n_raters=n_raters)
        row[0].set_ylabel(section.title, fontsize=8)
        if measured:
            panels.draw_scale(row[0], section)
    for axis, text in zip(axes[0], _headings(n_raters), strict=True):
        axis.set_title(text, fontsize=9, pad=4)
    for axis, text in zip(axes[-1], captions, strict=True):
        axis.set_xlabel(text, fontsize=8, labelpad=3)
    panels.draw_colour_bar(figure, bar)
    panels.draw_legend(figure, list(shown.raters))
    if title:
        width, height = figure.get_size_inches()
        figure.text(_LEFT / width, 1 - 0.08 / height, title, fontsize=10, va="top", ha="left", weight="bold")
    return figure


def _headings(n_raters: int) -> list[str]:
    return [
        "CT with the outlines\nof the raters" if n_raters > 1 else "CT with the outline\nof the rater",
        f"Response of the raters\n(share of {n_raters})" if n_raters > 1 else "Response of the rater\n(0 or 1)",
        "Probability of the ensemble\n(raw)",
        "Predicted response\n(calibrated)",
    ]


def _frame(n_rows: int, *, top: float, bottom: float) -> tuple[Figure, Any, Any]:
    """Lay out the panels, all squares of one size, and the place of the colour bar; margins in inches."""
    width = _LEFT + _COLUMNS * _PANEL + (_COLUMNS - 1) * _GAP + _RIGHT
    height = top + n_rows * _PANEL + (n_rows - 1) * _GAP + bottom
    figure = Figure(figsize=(width, height), facecolor="white")
    grid = figure.add_gridspec(
        n_rows,
        _COLUMNS,
        left=_LEFT / width,
        right=1 - _RIGHT / width,
        top=1 - top / height,
        bottom=bottom / height,
        wspace=_GAP / _PANEL,
        hspace=_GAP / _PANEL,
    )
    bar = figure.add_axes((1 - (_RIGHT - 0.1) / width, bottom / height, 0.12 / width, 1 - (top + bottom) / height))
    return figure, grid.subplots(squeeze=False), bar
