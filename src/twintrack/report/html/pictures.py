"""Pictures of cases: layers as PNG inside the page, which its script decodes, colours and outlines."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from twintrack.evaluation.details.pictures import Picture
from twintrack.report.panels import COLOURS

_PANELS = {
    "ct": "CT",
    "votes": "response of the raters",
    "raw": "raw probability",
    "calibrated": "calibrated response",
    "difference": "difference",
}


def picture_data(pictures: Sequence[Picture]) -> list[dict[str, Any]]:
    """Give what the page's script needs of each picture.

    Args:
        pictures: The pictures of an evaluation's details.

    Returns:
        Plain data, ready for JSON: sizes, names and, by layer, a PNG with the slices below each other as a data URI.
    """
    return [
        {
            "shape": list(picture.about.shape),
            "step": list(picture.about.step),
            "firstSlice": picture.about.first_slice,
            "nSlices": picture.about.n_slices,
            "pixel": list(picture.about.pixel),
            "raters": picture.about.raters,
            "layers": {name: _data_uri(layer) for name, layer in picture.layers.items()},
            "start": _fullest(picture.layers["votes"]),
        }
        for picture in pictures
    ]


def picture_panels(picture: Picture) -> list[dict[str, str]]:
    """Say which panels a picture has, in their order."""
    names = [name for name in _PANELS if name in picture.layers]
    return [{"name": name, "title": _PANELS[name]} for name in [*names, "difference"]]


def colour_table() -> str:
    """Give the colour scale of all maps: 256 colours, each as six hexadecimal digits."""
    colours = mpl.colormaps[COLOURS](np.arange(256), bytes=True)[:, :3]
    return np.asarray(colours, np.uint8).tobytes().hex()


def colour_gradient() -> str:
    """Give the same scale as the style sheet wants it, from 0 to 1."""
    colours = mpl.colormaps[COLOURS](np.linspace(0, 1, 9), bytes=True)[:, :3]
    return ", ".join("#" + bytes(one.tolist()).hex() for one in colours)


def _fullest(votes: NDArray[np.uint8]) -> int:
    """Choose the slice to begin with: where the raters drew most."""
    sums = votes.sum(axis=(1, 2), dtype=np.int64)
    return int(sums.argmax()) if sums.any() else votes.shape[0] // 2


def _data_uri(layer: NDArray[np.uint8]) -> str:
    file = io.BytesIO()
    Image.fromarray(layer.reshape(-1, layer.shape[-1])).save(file, "PNG", optimize=False)
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode("ascii")
