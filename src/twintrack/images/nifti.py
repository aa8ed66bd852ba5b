"""Makes up for what the NIfTI reader in SimpleITK passes over in silence.

Pitfalls: a file that was cut short, or whose size along an axis is negative, is read without a word, the missing
voxels being zeros or whatever was in memory; a voxel size of 0 becomes 1 mm; NaN and infinity become 0.
"""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from twintrack.errors import InputError

_VOXELS_AT_A_TIME = 1 << 20

HEADER_BYTES = 540
"""How much of the file `parse_header` needs: the longer of the two header versions."""


@dataclass(frozen=True)
class _Fields:
    """Where one version of the standard keeps the fields."""

    magic: tuple[int, bytes]
    dim: tuple[int, str]
    datatype: int
    pixdim: tuple[int, str]
    vox_offset: tuple[int, str]


# The standard's nifti1.h and nifti2.h; the version is told by the header's first number, its own length.
_VERSIONS = {
    348: _Fields((344, b"n+1\0"), (40, "8h"), 70, (76, "8f"), (108, "f")),
    540: _Fields((4, b"n+2\0\r\n\x1a\n"), (16, "8q"), 12, (104, "8d"), (168, "q")),
}

_BYTES_PER_VOXEL = {
    2: 1,  # uint8
    4: 2,  # int16
    8: 4,  # int32
    16: 4,  # float32
    32: 8,  # complex64
    64: 8,  # float64
    128: 3,  # RGB
    256: 1,  # int8
    512: 2,  # uint16
    768: 4,  # uint32
    1024: 8,  # int64
    1280: 8,  # uint64
    1792: 16,  # complex128
    2304: 4,  # RGBA
}


@dataclass(frozen=True)
class Header:
    """What was found: all lengths in bytes.

    Attributes:
        offset: Where the voxels begin.
        voxel_bytes: How long they are.
        float_type: NumPy's name of their type, where they are real floating-point numbers.
    """

    offset: int
    voxel_bytes: int
    float_type: str | None


def parse_header(head: bytes, *, path: Path) -> Header:
    """Check a NIfTI header and find where the voxels lie.

    Args:
        head: The first `HEADER_BYTES` bytes of the (decompressed) file, or all of it if it is shorter.
        path: The file, for messages.

    Returns:
        Where the voxels begin and how many bytes they take.

    Raises:
        InputError: If this is no NIfTI header or it contradicts itself.
    """
    order, fields = _version(head, path)
    dim = struct.unpack_from(order + fields.dim[1], head, fields.dim[0])
    if not 1 <= dim[0] <= 7 or min(dim[1 : dim[0] + 1]) < 1:
        raise InputError(f"{path}: the NIfTI header is damaged: dim is {dim}")
    pixdim = struct.unpack_from(order + fields.pixdim[1], head, fields.pixdim[0])[1 : min(dim[0], 3) + 1]
    # Pitfall: the NIfTI library turns a voxel size of 0 into 1 mm without a word.
    if not all(math.isfinite(size) and size != 0 for size in pixdim):
        raise InputError(
            f"{path}: the NIfTI header gives voxel sizes {pixdim} (x, y, z); they must be finite and not 0. "
            "Repair pixdim in the header."
        )
    (datatype,) = struct.unpack_from(order + "h", head, fields.datatype)
    if datatype not in _BYTES_PER_VOXEL:
        raise InputError(f"{path}: the NIfTI datatype {datatype} is not known")
    (offset,) = struct.unpack_from(order + fields.vox_offset[1], head, fields.vox_offset[0])
    if not math.isfinite(offset) or offset < 0:
        raise InputError(f"{path}: the NIfTI header is damaged: vox_offset is {offset}")
    voxel_bytes = math.prod(dim[1 : dim[0] + 1]) * _BYTES_PER_VOXEL[datatype]
    float_type = {16: order + "f4", 64: order + "f8"}.get(datatype)
    return Header(max(int(offset), fields.magic[0] + 4), voxel_bytes, float_type)


def restore_not_finite(array: NDArray[Any], path: Path) -> None:
    """Put NaN and infinity back where the reader made them 0, so that who checks for them finds them.

    Args:
        array: The voxels as they were read, C-contiguous; changed in place.
        path: The uncompressed file they were read from.
    """
    with path.open("rb") as file:
        header = parse_header(file.read(HEADER_BYTES), path=path)
        if header.float_type is None:
            return
        file.seek(header.offset)
        voxels = array.reshape(-1)
        for start in range(0, voxels.size, _VOXELS_AT_A_TIME):
            part = voxels[start : start + _VOXELS_AT_A_TIME]
            stored = np.fromfile(file, header.float_type, part.size)
            lost = ~np.isfinite(stored)
            part[lost] = stored[lost]


def _version(head: bytes, path: Path) -> tuple[str, _Fields]:
    """Tell byte order and version by the header's own length, then check the magic word."""
    for order in "<>":
        fields = _VERSIONS.get(struct.unpack(order + "i", head[:4])[0]) if len(head) >= 4 else None
        if fields is not None:
            place, magic = fields.magic
            if head[place : place + len(magic)] != magic:
                break
            return order, fields
    if head[:2] == b"\x1f\x8b":
        raise InputError(f"{path}: holds gzip-compressed data; rename it to end in .nii.gz")
    raise InputError(
        f"{path}: does not begin with a NIfTI header (single-file NIfTI-1 or NIfTI-2); is it another format "
        "under a wrong name, or a damaged file?"
    )
