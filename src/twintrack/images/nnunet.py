"""Reads nnU-Net's saved probabilities (``nnUNetv2_predict --save_probabilities``) as one foreground map.

nnU-Net v2 writes, beside ``<case>.npz`` (array ``probabilities``, (C, z, y, x)), the segmentation
``<case>.nii.gz``, which has the geometry, ``dataset.json``, which has the labels, and ``<case>.pkl``. The
last is never opened: loading a pickle can run code, and all that is needed of it is in the segmentation.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from twintrack.errors import InputError
from twintrack.images import npz
from twintrack.images.formats import IMAGE_ENDINGS
from twintrack.images.grid import Grid
from twintrack.images.nnunet_labels import Foreground, Output, read_output, resolve_foreground
from twintrack.images.parts import PART, VolumeParts
from twintrack.images.read import read_grid
from twintrack.images.volume import Volume

DESCRIPTION = "dataset.json"
"""Lies beside the predictions and says what the labels are."""

_KEYS = ("probabilities", "softmax")  # nnU-Net v2, v1
_ROUNDING = 1e-4  # how far above 1 rounding may carry a sum of softmax channels
_SUM_TOLERANCE = 1e-2  # softmax channels sum to 1; v1 stored them as float16


def read_probability(path: Path, *, foreground: Sequence[str | int] | None = None) -> Volume:
    """Read the foreground probability of one case.

    The geometry is that of the segmentation beside it, of the same name; without one the grid is not known.
    The labels are those of the ``dataset.json`` beside it; without one channel 0 is taken for background.

    Args:
        path: ``<case>.npz`` with the array ``probabilities`` (nnU-Net v2) or ``softmax`` (v1), (C, z, y, x).
        foreground: Names of labels, or channel numbers (softmax models only), merged into one probability:
            the sum of softmax channels, the largest of overlapping regions. None takes the only foreground
            label.

    Returns:
        The probability, float32, (z, y, x), or (y, x) where the segmentation is 2-D. Values are as they were
        saved, but for sums that rounding carried above 1.

    Raises:
        InputError: If the file is missing, damaged or holds something else; if the foreground is not clear;
            or if array and segmentation do not have the same shape.
    """
    found = _find_array(path, foreground)
    if found.is_told_by_sums:
        array = npz.read_member(path, found.key)
        _require_softmax(array, path)
        channels = array[list(found.foreground.channels)]
    else:
        channels = npz.read_rows(path, found.key, found.foreground.channels)
    grid = found.grid(path)
    return Volume(_merged(channels, found.foreground.merge).reshape(grid.shape), grid, str(path))


def read_probability_in_parts(path: Path, *, foreground: Sequence[str | int] | None = None) -> VolumeParts:
    """Read the foreground probability of one case a part at a time.

    Where it is one channel, no more than a part is ever in memory, and the other channels never are; else the case is
    read whole.

    Args:
        path: As for `read_probability`.
        foreground: As for `read_probability`.

    Returns:
        The probability, float32. Voxels are read when they are asked for.

    Raises:
        InputError: As `read_probability`; of the voxels when they are asked for.
    """
    found = _find_array(path, foreground)
    if found.is_told_by_sums or len(found.foreground.channels) > 1:
        return VolumeParts.of(read_probability(path, foreground=foreground))
    return VolumeParts(_parts(path, found.key, found.foreground.channels[0]), found.grid(path), str(path))


def foreground_names(folder: Path, foreground: Sequence[str | int] | None = None) -> tuple[str, ...] | None:
    """Say which labels of a prediction folder `read_probability` would merge.

    Args:
        folder: A folder of nnU-Net's predictions.
        foreground: As for `read_probability`.

    Returns:
        The labels' names, or None where no ``dataset.json`` tells them.

    Raises:
        InputError: If ``dataset.json`` cannot be read or the foreground is not clear.
    """
    output = _described(folder)
    return None if output is None else resolve_foreground(output, foreground, where=str(folder)).names


def is_nnunet_npz(path: Path) -> bool:
    """Say whether a file holds nnU-Net's saved probabilities, without reading any voxel.

    Args:
        path: The file.

    Returns:
        True for a ``.npz`` file with the array ``probabilities`` or ``softmax``.
    """
    if path.suffix.lower() != ".npz" or not path.is_file():
        return False
    try:
        return bool(set(_KEYS) & set(npz.array_names(path)))
    except InputError:
        return False


def is_nnunet_folder(folder: Path) -> bool:
    """Say whether a folder holds nnU-Net's saved probabilities, without reading any voxel.

    Args:
        folder: The folder.

    Returns:
        True if it has ``.npz`` files, and a ``dataset.json`` beside them or nnU-Net's array in the first.
    """
    first = _first_npz(folder)
    return first is not None and ((folder / DESCRIPTION).is_file() or is_nnunet_npz(first))


def _first_npz(folder: Path) -> Path | None:
    return min((path for path in folder.glob("*.npz") if not path.name.startswith(".")), default=None)


def _described(folder: Path) -> Output | None:
    path = folder / DESCRIPTION
    return read_output(path) if path.is_file() else None


@dataclass(frozen=True)
class _Array:
    """What is known of an array before its content is read."""

    key: str
    shape: tuple[int, ...]
    file_ending: str | None
    foreground: Foreground
    is_told_by_sums: bool

    def grid(self, path: Path) -> Grid:
        """Take the grid of the segmentation beside the array."""
        return _grid(path, self.key, self.shape[1:], self.file_ending)


def _find_array(path: Path, foreground: Sequence[str | int] | None) -> _Array:
    key, shape = _array_shape(path)
    described = _described(path.parent)
    output = described or Output.unnamed(shape[0])
    if output.channels != shape[0]:
        raise InputError(
            f"{path}: the array has {shape[0]} channels, but {output.source} describes {output.channels} "
            f"({output.listed()}). Is it the dataset.json of this model?"
        )
    chosen = resolve_foreground(output, foreground, where=str(path))
    by_sums = described is None and (not foreground or len(chosen.channels) > 1)
    return _Array(key, shape, output.file_ending, chosen, by_sums)


def _parts(path: Path, key: str, channel: int) -> Generator[NDArray[np.float32], None, None]:
    with closing(npz.read_row_in_parts(path, key, channel, most=PART)) as parts:
        for part in parts:
            yield part.astype(np.float32, copy=False)


def _array_shape(path: Path) -> tuple[str, tuple[int, ...]]:
    """Give the name of nnU-Net's array in the file, and its shape."""
    key = _array_key(path)
    shape, _, dtype = npz.read_header(path, key)
    if len(shape) != 4 or dtype.kind != "f" or 0 in shape:
        raise InputError(
            f"{path}: {key} must be a floating-point array (channel, z, y, x); it is {dtype} of shape {shape}"
        )
    return key, shape


