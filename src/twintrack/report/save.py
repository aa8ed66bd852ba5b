"""Writing figures: whole or not at all, and every time the same bytes."""

from __future__ import annotations

from pathlib import Path

import matplotlib.style
from matplotlib.figure import Figure

from twintrack.errors import InputError
from twintrack.images.atomic import replacing

# What each format would say of date and program; None leaves it out.
_UNSAID: dict[str, dict[str, None]] = {
    ".png": {"Software": None},
    ".pdf": {"CreationDate": None, "Creator": None, "Producer": None},
    ".svg": {"Date": None, "Creator": None},
}

DPI = 200
"""Resolution of pixel images: 8 inches across print sharply."""


def save_figure(path: Path, figure: Figure, *, dpi: int = DPI) -> None:
    """Write a figure in the format the file name says.

    The same figure gives the same bytes with the same version of matplotlib: no date is written.

    Args:
        path: The file to write, ending in ``.png``, ``.pdf`` or ``.svg``; replaced if it exists.
        figure: The figure.
        dpi: Resolution of the pixels, also of those inside a vector file.

    Raises:
        InputError: If the format cannot be written.
        OutputError: If the operating system refuses. No part of the file is left, an older one stays.
    """
    ending = path.suffix.lower()
    if ending not in _UNSAID:
        raise InputError(f"{path}: figures are written as {', '.join(_UNSAID)}; choose one of these endings")
    # Pitfalls: part of the user's own matplotlibrc is only looked at when a figure is written, and SVG names its parts
    # by random numbers unless they are salted.
    with replacing(path) as temporary, matplotlib.style.context(["default", {"svg.hashsalt": "twintrack"}]):
        figure.savefig(temporary, dpi=dpi, metadata=_UNSAID[ending])
