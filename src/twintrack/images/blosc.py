"""Blosc2 arrays (``.b2nd``): fast to write and to read, for runs so large that files are what takes time.

The geometry and the SHA-256 of it and the voxels travel in the file's metadata, as JSON.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from twintrack.errors import InputError, MissingExtraError
from twintrack.images.grid import Grid

_KEY = "twintrack"
_GEOMETRY = ("spacing", "origin", "direction")


def write_b2nd(target: Path, array: NDArray[Any], grid: Grid, level: int) -> None:
    """Write an array with its grid.

    Args:
        target: The file.
        array: The voxels, on the grid.
        grid: Where they lie.
        level: 0 (fastest) to 3 (smallest).

    Raises:
        MissingExtraError: If blosc2 is not installed.
    """
    blosc2 = _library()
    geometry = {name: list(getattr(grid, name)) for name in _GEOMETRY} if grid.known else {}
    # Pitfall: several threads store blocks in the order in which they finish, other bytes every time.
    how = {"codec": blosc2.Codec.ZSTD, "clevel": 1 + 2 * level, "nthreads": 1}
    stored = blosc2.asarray(np.ascontiguousarray(array), cparams=how)
    stored.schunk.vlmeta[_KEY] = json.dumps({"sha256": _sha256(array, geometry), **geometry})
    target.write_bytes(stored.to_cframe())


def read_b2nd(path: Path) -> tuple[NDArray[Any], Grid]:
    """Read what `write_b2nd` wrote.

    Pitfall: `blosc2.open` runs code that a file may hold (lazy arrays); an array made of the file's bytes cannot.

    Args:
        path: The file.

    Returns:
        The voxels and their grid.

    Raises:
        InputError: If it is no such file, or damaged.
        MissingExtraError: If blosc2 is not installed.
    """
    blosc2 = _library()
    try:
        stored = blosc2.ndarray_from_cframe(path.read_bytes())
        geometry = json.loads(stored.schunk.vlmeta[_KEY])
        written = geometry.pop("sha256")
        array = np.asarray(stored[()])
    except (RuntimeError, ValueError, TypeError, KeyError, AttributeError, SyntaxError, MemoryError) as error:
        raise InputError(f"{path}: it is damaged, or no array that TwinTrack wrote ({error or type(error)})") from error
    if written != _sha256(array, geometry):
        raise InputError(f"{path}: it is damaged: voxels or geometry are not those that were written (SHA-256)")
    if not geometry:
        return array, Grid.plain(array.shape)
    spacing, origin, direction = (tuple(geometry[name]) for name in _GEOMETRY)
    return array, Grid(shape=array.shape, spacing=spacing, origin=origin, direction=direction)


def _sha256(array: NDArray[Any], geometry: dict[str, Any]) -> str:
    digest = hashlib.sha256(json.dumps([geometry, array.shape, array.dtype.str], sort_keys=True).encode())
    digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


def _library() -> Any:
    try:
        import blosc2  # noqa: PLC0415  (an extra)
    except ImportError as error:
        raise MissingExtraError("files ending in .b2nd need blosc2; install twintrack[blosc2]") from error
    return blosc2
