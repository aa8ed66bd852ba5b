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
from twintrack.evaluation.predictions import RAW
from twintrack.report.html.headline import kind_of
from twintrack.report.panels import COLOURS


def picture_data(pictures: Sequence[Picture], predictions: Sequence[str]) -> list[dict[str, Any]]:
    """Give what the page's script needs of each picture.

    Args:
        pictures: The pictures of an evaluation's details.
        predictions: Which predictions to show.

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
            "layers": {name: _data_uri(layer) for name, layer in _layers(picture, predictions).items()},
            "maps": [kind_of(name) for name in predictions],
            "start": _fullest(picture.votes),
        }
        for picture in pictures
    ]


def _layers(picture: Picture, predictions: Sequence[str]) -> dict[str, NDArray[np.uint8]]:
    ct = {} if picture.ct is None else {"ct": picture.ct}
    return ct | {"votes": picture.votes} | {kind_of(name): picture.maps[name] for name in predictions}


def picture_panels(picture: Picture, predictions: Sequence[str]) -> list[dict[str, str]]:
    """Say which panels a picture has, in their order."""
    ct = [] if picture.ct is None else [("ct", "CT")]
    maps = [(kind_of(name), f"{name} {'probability' if name == RAW else 'response'}") for name in predictions]
    named = [*ct, ("votes", "response of the raters"), *maps, ("difference", "difference")]
    return [{"name": name, "title": title} for name, title in named]


def differences(predictions: Sequence[str]) -> list[dict[str, str]]:
    """Say which differences can be shown, the one to begin with first."""
    found = [{"maps": f"{kind_of(name)} votes", "words": f"{name} − raters"} for name in reversed(predictions)]
    if len(predictions) > 1:
        raw, chosen = predictions
        found.insert(1, {"maps": f"{kind_of(chosen)} {kind_of(raw)}", "words": f"{chosen} − {raw}"})
    return found


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
