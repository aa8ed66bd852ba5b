"""Writes an image, mask or probability map: whole or not at all, fast, and every time the same bytes."""

from __future__ import annotations

import contextlib
import math
import warnings
import zipfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK
from numpy.lib import format as npy_format
from numpy.typing import NDArray

from twintrack.errors import InputError, OutputError, TwinTrackWarning
from twintrack.images import blosc
from twintrack.images.atomic import replacing
from twintrack.images.formats import ARRAY_ENDINGS, WRITABLE_ENDINGS, require_ending
from twintrack.images.grid import Grid
from twintrack.images.packing import compress, nifti
from twintrack.images.packing.quiet import quiet
from twintrack.images.packing.unpack import scratch_folder
from twintrack.images.parts import VolumeParts
from twintrack.images.volume import Volume

sitk: Any = SimpleITK  # its functions carry no types

# Named for the same reason as in read.py; the function compresses what SimpleITK wrote.
_WRITERS = {
    ".mha": ("MetaImageIO", compress.compress_metaimage),
    ".nrrd": ("NrrdImageIO", compress.compress_nrrd),
    ".seg.nrrd": ("NrrdImageIO", compress.compress_nrrd),
}
_NIFTI_ENDINGS = (".nii", ".nii.gz")
_WITH_FIELDS = (".nrrd", ".seg.nrrd")
_STORED_TYPES = ("u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8", "f4", "f8")


def write_volume(
    path: Path, volume: Volume, *, compression_level: int = 1, fields: Mapping[str, str] | None = None
) -> None:
    """Write a volume in the format the file name says.

    Truth values are stored as uint8 and float16 as float32, which every reader knows; other types are kept.
    ``.nii.gz``, ``.mha``, ``.nrrd``, ``.npz`` and ``.b2nd`` are compressed. ``.npz`` holds the array ``array`` and, if
    the grid is known, ``spacing``, ``origin`` and ``direction`` as in `Grid`; ``.npy`` has no geometry.

    Args:
        path: The file to write, ending in ``.nii``, ``.nii.gz``, ``.mha``, ``.nrrd``, ``.npy``, ``.npz`` or
            ``.b2nd`` (extra blosc2); replaced if it exists.
        volume: What to write.
        compression_level: 0 (fastest, though not without compression) to 3 (smallest).
        fields: Further fields of a NRRD header (key:=value), each on one line.

    Raises:
        InputError: If the format cannot be written, or not with voxels of this type or with fields.
        OutputError: If the operating system refuses. No part of the file is left, an older one stays.

    Warns:
        TwinTrackWarning: If the grid is not known and the format cannot say so: what reads the file will take
            it for 1 mm voxels at the origin.
    """
    ending = _require_writable(path, compression_level)
    array = _storable(volume, path)
    _require_place_for(fields, path, ending)
    _warn_of_unknown(volume.grid, volume.name, path, ending)
    with replacing(path) as temporary:
        if ending == ".npy":
            with temporary.open("wb") as file:
                npy_format.write_array(file, array, allow_pickle=False)
        elif ending == ".npz":
            _write_npz(temporary, array, volume.grid, compression_level)
        elif ending == ".b2nd":
            blosc.write_b2nd(temporary, array, volume.grid, compression_level)
        elif ending in _NIFTI_ENDINGS:
            parts = VolumeParts.of(Volume(array, volume.grid))
            _write_nifti(path, temporary, parts, array.dtype, ending, compression_level)
        else:
            image = _image(array, volume.grid, fields or {})
            _write_image(path, temporary, image, array.nbytes, ending, compression_level)


def _require_place_for(fields: Mapping[str, str] | None, path: Path, ending: str) -> None:
    if fields and ending not in _WITH_FIELDS:
        raise InputError(f"{path}: only {' and '.join(_WITH_FIELDS)} can hold further fields")


def write_parts(path: Path, volume: VolumeParts, *, compression_level: int = 1) -> None:
    """Write a volume of float32 that is given a part at a time; the file is the same as `write_volume` writes.

    NIfTI files are written as the parts come. Other formats need them all first.

    Args:
        path: As for `write_volume`.
        volume: What to write. What its parts raise is raised here, and nothing is left then.
        compression_level: As for `write_volume`.

    Raises:
        InputError: If the format cannot be written.
        OutputError: If the operating system refuses.

    Warns:
        TwinTrackWarning: As `write_volume`.
    """
    ending = _require_writable(path, compression_level)
    if ending not in _NIFTI_ENDINGS:
        write_volume(path, volume.whole(np.float32), compression_level=compression_level)
        return
    _warn_of_unknown(volume.grid, volume.name, path, ending)
    with replacing(path) as temporary:
        _write_nifti(path, temporary, volume, np.dtype(np.float32), ending, compression_level)


