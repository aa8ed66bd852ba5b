"""Reads arrays from .npy and .npz files: fast, checked, and without ever unpickling.

The members of a ``.npz`` are inflated by isal straight into the memory the array then uses, about twice as fast as
`numpy.load`, and their checksums are compared. Of an array of which only some rows are wanted, no more than these is
ever in memory.
"""

from __future__ import annotations

import contextlib
import io
import math
import struct
import tokenize
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np
from isal import isal_zlib
from numpy.lib import format as npy_format
from numpy.typing import NDArray

from twintrack.errors import InputError
from twintrack.images.packing.inflate import CHUNK, DAMAGED, DEFLATE, inflated

# Deflate cannot shrink data further than this: a larger claim is false, and no memory is reserved for it.
_LARGEST_RATIO = 1032
_SLACK = 1024
_LONGEST_HEADER = 1 << 17
_DAMAGED: tuple[type[Exception], ...] = (*DAMAGED, zipfile.BadZipFile, struct.error)
_LOCAL_HEADER = struct.Struct("<26xHH")  # PKWARE APPNOTE 4.3.7: lengths of the name and of the extra field


class Header(NamedTuple):
    """What an array is.

    Attributes:
        shape: Its shape.
        fortran_order: Whether its first axis varies fastest.
        dtype: The type of its numbers, as it is stored.
    """

    shape: tuple[int, ...]
    fortran_order: bool
    dtype: np.dtype[Any]


def array_names(path: Path) -> tuple[str, ...]:
    """List the arrays of a ``.npz`` file.

    Args:
        path: The file.

    Returns:
        The arrays' names in the file's order.

    Raises:
        InputError: If it cannot be read or is no zip archive.
    """
    with _reading(path), zipfile.ZipFile(path) as archive:
        return tuple(name.removesuffix(".npy") for name in archive.namelist())


def read_member(path: Path, name: str) -> NDArray[Any]:
    """Read one array of a ``.npz`` file.

    Args:
        path: The file.
        name: The array's name.

    Returns:
        The array, writable, in native byte order.

    Raises:
        InputError: If it cannot be read, is cut short, fails its checksum or holds pickled objects.
    """
    with _reading(path), path.open("rb") as file, zipfile.ZipFile(file) as archive:
        info = _info(archive, name, path)
        if not _is_plain_deflate(info):
            with archive.open(info) as member:
                return _parse(_read_whole(member, info.file_size), path, name)
        return _parse(_inflate(file, info), path, name)


def read_header(path: Path, name: str) -> Header:
    """Read what an array of a ``.npz`` file is, without its content.

    Args:
        path: The file.
        name: The array's name.

    Returns:
        Its shape, type and order.

    Raises:
        InputError: If it cannot be read or holds pickled objects.
    """
    with _reading(path), zipfile.ZipFile(path) as archive, archive.open(_info(archive, name, path)) as member:
        header = _read_header(member)
        _require_no_objects(header, path, name)
        return header


def read_rows(path: Path, name: str, rows: Sequence[int]) -> NDArray[Any]:
    """Read some rows of an array of a ``.npz`` file.

    Args:
        path: The file.
        name: The array's name.
        rows: Indices into its first axis, different from each other.

    Returns:
        The array's rows, writable, in native byte order.

    Raises:
        InputError: If it cannot be read, is cut short, fails its checksum or holds pickled objects.
    """
    with _reading(path), path.open("rb") as file, zipfile.ZipFile(file) as archive:
        info = _info(archive, name, path)
        if _is_plain_deflate(info):
            with archive.open(info) as member:
                header, start = _read_header(member), member.tell()
            size = math.prod(header.shape) * header.dtype.itemsize
            if size and not header.fortran_order and not header.dtype.hasobject and info.file_size == start + size:
                return _inflate_rows(file, info, header, start, rows)
    return read_member(path, name)[list(rows)]  # which also says what is wrong


def read_npy(path: Path) -> NDArray[Any]:
    """Read a ``.npy`` file.

    Args:
        path: The file.

    Returns:
        The array, writable, in native byte order.

    Raises:
        InputError: If it cannot be read, is cut short or holds pickled objects.
    """
    with _reading(path), path.open("rb") as file:
        return _parse(_read_whole(file, path.stat().st_size), path, "the array")


def _read_whole(file: IO[bytes], size: int) -> bytearray:
    content = bytearray(size)
    view, place = memoryview(content), 0
    while chunk := file.read(CHUNK):
        view[place : place + len(chunk)] = chunk
        place += len(chunk)
    if place != size:
        raise EOFError
    return content


