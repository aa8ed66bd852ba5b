"""The single panels of a case's figure: a CT with outlines, a map with the raters' agreement, scale bar and legend."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patheffects import withStroke
from numpy.typing import NDArray

from twintrack.report.sections import Section

COLOURS = "cividis"
"""Colour scale of every map: read alike with and without colour vision (Nuñez et al., PLOS ONE 2018)."""

# Okabe and Ito's palette for all kinds of colour vision, brightest first, since it lies on grey.
_RATERS = ("#56B4E9", "#E69F00", "#009E73", "#F0E442", "#CC79A7", "#D55E00", "#0072B2")
_AGREEMENT: dict[str, tuple[float, Any]] = {  # width in points, dashes
    "any": (0.8, (0, (1, 1))),
    "half": (1.2, "solid"),
    "all": (0.9, (0, (4, 1.5))),
}
_SIDES = (  # of a panel: x, y, alignment across and along; in the order of `Section.sides`
    (0.03, 0.5, "left", "center"),
    (0.97, 0.5, "right", "center"),
    (0.5, 0.03, "center", "bottom"),
    (0.5, 0.97, "center", "top"),
)
_LEGEND_COLUMNS = 8
_BARS = (5, 10, 20, 50, 100)  # mm


def agreement_levels(n_raters: int) -> dict[str, int]:
    """Say how many raters each outline of agreement stands for.

    Args:
        n_raters: How many there are.

    Returns:
        Votes needed by name: "any" is one rater, "half" at least half of them, "all" every one. Outlines that would
        be the same are left out, "half" stays.
    """
    half = (n_raters + 1) // 2
    levels = {"any": 1, "half": half, "all": n_raters}
    return {name: level for name, level in levels.items() if name == "half" or level != half}


def draw_ct(
    axis: Any, section: Section, ct: NDArray[Any], raters: Mapping[str, NDArray[Any]], *, window: tuple[float, float]
) -> None:
    """Draw the CT with each rater's outline.

    Args:
        axis: Where.
        section: What to show.
        ct: HU, the whole array.
        raters: Masks by name, whole arrays.
        window: HU shown black and white.
    """
    _show(axis, section, section.cut(ct), colours="gray", limits=window)
    for k, mask in enumerate(raters.values()):
        outline(axis, section, section.cut(mask), color=_RATERS[k % len(_RATERS)], width=0.9)
    for letter, (x, y, across, along) in zip(section.sides, _SIDES, strict=False):
        _write(axis, letter, (x, y), transform=axis.transAxes, ha=across, va=along)


def draw_map(axis: Any, section: Section, values: NDArray[Any], votes: NDArray[Any], *, n_raters: int) -> None:
    """Draw a map with the raters' outlines of agreement.

    Args:
        axis: Where.
        section: What to show.
        values: The map in [0, 1], the whole array.
        votes: Number of raters who label each voxel, the whole array.
        n_raters: How many raters there are.
    """
    _show(axis, section, section.cut(values), colours=COLOURS, limits=(0, 1))
    for name, level in agreement_levels(n_raters).items():
        width, dashes = _AGREEMENT[name]
        outline(axis, section, section.cut(votes) >= level, color="white", width=width, dashes=dashes, rim=True)


def draw_scale(axis: Any, section: Section) -> None:
    """Draw a bar of a round number of mm, at most a third of the panel."""
    left, right, bottom, top = section.field
    length = max([bar for bar in _BARS if bar <= abs(right - left) / 3], default=_BARS[0])
    x, y = left + 0.05 * (right - left), bottom + 0.06 * (top - bottom)
    axis.plot([x, x + length], [y, y], color="white", linewidth=2, solid_capstyle="butt", path_effects=_rim(3.2))
    _write(axis, f"{length} mm", (x + length / 2, y + 0.02 * (top - bottom)), ha="center", va="bottom")


def draw_colour_bar(figure: Figure, axis: Any) -> None:
    """Draw the scale that all maps share."""
    bar = figure.colorbar(ScalarMappable(Normalize(0, 1), COLOURS), cax=axis, ticks=np.linspace(0, 1, 6))
    bar.ax.tick_params(labelsize=7, length=2, pad=2)
    bar.set_label("share of raters; probability", fontsize=8, labelpad=3)
    bar.outline.set_linewidth(0.5)


def legend_lines(n_raters: int) -> int:
    """Say how many lines of text `draw_legend` needs."""
    return -(-(n_raters + len(agreement_levels(n_raters))) // _LEGEND_COLUMNS)


def draw_legend(figure: Figure, names: Sequence[str]) -> None:
    """Explain the lines, below everything.

    Args:
        figure: Where.
        names: The raters' names, in the order in which they were drawn.
    """
    n_raters = len(names)
    lines = [
        Line2D([], [], color=_RATERS[k % len(_RATERS)], linewidth=1.5, label=f"rater {name}")
        for k, name in enumerate(names)
    ]
    for name, level in agreement_levels(n_raters).items():
        width, dashes = _AGREEMENT[name]
        style = {"color": "white", "linewidth": width, "linestyle": dashes, "path_effects": _rim(width + 1)}
        lines.append(Line2D([], [], label=_agreeing(level, n_raters), **style))
    figure.legend(
        handles=lines,
        loc="lower center",
        ncols=min(len(lines), _LEGEND_COLUMNS),
        fontsize=7,
        frameon=False,
        handlelength=1.8,
        columnspacing=1.2,
    )


def _agreeing(level: int, n_raters: int) -> str:
    if n_raters == 1:
        return "outline of the rater"
    return f"all {n_raters} raters" if level == n_raters else f"at least {level} of {n_raters} raters"


def _show(axis: Any, section: Section, pixels: NDArray[Any], *, colours: str, limits: tuple[float, float]) -> None:
    axis.imshow(
        pixels,
        cmap=colours,
        vmin=limits[0],
        vmax=limits[1],
        extent=section.extent,
        origin="lower",
        interpolation="nearest",
        aspect="equal",
    )
    left, right, bottom, top = section.field
    axis.set(xlim=(left, right), ylim=(bottom, top), xticks=[], yticks=[], facecolor="black")
    for spine in axis.spines.values():
        spine.set_visible(False)


def outline(
    axis: Any,
    section: Section,
    mask: NDArray[Any],
    *,
    color: Any,
    width: float,
    dashes: Any = "solid",
    rim: bool = False,
) -> None:
    """Draw the border of a mask; a rim keeps it visible on every colour."""
    # Pitfall: contour warns where there is no border to draw, and needs two pixels along each axis.
    if min(mask.shape) < 2 or mask.all() or not mask.any():
        return
    lines = axis.contour(
        *section.centres(),
        mask.astype(np.float32),
        levels=[0.5],
        colors=[color],
        linewidths=[width],
        linestyles=[dashes],
    )
    if rim:
        lines.set(path_effects=_rim(width + 1))


def _write(axis: Any, text: str, place: tuple[float, float], **how: Any) -> None:
    axis.text(*place, text, fontsize=7, color="white", path_effects=_rim(), **how)


def _rim(width: float = 1.2) -> list[Any]:
    return [withStroke(linewidth=width, foreground="black")]