def _require_writable(path: Path, level: int) -> str:
    ending = require_ending(path)
    if ending not in WRITABLE_ENDINGS:
        raise InputError(f"{path}: {ending} is not written; use one of {', '.join(WRITABLE_ENDINGS)}")
    if level not in range(4):
        raise InputError(f"{path}: the compression level is {level}; it must be 0, 1, 2 or 3")
    return ending


def _warn_of_unknown(grid: Grid, name: str, path: Path, ending: str) -> None:
    if not grid.known and ending not in ARRAY_ENDINGS:
        warnings.warn(
            f"{path}: the grid of {name} is not known; the file will say 1 mm voxels at the origin",
            TwinTrackWarning,
            stacklevel=3,
        )


def _storable(volume: Volume, path: Path) -> NDArray[Any]:
    array = volume.array
    if array.dtype == np.bool_:
        array = array.view(np.uint8)
    elif array.dtype == np.float16:
        array = array.astype(np.float32)
    if array.dtype.str[1:] not in _STORED_TYPES or array.size == 0:
        raise InputError(
            f"{path}: an array of type {array.dtype} and shape {array.shape} cannot be stored as an image; "
            "there must be voxels, and they must be integers or floating-point numbers of up to 64 bits"
        )
    return array.astype(array.dtype.newbyteorder("="), copy=False)


def _write_npz(target: Path, array: NDArray[Any], grid: Grid, level: int) -> None:
    """Write what `read_volume` reads back, with zlib: zipfile takes no other compressor."""
    arrays = {"array": array}
    if grid.known:
        arrays |= {"spacing": np.array(grid.spacing), "origin": np.array(grid.origin)}
        arrays |= {"direction": np.array(grid.direction)}
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED, compresslevel=max(level, 1)) as archive:
        for name, content in arrays.items():
            # Pitfall: a member opened by ZipInfo ignores the level. Opened by name, it holds no time either.
            with archive.open(f"{name}.npy", "w", force_zip64=True) as file:
                npy_format.write_array(file, content, allow_pickle=False)


def _write_nifti(path: Path, target: Path, volume: VolumeParts, dtype: np.dtype[Any], ending: str, level: int) -> None:
    """Write header and voxels ourselves: SimpleITK copies the image and, of NIfTI, does not notice a full disk."""
    header = _nifti_header(path, volume.grid, dtype)
    expected, given = math.prod(volume.grid.shape), 0
    with target.open("wb") as file:
        packing = compress.gzipped(file, level) if ending == ".nii.gz" else contextlib.nullcontext(file)
        with packing as out:
            out.write(header)
            for part in volume.parts:
                out.write(part.data)
                given += part.size
    if given != expected:
        raise ValueError(f"{volume.name}: {given} voxels were given for a grid of {expected}")


def _nifti_header(path: Path, grid: Grid, dtype: np.dtype[Any]) -> bytes:
    """Let SimpleITK write the header, of an image of one voxel, and put the size in."""
    one = replace(grid, shape=(1,) * len(grid.shape))
    with scratch_folder() as folder:
        raw = folder / "header.nii"
        _write_raw(raw, _image(np.zeros(one.shape, dtype), one, {}), "NiftiImageIO", path)
        head = raw.read_bytes()[: nifti.HEADER_BYTES]
    if max(grid.shape) > nifti.LARGEST:
        raise OutputError(f"cannot write {path}: of the shape {grid.shape} NIfTI holds up to {nifti.LARGEST} each way")
    return nifti.with_shape(head, grid.shape)


def _write_image(path: Path, target: Path, image: Any, voxel_bytes: int, ending: str, level: int) -> None:
    image_io, compressor = _WRITERS[ending]
    with scratch_folder() as folder:
        raw = folder / f"image{ending}"
        _write_raw(raw, image, image_io, path)
        compressor(raw, target, voxel_bytes=voxel_bytes, level=level)


def _image(array: NDArray[Any], grid: Grid, fields: Mapping[str, str]) -> Any:
    image = sitk.GetImageFromArray(array, isVector=False)
    image.SetSpacing([float(size) for size in grid.spacing[::-1]])
    image.SetOrigin([float(position) for position in grid.origin])
    image.SetDirection([float(cosine) for cosine in grid.direction])
    for key, value in fields.items():
        image.SetMetaData(key, value)
    return image


def _write_raw(target: Path, image: Any, image_io: str, path: Path) -> None:
    writer = sitk.ImageFileWriter()
    writer.SetImageIO(image_io)
    writer.SetFileName(str(target))
    writer.UseCompressionOff()
    try:
        with quiet():
            writer.Execute(image)
    except RuntimeError as error:
        raise OutputError(f"cannot write {path}: SimpleITK says: {str(error).strip().splitlines()[-1]}") from error
