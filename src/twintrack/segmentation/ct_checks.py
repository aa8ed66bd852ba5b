"""Is this a CT? What is certainly none is refused, what is doubtful is said."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray

from twintrack.errors import InputError, TwinTrackWarning
from twintrack.images import Volume

MOST_LABELS = 32
"""An image of whole numbers from 0 up with no more different values than this is taken for a label map. A CT has
noise, and air below 0 HU; a phantom without noise has air too."""

_NO_AIR = -200.0
"""HU. Every CT of a body holds air around it or in lungs, bowel or a table's foam, or at least fat's darkest voxels."""

_TOO_HIGH = 30_000.0
_SAMPLE = 1_000_000


def require_ct(volume: Volume) -> None:
    """Refuse what is no CT in Hounsfield units.

    Refused are: truth values and 8-bit numbers, which cannot hold HU; NaN and infinity; values that all lie in [0, 1]
    (a mask or probability map, or a CT that was normalised); whole numbers from 0 up with at most `MOST_LABELS`
    different values (a label map). Only warned of are values that never go below −200 HU (is 1024 still added?), never
    above it (nothing but air), or above 30,000.

    Args:
        volume: The image.

    Raises:
        InputError: If it is no CT; the message says what was found.

    Warns:
        TwinTrackWarning: If the values are unusual.
    """
    array = volume.array
    if array.dtype == np.bool_ or array.dtype.itemsize == 1:
        raise InputError(
            f"{volume.name}: is no CT: its voxels are {array.dtype}, which cannot hold Hounsfield units "
            "(−1024 to 3071). Is it a mask, a label map or a picture?"
        )
    low, high = float(array.min()), float(array.max())
    if not np.isfinite([low, high]).all():
        bad = int(array.size - np.count_nonzero(np.isfinite(array)))
        raise InputError(f"{volume.name}: {bad} of {array.size} voxels are NaN or infinite; a CT has a number in each")
    found = f"its values go from {low:g} to {high:g}"
    if low >= 0 and high <= 1:
        raise InputError(
            f"{volume.name}: is no CT: {found}; Hounsfield units are expected, about −1024 to 3071. Is it a mask, a "
            "probability map, or was it normalised?"
        )
    if low >= 0 and (labels := _labels(array)) is not None:
        raise InputError(
            f"{volume.name}: is no CT: it holds only the whole numbers {_listed(labels)}. Is it a label map?"
        )
    _warn_if_unusual(volume.name, low, high, found)


def _warn_if_unusual(name: str, low: float, high: float, found: str) -> None:
    doubt = None
    if low > _NO_AIR:
        doubt = "nothing is as dark as air; were 1000 or 1024 added to the Hounsfield units, or is it a crop?"
    elif high < _NO_AIR:
        doubt = "nothing is brighter than air"
    elif high > _TOO_HIGH:
        doubt = "no tissue or metal is that bright"
    if doubt:
        warnings.warn(f"{name}: is it a CT in Hounsfield units? {found}: {doubt}", TwinTrackWarning, stacklevel=3)


def _labels(array: NDArray[Any]) -> NDArray[Any] | None:
    """Give the values of a label map, or None for what is none; most images are told by a sample of their voxels."""
    flat = array.reshape(-1)
    for part in (flat[:: max(1, flat.size // _SAMPLE)], flat):
        values = np.unique(part)
        if values.size > MOST_LABELS or (values != np.rint(values)).any():
            return None
    return values


def _listed(values: NDArray[Any], most: int = 6) -> str:
    return ", ".join(f"{value:g}" for value in values[:most]) + (", …" if values.size > most else "")
