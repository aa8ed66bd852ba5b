"""Reads an image, mask or probability map from any known format."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK
from numpy.typing import NDArray

from twintrack.errors import GeometryError, InputError
from twintrack.images import blosc, npz
from twintrack.images.formats import ARRAY_ENDINGS, require_ending
from twintrack.images.grid import Grid
from twintrack.images.packing import metaimage, nifti, tiff
from twintrack.images.packing.quiet import quiet
from twintrack.images.packing.unpack import read_nifti_head, unpacked
from twintrack.images.volume import Volume

sitk: Any = SimpleITK  # its functions carry no types

# Named, so that what is read depends on the ending alone: SimpleITK would try every format on any file.
_READERS = {
    ".nii": "NiftiImageIO",
    ".nii.gz": "NiftiImageIO",
    ".mha": "MetaImageIO",
    ".mhd": "MetaImageIO",
    ".nrrd": "NrrdImageIO",
    ".seg.nrrd": "NrrdImageIO",
    ".tif": "TIFFImageIO",
    ".tiff": "TIFFImageIO",
}
_ARRAY_NAMES = ("probability", "mask", "array")
_GEOMETRY_NAMES = ("spacing", "origin", "direction")
_NNUNET_NAMES = ("probabilities", "softmax")
_LONGEST_REASON = 300


def read_volume(path: Path) -> Volume:
    """Read a 2-D or 3-D image with one value per voxel.

    Compressed files are checked to their last byte. NumPy files are read without unpickling: ``.npy`` has no
    geometry; ``.npz`` must hold one array, or one named ``probability``, ``mask`` or ``array``, and may hold
    its ``spacing`` (mm, in the array's axis order), ``origin`` and ``direction`` (as in `Grid`). A TIFF's
    geometry counts as unknown, since the format has no place for slice distance and position. A ``.b2nd`` is read if
    TwinTrack wrote it.

    Args:
        path: A ``.nii``, ``.nii.gz``, ``.mha``, ``.mhd``, ``.nrrd``, ``.tif``, ``.npy``, ``.npz`` or ``.b2nd`` file.

    Returns:
        The voxels, (z, y, x) or (y, x), in the file's own type, with their grid and the path as name.

    Raises:
        InputError: If the file is missing, of no known format, damaged or cut short, or holds something other
            than one number per voxel of a 2-D or 3-D grid.
        OutputError: If there is no room to unpack it.
    """
    ending = _require_file(path)
    with _reading(path):
        if ending in ARRAY_ENDINGS:
            return _read_arrays(path, ending)
        with unpacked(path, ending) as plain:
            reader = _open(plain, ending, path)
            array = sitk.GetArrayFromImage(reader.Execute())
            if ending in (".nii", ".nii.gz"):
                nifti.restore_not_finite(array, plain)
        grid = _grid(reader, ending)
        return Volume(array.reshape(grid.shape), grid, str(path))


def read_grid(path: Path) -> Grid:
    """Read where an image's voxels lie, from its header where it has one.

    Args:
        path: An image file of any format `read_volume` reads. NumPy files are read whole.

    Returns:
        The grid.

    Raises:
        InputError: If the file is missing, of no known format, has a damaged header or holds something other
            than one number per voxel of a 2-D or 3-D grid. Damaged voxels are not noticed.
    """
    ending = _require_file(path)
    with _reading(path):
        if ending in ARRAY_ENDINGS:
            return _read_arrays(path, ending).grid
        _check_header(path, ending)
        return _grid(_open(path, ending, path), ending)


def _require_file(path: Path) -> str:
    """Check what can be said without opening the file; give its ending."""
    if path.is_dir():
        raise InputError(f"{path}: is a folder; an image file is expected")
    if not path.is_file():
        raise InputError(f"{path}: there is no such file")
    ending = require_ending(path)
    if path.stat().st_size == 0:
        raise InputError(f"{path}: the file is empty (0 bytes)")
    return ending


@contextlib.contextmanager
def _reading(path: Path) -> Iterator[None]:
    """Turn what the libraries raise into words, and keep SimpleITK from printing."""
    try:
        with quiet():
            yield
    except GeometryError as error:
        raise InputError(f"{path}: {error}") from error
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or error}") from error
    except RuntimeError as error:
        raise InputError(f"{path}: {_reason(error)}") from error


def _reason(error: RuntimeError) -> str:
    """Shorten SimpleITK's many lines to what they say."""
    text = str(error)
    if "orthonormal" in text:
        return (
            "the header's orientation is not orthonormal (sheared or scaled axes). Repair the sform and "
            "qform, or resample the image to a rectangular grid."
        )
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    errors = [line for line in lines if "ERROR:" in line]
    # NRRD's reader puts the cause last, below the names of the functions it fell through.
    said = lines[-1] if "[nrrd]" in text or not errors else errors[0]
    # What was unpacked has a name of its own, which would tell the reader nothing.
    said = re.sub(r"\S*twintrack-\w+[/\\]", "", said)
    said = re.sub(r"^\w+(::)?\s*ERROR: (\w+\(0x[0-9a-f]+\): )?", "", said)
    return f"SimpleITK cannot read it: {said[:_LONGEST_REASON]}"


def _open(file: Path, ending: str, path: Path) -> Any:
    """Read the header and refuse what is not one number per voxel in 2-D or 3-D, before voxels are read."""
    reader = sitk.ImageFileReader()
    reader.SetImageIO(_READERS[ending])
    reader.SetFileName(str(file))
    reader.ReadImageInformation()
    if reader.GetNumberOfComponents() != 1:
        kind = sitk.GetPixelIDValueAsString(reader.GetPixelIDValue())
        raise InputError(
            f"{path}: each voxel holds {reader.GetNumberOfComponents()} numbers ({kind}); one is expected. "
            "Export one image per channel or segment."
        )
    size = reader.GetSize()
    if not (len(size) in (2, 3) or (len(size) == 4 and size[3] == 1)):
        raise InputError(
            f"{path}: a 2-D or 3-D image is expected; this one has {len(size)} axes, (x, y, z, …) = {size}"
        )
    return reader


def _check_header(path: Path, ending: str) -> None:
    """Refuse headers that SimpleITK would print about or misread."""
    if ending in (".nii", ".nii.gz"):
        nifti.parse_header(read_nifti_head(path), path=path)
    if ending in (".mha", ".mhd"):
        metaimage.read_header(path)
    if ending in (".tif", ".tiff"):
        tiff.require_whole(path)


def _grid(reader: Any, ending: str) -> Grid:
    """Take the grid from SimpleITK, which gives (x, y, z); a fourth axis of one voxel is dropped."""
    n = min(reader.GetDimension(), 3)
    shape = tuple(int(size) for size in reader.GetSize()[:n][::-1])
    if ending in (".tif", ".tiff"):
        return Grid.plain(shape)
    direction = np.reshape(reader.GetDirection(), (reader.GetDimension(), -1))[:n, :n]
    return Grid(
        shape=shape,
        spacing=tuple(reader.GetSpacing()[:n][::-1]),
        origin=tuple(reader.GetOrigin()[:n]),
        direction=tuple((direction + 0.0).ravel().tolist()),  # -0 becomes 0
    )


def _read_arrays(path: Path, ending: str) -> Volume:
    """Read a file that SimpleITK does not know."""
    if ending == ".b2nd":
        array, grid = blosc.read_b2nd(path)
        return Volume(_require_voxels(array, path), grid, str(path))
    if ending == ".npy":
        array = npz.read_npy(path)
        return Volume(_require_voxels(array, path), Grid.plain(array.shape), str(path))
    names = npz.array_names(path)
    array = _require_voxels(npz.read_member(path, _array_name(names, path)), path)
    if "spacing" not in names:
        return Volume(array, Grid.plain(array.shape), str(path))
    given = {name: _numbers(path, name) for name in _GEOMETRY_NAMES if name in names}
    plain = Grid.plain(array.shape, spacing=given["spacing"])
    origin, direction = given.get("origin", plain.origin), given.get("direction", plain.direction)
    grid = Grid(shape=plain.shape, spacing=plain.spacing, origin=origin, direction=direction)
    return Volume(array, grid, str(path))


def _numbers(path: Path, name: str) -> tuple[float, ...]:
    array = npz.read_member(path, name)
    if array.dtype.kind not in "iuf":
        raise InputError(f"{path}: {name} must be numbers; its type is {array.dtype}")
    return tuple(float(number) for number in array.ravel())


def _array_name(names: tuple[str, ...], path: Path) -> str:
    """Choose the array that is the image."""
    arrays = [name for name in names if name not in _GEOMETRY_NAMES]
    wanted = [name for name in arrays if name in _ARRAY_NAMES] or arrays
    if len(wanted) == 1 and wanted[0] not in _NNUNET_NAMES:
        return wanted[0]
    hint = ""
    if set(wanted) & set(_NNUNET_NAMES):
        hint = " This is nnU-Net's output; read it with read_probability."
    raise InputError(
        f"{path}: it must hold exactly one array, or one named {', '.join(_ARRAY_NAMES)}; it holds "
        f"{', '.join(names) or 'nothing'}.{hint}"
    )


def _require_voxels(array: NDArray[Any], path: Path) -> NDArray[Any]:
    if array.dtype.kind not in "biuf":
        raise InputError(f"{path}: voxels must be real numbers; the array's type is {array.dtype}")
    if array.ndim not in (2, 3) or array.size == 0:
        raise InputError(f"{path}: a 2-D or 3-D image is expected; the array's shape is {array.shape}")
    return array
