"""The inputs and outputs of a CURVAS-PDACVI algorithm on grand-challenge: one CT in, a mask and a response map out.

Source: the challenge's description of its algorithms' sockets, and grand-challenge's documentation of ``inputs.json``
(a list with an object per input: its socket with slug and relative path, named "interface" by older versions).
"""

from __future__ import annotations

import json
import warnings
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from twintrack.errors import InputError, ModelError, TwinTrackWarning
from twintrack.images import Grid, Volume, read_volume, write_volume
from twintrack.images.atomic import make_folder
from twintrack.images.formats import image_ending, is_image
from twintrack.pipeline.embedded import embedded_bundle
from twintrack.pipeline.prediction import Prediction

CT_SLUG = "thoracic-abdominal-ct"
CT_FOLDER = PurePosixPath("images") / CT_SLUG
SEGMENTATION = PurePosixPath("images/pdac-segmentation/output.mha")
CONFIDENCE = PurePosixPath("images/pdac-confidence/output.mha")

MODEL_FOLDER = Path("/opt/ml/model")
"""Where grand-challenge unpacks the weights that were uploaded beside the container."""

THRESHOLD = np.float32(0.5)
"""The segmentation is 1 where at least half of the experts are expected to call the voxel tumour."""

_ENDINGS = (".mha", ".tif", ".tiff")
_TIFF = (".tif", ".tiff")


def find_ct(folder: Path) -> Path:
    """Find the CT of a job.

    Args:
        folder: The job's inputs, ``/input`` in a container.

    Returns:
        The one ``.mha``, ``.tif`` or ``.tiff`` in the folder of the CT: the one that ``inputs.json`` names for the slug
        "thoracic-abdominal-ct" where there is such a file, else ``images/thoracic-abdominal-ct``.

    Raises:
        InputError: If there is not exactly one; the message names what was found.
    """
    listed = folder / "inputs.json"
    where = folder / (_listed_folder(listed) if listed.is_file() else CT_FOLDER)
    if not where.is_dir():
        raise InputError(f"{where}: there is no such folder; the CT is expected in it. {_found_in(folder)}")
    files = sorted(path for path in where.iterdir() if is_image(path) and image_ending(path) in _ENDINGS)
    if len(files) != 1:
        raise InputError(
            f"{where}: exactly one CT ({', '.join(_ENDINGS)}) is expected; {len(files)} are there. {_found_in(where)}"
        )
    return files[0]


def _listed_folder(listed: Path) -> PurePosixPath:
    """Give the folder that ``inputs.json`` names for the CT, relative to the inputs."""
    try:
        content = json.loads(listed.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"cannot read {listed}: {error.strerror or error}") from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"{listed}: it is not JSON ({error})") from error
    entries = content if isinstance(content, list) else []
    sockets = [socket for entry in entries if (socket := _socket(entry))]
    wanted = {path for slug, path in sockets if slug == CT_SLUG or PurePosixPath(path) == CT_FOLDER}
    if len(wanted) != 1:
        named = ", ".join(slug for slug, _ in sockets) or "none"
        raise InputError(f"{listed}: exactly one input with the slug {CT_SLUG} is expected; its slugs are: {named}")
    path = PurePosixPath(wanted.pop())
    if path.is_absolute() or ".." in path.parts:
        raise InputError(f"{listed}: the path {path} leads out of the folder of inputs")
    return path


def _socket(entry: Any) -> tuple[str, str] | None:
    """Give slug and relative path of one input; None where it has none."""
    if not isinstance(entry, dict):
        return None
    # Named "interface" by grand-challenge until it called it a socket.
    socket = entry.get("socket") or entry.get("interface")
    if not isinstance(socket, dict) or not isinstance(socket.get("slug"), str):
        return None
    path = socket.get("relative_path")
    return socket["slug"], path if isinstance(path, str) and path else str(CT_FOLDER.parent / socket["slug"])


def _found_in(folder: Path) -> str:
    """Say what a folder holds, for a message."""
    names = sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []
    more = f", … ({len(names)} in all)" if len(names) > 10 else ""
    return f"{folder} holds {', '.join(names[:10]) or 'nothing'}{more}."


def read_ct(path: Path) -> Volume:
    """Read the CT of a job.

    Args:
        path: An ``.mha`` or TIFF file.

    Returns:
        The CT. A TIFF has no geometry; it is taken to have voxels of 1 mm at the origin, and so has what is written.

    Raises:
        InputError: If it cannot be read.

    Warns:
        TwinTrackWarning: If it is a TIFF: a job that stops gives no result at all, but what is assumed must be said.
    """
    ct = read_volume(path)
    if image_ending(path) not in _TIFF:
        return ct
    warnings.warn(
        f"{path}: a TIFF does not say where its voxels lie; 1 mm voxels at the origin are assumed, which is likely "
        "wrong and makes the prediction unreliable. Give the CT as .mha.",
        TwinTrackWarning,
        stacklevel=2,
    )
    return Volume(ct.array, Grid.plain(ct.grid.shape, spacing=(1.0,) * ct.array.ndim), ct.name)


def choose_models(given: Path | None, *, installed: Path = MODEL_FOLDER) -> Path:
    """Choose the bundle of a job.

    Args:
        given: The bundle that was asked for; None for what there is.
        installed: Where weights uploaded beside the container lie.

    Returns:
        The given bundle; else the one in `installed`, or in the one folder within it; else the embedded bundle.

    Raises:
        ModelError: If `installed` holds something, but no bundle: a result of the demonstration's networks would be
            taken for one of the networks uploaded.

    Warns:
        TwinTrackWarning: If the embedded bundle is used, which knows phantoms only.
    """
    if given is not None:
        return given
    found = _bundle_within(installed)
    if found is not None:
        return found
    folder = embedded_bundle()
    warnings.warn(
        f"no bundle was given and {installed} is empty: the embedded bundle is used, which was trained on phantoms and "
        "is for demonstration only",
        TwinTrackWarning,
        stacklevel=2,
    )
    return folder


def _bundle_within(folder: Path) -> Path | None:
    if not folder.is_dir() or not any(folder.iterdir()):
        return None
    found = [path.parent for path in (folder / "bundle.json", *sorted(folder.glob("*/bundle.json"))) if path.is_file()]
    if len(found) != 1:
        raise ModelError(f"{folder}: one bundle (bundle.json) is expected; {len(found)} are there. {_found_in(folder)}")
    return found[0]


def write_outputs(prediction: Prediction, folder: Path) -> tuple[Path, Path]:
    """Write the outputs of a job, on the CT's grid.

    Args:
        prediction: What was predicted.
        folder: The job's outputs, ``/output`` in a container.

    Returns:
        The segmentation (uint8: 1 where the response is at least one half) and the response map (float32).

    Raises:
        OutputError: If they cannot be written; each appears whole or not at all, the segmentation last.
    """
    segmentation, confidence = folder / SEGMENTATION, folder / CONFIDENCE
    for path in (segmentation, confidence):
        make_folder(path.parent)
    whole = prediction.segmentation.whole
    write_volume(confidence, whole(prediction.response))
    write_volume(segmentation, whole((prediction.response >= THRESHOLD).view(np.uint8)))
    return segmentation, confidence
