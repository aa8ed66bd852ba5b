"""The CT of a case with the outlines of what at least k of K experts label."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from twintrack.calibration.agreement import agreement_levels
from twintrack.images import Volume
from twintrack.images.windows import ABDOMEN, Window
from twintrack.report.panels import draw_ct, draw_scale, outline
from twintrack.report.plot.axes import COLUMN, drawing
from twintrack.report.sections import choose_sections
from twintrack.segmentation.orientation import oriented

# Okabe and Ito's palette, those that are seen on grey; a colour scale through grey is not.
_COLOURS = ("#56B4E9", "#E69F00", "#F0E442", "#009E73", "#CC79A7")


def agreement_overlay(
    ct: Volume,
    response: NDArray[np.float32],
    *,
    n_raters: int,
    levels: Sequence[int] | None = None,
    window: Window = ABDOMEN,
    ax: Axes | None = None,
) -> Axes:
    """Draw the section of a case in which the response is largest, with outlines of agreement.

    The section is axial, seen as in radiology: the patient's right is on the left.

    Args:
        ct: The CT, HU, on any grid.
        response: A response in [0, 1] on its grid: a calibrated map, or the raters' mean.
        n_raters: K, the number of experts.
        levels: The k of the outlines "at least k of K"; None: 1, half of K (rounded up) and K.
        window: The HU shown black and white.
        ax: Where to draw; None: a new figure.

    Returns:
        The axes.

    Raises:
        InputError: If K is not in 1 … 255.
        GeometryError: If the response does not have the CT's shape.
    """
    upright = ct.grid.known and ct.array.ndim == 3
    image, turn = oriented(ct, "LPS" if upright else None)
    turned = turn.forward(Volume(response, ct.grid, f"the response on {ct.name}").array)
    found = agreement_levels(np.ascontiguousarray(turned), n_raters=n_raters)
    shown = sorted({1, (n_raters + 1) // 2, n_raters}) if levels is None else sorted(set(levels))
    section = choose_sections(turned, spacing=image.grid.spacing, upright=upright)[0]
    with drawing(ax, height=COLUMN + 0.3) as axis:
        draw_ct(axis, section, image.array, {}, window=window)
        colours = [_COLOURS[n % len(_COLOURS)] for n in range(len(shown))]
        for k, colour in zip(shown, colours, strict=True):
            outline(axis, section, section.cut(found) >= k, color=colour, width=1.2, rim=True)
        if ct.grid.known:
            draw_scale(axis, section)
        _explain(axis, shown, colours, n_raters=n_raters)
        axis.set_title(section.title)
    return axis


def _explain(axis: Axes, shown: Sequence[int], colours: Sequence[str], *, n_raters: int) -> None:
    lines = [
        Line2D([], [], color=colour, linewidth=2, label=f"≥ {k} of {n_raters}")
        for k, colour in zip(shown, colours, strict=True)
    ]
    place: dict[str, Any] = {"loc": "upper center", "bbox_to_anchor": (0.5, -0.01), "ncols": 4}
    axis.legend(handles=lines, frameon=False, handlelength=1.6, **place)
