"""Reads MetaImage (.mha, .mhd) headers as far as needed to check that all voxels are there.

Pitfall: where compressed voxels are damaged, or their length is not in the header, SimpleITK's reader writes
"Uncompress failed" to the terminal and returns whatever was in memory as the image.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

from twintrack.errors import InputError

_LONGEST_HEADER = 1 << 20

_BYTES_PER_ELEMENT = {
    "MET_CHAR": 1,
    "MET_UCHAR": 1,
    "MET_SHORT": 2,
    "MET_USHORT": 2,
    "MET_INT": 4,
    "MET_UINT": 4,
    "MET_LONG": 4,  # 4 bytes in files, whatever the machine's long is
    "MET_ULONG": 4,
    "MET_LONG_LONG": 8,
    "MET_ULONG_LONG": 8,
    "MET_FLOAT": 4,
    "MET_DOUBLE": 8,
}


@dataclass(frozen=True)
class Header:
    """A MetaImage header.

    Attributes:
        lines: Its lines with their line ends, the last being ``ElementDataFile``.
        offset: Where it ends, in bytes; the voxels follow if they are in the same file.
        voxel_bytes: How many bytes the uncompressed voxels take.
        compressed: Whether the voxels are compressed.
        compressed_bytes: Their length then, where the header says so.
        data_file: The file that holds the voxels; None where they follow the header.
    """

    lines: tuple[bytes, ...]
    offset: int
    voxel_bytes: int
    compressed: bool
    compressed_bytes: int | None
    data_file: Path | None

    def with_compression(self, compressed_bytes: int | None) -> bytes:
        """Write the header anew for voxels that follow it.

        Args:
            compressed_bytes: Length of the compressed voxels; None for uncompressed ones.

        Returns:
            The header's bytes; fields other than compression and data file are as they were.
        """
        gone = (b"CompressedData", b"CompressedDataSize", b"HeaderSize", b"ElementDataFile")
        kept = [line for line in self.lines if _key_value(line)[0].encode() not in gone]
        if compressed_bytes is not None:
            kept.append(b"CompressedData = True\nCompressedDataSize = %d\n" % compressed_bytes)
        return b"".join([*kept, b"ElementDataFile = LOCAL\n"])


def read_header(path: Path) -> Header:
    """Read and check a MetaImage header.

    Args:
        path: An ``.mha`` or ``.mhd`` file.

    Returns:
        The header.

    Raises:
        InputError: If it is not a MetaImage header, lacks a field, or describes voxels that are not read
            here: written as text, spread over many files, or after a gap.
        OSError: If the file cannot be read.
    """
    lines, fields = _read_lines(path)
    if _is_true(fields.get("BinaryData", "True")) is False:
        raise InputError(f"{path}: voxels written as text (BinaryData = False) are not read; store them as binary")
    if fields.get("HeaderSize", "0") not in ("0", "-1"):
        raise InputError(f"{path}: a HeaderSize of {fields['HeaderSize']} is not read; store the image as .mha")
    size = fields.get("CompressedDataSize")
    return Header(
        lines=lines,
        offset=sum(map(len, lines)),
        voxel_bytes=_voxel_bytes(fields, path),
        compressed=_is_true(fields.get("CompressedData", "False")),
        compressed_bytes=None if size is None else _integers(size, "CompressedDataSize", path)[0],
        data_file=_data_file(fields["ElementDataFile"], path),
    )


def named_data_file(path: Path) -> str | None:
    """Say which file a header names for its voxels, whether or not it is there.

    Args:
        path: An ``.mhd`` file.

    Returns:
        The name as it is written; None where the voxels follow the header or are spread over many files.

    Raises:
        InputError: If it is not a MetaImage header.
        OSError: If the file cannot be read.
    """
    value = _read_lines(path)[1]["ElementDataFile"]
    return None if value.upper() == "LOCAL" or _is_spread(value) else value


def _read_lines(path: Path) -> tuple[tuple[bytes, ...], dict[str, str]]:
    """Read up to ElementDataFile, which the format requires to be the last field."""
    lines: list[bytes] = []
    fields: dict[str, str] = {}
    with path.open("rb") as file:
        while "ElementDataFile" not in fields and file.tell() < _LONGEST_HEADER:
            line = file.readline(_LONGEST_HEADER)
            if not line:
                break
            lines.append(line)
            key, value = _key_value(line)
            if line.strip() and not (key.isascii() and key.isidentifier()):
                raise InputError(f"{path}: not a MetaImage header, or a damaged one: line {len(lines)}")
            fields[key] = value
    for key in ("DimSize", "ElementType", "ElementDataFile", "NDims"):
        if not fields.get(key):
            raise InputError(f"{path}: not a MetaImage header, or one cut short: it has no {key}")
    return tuple(lines), fields


def _key_value(line: bytes) -> tuple[str, str]:
    text = line.decode("utf-8", "replace")
    key, sign, value = text.partition("=") if "=" in text else text.partition(":")
    # Not every blank Python strips: the C++ reader would see another value.
    return (key.strip() if sign else ""), value.strip(" \t\r\n")


def _is_true(value: str) -> bool:
    return value[:1] in ("T", "t", "1")


def _voxel_bytes(fields: dict[str, str], path: Path) -> int:
    sizes = _integers(fields["DimSize"], "DimSize", path)
    if len(sizes) != _integers(fields["NDims"], "NDims", path)[0]:
        raise InputError(f"{path}: NDims = {fields['NDims']}, but DimSize = {fields['DimSize']}")
    kind = fields["ElementType"].removesuffix("_ARRAY")
    if kind not in _BYTES_PER_ELEMENT:
        raise InputError(f"{path}: the ElementType {fields['ElementType']} is not known")
    channels = _integers(fields.get("ElementNumberOfChannels", "1"), "ElementNumberOfChannels", path)[0]
    return math.prod(sizes) * channels * _BYTES_PER_ELEMENT[kind]


def _integers(text: str, key: str, path: Path) -> list[int]:
    try:
        numbers = [int(word) for word in text.split()]
    except ValueError:
        numbers = []
    if not numbers or min(numbers) < 1:
        raise InputError(f"{path}: the MetaImage header is damaged: {key} = {text[:80]}")
    return numbers


def _is_spread(value: str) -> bool:
    """Say whether the voxels lie in many files."""
    return value.split(maxsplit=1)[0].upper() == "LIST" or "%" in value


def _data_file(value: str, path: Path) -> Path | None:
    if value.upper() == "LOCAL":
        return None
    if _is_spread(value):
        raise InputError(f"{path}: voxels spread over many files are not read; store the image as .mha")
    data = path.parent / value
    if not data.is_file():
        raise InputError(f"{path}: the file it names for its voxels is not there: {data}")
    return data
