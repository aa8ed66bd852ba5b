"""Makes up for what the NIfTI reader in SimpleITK passes over in silence.

Pitfalls: a file that was cut short, or whose size along an axis is negative, is read without a word, the missing
voxels being zeros or whatever was in memory; a voxel size of 0 becomes 1 mm; where sform gives another voxel
size than pixdim, one of them is taken; NaN and infinity become 0.
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

HEADER_BYTES = 352
"""How much of the file `parse_header` needs."""

LARGEST = 32767
"""Most voxels along an axis: the header has 16 bits for them."""

_VOXELS_AT_A_TIME = 1 << 20

# Where the standard's nifti1.h has the fields.
_DIM, _DATATYPE, _PIXDIM, _VOX_OFFSET, _SFORM_CODE, _SROW, _MAGIC = 40, 70, 76, 108, 254, 280, 344

_SIZE_TOLERANCE = 0.01  # part of a voxel's size; pixdim and sform are both float32, but some writers round one

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
    order = _byte_order(head, path)
    dim = struct.unpack_from(order + "8h", head, _DIM)
    if not 1 <= dim[0] <= 7 or min(dim[1 : dim[0] + 1]) < 1:
        raise InputError(f"{path}: the NIfTI header is damaged: dim is {dim}")
    _check_sizes(head, order, min(dim[0], 3), path)
    (datatype,) = struct.unpack_from(order + "h", head, _DATATYPE)
    if datatype not in _BYTES_PER_VOXEL:
        raise InputError(f"{path}: the NIfTI datatype {datatype} is not known")
    (offset,) = struct.unpack_from(order + "f", head, _VOX_OFFSET)
    if not math.isfinite(offset) or offset < 0:
        raise InputError(f"{path}: the NIfTI header is damaged: vox_offset is {offset}")
    voxel_bytes = math.prod(dim[1 : dim[0] + 1]) * _BYTES_PER_VOXEL[datatype]
    float_type = {16: order + "f4", 64: order + "f8"}.get(datatype)
    return Header(max(int(offset), _MAGIC + 4), voxel_bytes, float_type)


def with_shape(head: bytes, shape: tuple[int, ...]) -> bytes:
    """Put another size into a header.

    Args:
        head: A header in this machine's byte order.
        shape: Number of voxels along each array axis, (z, y, x) or (y, x), at most `LARGEST` each.

    Returns:
        The header of an image of that shape.
    """
    changed = bytearray(head)
    struct.pack_into(f"={len(shape)}h", changed, _DIM + 2, *shape[::-1])
    return bytes(changed)


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


def _check_sizes(head: bytes, order: str, axes: int, path: Path) -> None:
    """Refuse voxel sizes that are missing, or that pixdim and sform give differently."""
    pixdim = struct.unpack_from(order + "8f", head, _PIXDIM)[1 : axes + 1]
    if not all(math.isfinite(size) and size != 0 for size in pixdim):
        raise InputError(
            f"{path}: the NIfTI header gives voxel sizes {pixdim} (x, y, z); they must be finite and not 0. "
            "Repair pixdim in the header."
        )
    if struct.unpack_from(order + "h", head, _SFORM_CODE)[0] == 0:
        return
    sform = np.frombuffer(head, order + "f4", 12, _SROW).reshape(3, 4)[:, :axes].astype(np.float64)
    sizes = np.linalg.norm(sform, axis=0)
    if sizes.any() and not np.allclose(sizes, np.abs(pixdim), rtol=_SIZE_TOLERANCE):
        raise InputError(
            f"{path}: the NIfTI header contradicts itself: voxel sizes {pixdim} (x, y, z) by pixdim, "
            f"{tuple(sizes.tolist())} by sform. Repair the header."
        )


def _byte_order(head: bytes, path: Path) -> str:
    """Tell the byte order by the header's first number, its own length, and check the magic word."""
    if head[:2] == b"\x1f\x8b":
        raise InputError(f"{path}: holds gzip-compressed data; rename it to end in .nii.gz")
    length = head[:4]
    if length in (struct.pack("<i", 540), struct.pack(">i", 540)):
        raise InputError(f"{path}: NIfTI-2 is not read; convert it to NIfTI-1 or another format")
    if head[_MAGIC : _MAGIC + 4] == b"n+1\0" and length in (struct.pack("<i", 348), struct.pack(">i", 348)):
        return "<" if length == struct.pack("<i", 348) else ">"
    raise InputError(
        f"{path}: does not begin with the header of a single-file NIfTI image; is it another format under a "
        "wrong name, or a damaged file?"
    )