def _info(archive: zipfile.ZipFile, name: str, path: Path) -> zipfile.ZipInfo:
    info = archive.getinfo(f"{name}.npy")
    if info.compress_size > path.stat().st_size:
        raise EOFError
    return info


def _is_plain_deflate(info: zipfile.ZipInfo) -> bool:
    return info.compress_type == zipfile.ZIP_DEFLATED and not info.flag_bits & 1


def _inflate(file: io.BufferedReader, info: zipfile.ZipInfo) -> bytearray:
    _require_possible(info)
    content = bytearray(info.file_size)
    view, place = memoryview(content), 0
    for plain in _inflated(file, info):
        view[place : place + len(plain)] = plain
        place += len(plain)
    return content


def _inflate_rows(
    file: io.BufferedReader, info: zipfile.ZipInfo, header: Header, start: int, rows: Sequence[int]
) -> NDArray[Any]:
    """Inflate all, but keep only some rows."""
    _require_possible(info)
    kept = np.empty((len(rows), *header.shape[1:]), header.dtype)
    targets = [kept[k : k + 1].reshape(-1).view(np.uint8).data for k in range(len(rows))]
    length, place = targets[0].nbytes, 0
    for plain in _inflated(file, info):
        piece = memoryview(plain)
        for row, target in zip(rows, targets, strict=True):
            begin = start + row * length
            first, last = max(begin, place), min(begin + length, place + len(piece))
            if first < last:
                target[first - begin : last - begin] = piece[first - place : last - place]
        place += len(piece)
    return kept.astype(header.dtype.newbyteorder("="), copy=False)


def _require_possible(info: zipfile.ZipInfo) -> None:
    if info.file_size > info.compress_size * _LARGEST_RATIO + _SLACK:
        raise zipfile.BadZipFile(f"{info.filename} claims an impossible length")


def _inflated(file: io.BufferedReader, info: zipfile.ZipInfo) -> Iterator[bytes]:
    """Inflate a member piece by piece; its length and its checksum are compared at the end."""
    file.seek(info.header_offset)
    file.seek(sum(_LOCAL_HEADER.unpack(file.read(30))), io.SEEK_CUR)
    place, crc = 0, 0
    for plain in inflated(file, info.compress_size, window_bits=DEFLATE):
        crc = isal_zlib.crc32(plain, crc)
        place += len(plain)
        yield plain
    if place != info.file_size or crc != info.CRC:
        raise zipfile.BadZipFile(f"{info.filename} fails its checksum")


def _parse(content: bytearray, path: Path, name: str) -> NDArray[Any]:
    """Take an array out of the content of a ``.npy`` file without copying it."""
    stream = io.BytesIO(content[:_LONGEST_HEADER])
    header = _read_header(stream)
    _require_no_objects(header, path, name)
    shape, fortran_order, dtype = header
    size = math.prod(shape)
    if len(content) - stream.tell() != size * dtype.itemsize:
        raise EOFError
    array = np.frombuffer(content, dtype, size, stream.tell())
    array = array.reshape(shape, order="F" if fortran_order else "C")
    return array.astype(dtype.newbyteorder("="), copy=False)


def _require_no_objects(header: Header, path: Path, name: str) -> None:
    if header.dtype.hasobject:
        raise InputError(
            f"{path}: {name} holds Python objects; pickled content is never loaded, because loading it can "
            "run code. Save it again as a plain numeric array."
        )


def _read_header(stream: IO[bytes]) -> Header:
    version = npy_format.read_magic(stream)
    read_header = npy_format.read_array_header_1_0 if version == (1, 0) else npy_format.read_array_header_2_0
    return Header(*read_header(stream))


@contextlib.contextmanager
def _reading(path: Path) -> Iterator[None]:
    """Turn what zipfile, isal and numpy raise into words."""
    try:
        yield
    except EOFError as error:
        raise InputError(f"{path}: cut short: the data ends early. Copy or export the file again.") from error
    except _DAMAGED as error:
        raise InputError(f"{path}: damaged or cut short: {error}. Copy or export the file again.") from error
    except KeyError as error:
        raise InputError(f"{path}: {error.args[0]}") from error
    # zipfile raises RuntimeError for encrypted members and NotImplementedError for rare compressions; numpy
    # lets TokenError and SyntaxError through for some damaged headers.
    except (ValueError, RuntimeError, SyntaxError, tokenize.TokenError) as error:
        raise InputError(f"{path}: cannot be read as a NumPy file: {error}") from error
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or error}") from error