def _array_key(path: Path) -> str:
    """Say under which name the file holds nnU-Net's array."""
    _require_file(path)
    names = npz.array_names(path)
    for key in _KEYS:
        if key in names:
            return key
    raise InputError(
        f"{path}: not nnU-Net's saved probabilities: it holds {', '.join(names) or 'nothing'}, neither "
        "'probabilities' (v2) nor 'softmax' (v1)"
    )


def _require_file(path: Path) -> None:
    if path.is_file():
        return
    pickled = path.with_name(path.name.removesuffix(".npz") + ".pkl")
    hint = ""
    if pickled.is_file():
        hint = (
            " Predict with --save_probabilities. (Older nnUNetv2_ensemble put the array into "
            f"{pickled.name}, which is not opened, because loading a pickle can run code: give the members' "
            "own predictions.)"
        )
    raise InputError(f"{path}: there is no such file.{hint}")


def _require_softmax(array: NDArray[Any], path: Path) -> None:
    """Where no dataset.json says what the channels are, let the numbers say it."""
    total = array.sum(axis=0, dtype=np.float32)
    if not np.allclose(total, 1, atol=_SUM_TOLERANCE):
        raise InputError(
            f"{path}: the channels do not sum to 1, so they are not softmax (sums from {total.min():.4g} to "
            f"{total.max():.4g}). Put the model's dataset.json beside the file, or choose one channel by its "
            "number."
        )


def _merged(channels: NDArray[Any], merge: Literal["sum", "max"]) -> NDArray[np.float32]:
    # A view of the first channel would keep the others.
    merged: NDArray[np.float32] = channels[0].astype(np.float32, copy=len(channels) > 1)
    combine = np.add if merge == "sum" else np.maximum
    for channel in channels[1:]:
        combine(merged, channel, out=merged, casting="same_kind")
    if merge == "sum" and len(channels) > 1:
        merged[(merged > 1) & (merged < 1 + _ROUNDING)] = 1
    return merged


def _grid(path: Path, key: str, shape: tuple[int, ...], file_ending: str | None) -> Grid:
    """Take the grid of the segmentation beside the array; (1, y, x) also matches a 2-D one."""
    segmentation = _segmentation(path, file_ending)
    if segmentation is None:
        return Grid.plain(shape)
    grid = read_grid(segmentation)
    if shape in (grid.shape, (1, *grid.shape)):
        return grid
    why = "Is it the segmentation of another run?"
    if key == "softmax":
        why = "nnU-Net v1 saved the array cropped to the body and does not undo that: predict anew with v2."
    raise InputError(
        f"{path} and {segmentation} do not have the same shape: the array's is {shape} (z, y, x), the "
        f"segmentation's {grid.shape}. {why}"
    )


def _segmentation(path: Path, file_ending: str | None) -> Path | None:
    stem = path.name[: -len(".npz")]
    first = (file_ending,) if file_ending in IMAGE_ENDINGS else ()
    candidates = (path.with_name(stem + ending) for ending in (*first, *IMAGE_ENDINGS))
    return next((candidate for candidate in candidates if candidate.is_file()), None)
