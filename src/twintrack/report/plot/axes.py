"""What all figures share: a new axes where none is given, one style, and the colours of what is drawn."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import matplotlib.style
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from twintrack.evaluation.predictions import CALIBRATED, HUMAN, RAW

COLUMN = 3.5
"""Width of one column of a journal in inches."""

# Okabe and Ito's palette for all kinds of colour vision.
BLUE, VERMILION, GREEN, PURPLE, SKY, ORANGE = "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00"
GREY = "#666666"

COLOURS = {CALIBRATED: BLUE, RAW: VERMILION, HUMAN: GREEN}
"""Of predictions."""

CYCLE = (BLUE, VERMILION, GREEN, PURPLE, ORANGE, SKY)
"""Of whatever else there are several of."""

DASHES: tuple[Any, ...] = ("solid", (0, (4, 1.5)), (0, (1, 1)), (0, (5, 1, 1, 1)))
"""Told apart without colour, too."""


@contextmanager
def drawing(ax: Axes | None, *, height: float = COLUMN) -> Iterator[Axes]:
    """Give an axes to draw into, in the style of all figures.

    Args:
        ax: Where to draw; None: a new figure, one column wide.
        height: Height of a new figure in inches.

    Yields:
        The axes.
    """
    # Pitfall: without it the user's own matplotlibrc would decide how the figure looks.
    with matplotlib.style.context(["default", {"font.size": 8, "legend.fontsize": 7, "axes.titlesize": 8}]):
        if ax is None:
            figure = Figure(figsize=(COLUMN, height), facecolor="white", layout="constrained")
            ax = figure.add_subplot()
        yield ax
        ax.spines[["top", "right"]].set_visible(False)


def unit_square(ax: Axes) -> None:
    """Make both axes run from 0 to 1 with equal steps."""
    ax.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.01), aspect="equal", xticks=_FIFTHS, yticks=_FIFTHS)


_FIFTHS = (0, 0.2, 0.4, 0.6, 0.8, 1)


def figure_of(ax: Axes) -> Figure:
    """Give the whole figure that an axes lies in, to be written by `twintrack.report.save.save_figure`."""
    figure = ax.figure
    while not isinstance(figure, Figure):
        figure = figure.figure
    return figure
