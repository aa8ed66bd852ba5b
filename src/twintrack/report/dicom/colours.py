"""One colour for each agreement level, in every object and viewer the same."""

from __future__ import annotations

import matplotlib as mpl

_COLOURS = "plasma"
"""Goes from dark to bright at even steps, also without colour vision; on a grey CT it is told apart everywhere."""

_DARKEST = 0.2  # the map's beginning is too dark on a CT


def level_colour(level: int, n_raters: int) -> tuple[int, int, int]:
    """Give the colour of an agreement level.

    Args:
        level: k, 1 … K.
        n_raters: K.

    Returns:
        Red, green and blue, 0 … 255: dark for one expert, bright for all.
    """
    share = _DARKEST + (1 - _DARKEST) * (level / n_raters)
    red, green, blue, _ = mpl.colormaps[_COLOURS](share, bytes=True)
    return int(red), int(green), int(blue)
