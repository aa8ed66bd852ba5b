"""Reads arrays from .npy and .npz files: fast, checked, and without ever unpickling.

The members of a ``.npz`` are inflated by isal, about twice as fast as `numpy.load`, and their checksums are compared.
Of an array of which only some rows are wanted, no more than these is ever in memory, and of one that is read in parts
no more than a part.
"""

from __future__ import annotations

import contextlib
import io
import math
import struct
import threading
import tokenize
import zipfile
from collections.abc import Generator, Iterator, Sequence
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np
from numpy.lib import format as npy_format
from numpy.typing import NDArray

from twintrack.errors import InputError
from twintrack.images.packing.inflate import DAMAGED, Deflated

# Deflate cannot shrink data further than this: a larger claim is false, and no memory is reserved for it.
_LARGEST_RATIO = 1032
_SLACK = 1024
_PIECE = 1 << 20  # bytes read at a time: stays in the second-level cache of most processors
_LONGEST_HEADER = 1 << 17
_DAMAGED: tuple[type[Exception], ...] = (*DAMAGED, zipfile.BadZipFile, struct.error)
_LOCAL_HEADER = struct.Struct("<26xHH")  # PKWARE APPNOTE 4.3.7: lengths of the name and of the extra field
_PARSING = threading.Lock()


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
    with _reading(path), _opened(path, name) as (member, size):
        return _parse(_read_whole(member, size), path, name)


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
    with _reading(path), _opened(path, name) as (member, _):
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
    with _reading(path), _opened(path, name) as (member, size):
        header = _read_header(member)
        if _holds_rows(header, size - member.tell()):
            return _read_rows(member, header, rows)
    return read_member(path, name)[list(rows)]  # which also says what is wrong


def read_row_in_parts(path: Path, name: str, row: int, *, most: int) -> Generator[NDArray[Any], None, None]:
    """Read one row of an array of a ``.npz`` file without ever holding it whole.

    What lies before and after the row is inflated and checked, too. Errors in what follows a part come after it: no
    part may be relied on before the last was given.

    Args:
        path: The file.
        name: The array's name.
        row: Index into its first axis.
        most: Numbers in a part.

    Yields:
        The row in C order, flat, `most` numbers at a time and the rest at the end, in native byte order; not writable.

    Raises:
        InputError: If it cannot be read, is cut short, fails its checksum or holds pickled objects.
    """
    with _reading(path), _opened(path, name) as (member, size):
        header = _read_header(member)
        if _holds_rows(header, size - member.tell()):
            row_bytes = _row_bytes(header)
            _skip(member, row * row_bytes)
            for start in range(0, row_bytes, most * header.dtype.itemsize):
                content = b"".join(_pieces(member, min(most * header.dtype.itemsize, row_bytes - start)))
                yield np.frombuffer(content, header.dtype).astype(header.dtype.newbyteorder("="), copy=False)
            _read_to_end(member)
            return
    values = read_member(path, name)[row].reshape(-1)  # which also says what is wrong
    yield from (values[start : start + most] for start in range(0, values.size, most))


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


@contextlib.contextmanager
def _opened(path: Path, name: str) -> Iterator[tuple[IO[bytes] | Deflated, int]]:
    """Open a member as a file, and say how long it is; its checksum is compared when its end is read."""
    with path.open("rb") as file, zipfile.ZipFile(file) as archive:
        info = archive.getinfo(f"{name}.npy")
        if info.compress_size > path.stat().st_size:
            raise EOFError
        if info.compress_type != zipfile.ZIP_DEFLATED or info.flag_bits & 1:
            with archive.open(info) as member:
                yield member, info.file_size
            return
        if info.file_size > info.compress_size * _LARGEST_RATIO + _SLACK:
            raise zipfile.BadZipFile(f"{info.filename} claims an impossible length")
        file.seek(info.header_offset)
        file.seek(sum(_LOCAL_HEADER.unpack(file.read(30))), io.SEEK_CUR)
        yield Deflated(file, packed=info.compress_size, size=info.file_size, crc=info.CRC), info.file_size


def _read_whole(file: IO[bytes] | Deflated, size: int) -> bytearray:
    content = bytearray(size)
    view, place = memoryview(content), 0
    while chunk := file.read(_PIECE):
        view[place : place + len(chunk)] = chunk
        place += len(chunk)
    if place != size:
        raise EOFError
    return content


def _holds_rows(header: Header, size: int) -> bool:
    """Say whether the rows lie one after the other, and nothing else."""
    plain = not (header.fortran_order or header.dtype.hasobject) and bool(header.shape)
    return plain and 0 < size == math.prod(header.shape) * header.dtype.itemsize


def _row_bytes(header: Header) -> int:
    return math.prod(header.shape[1:]) * header.dtype.itemsize


def _read_rows(member: IO[bytes] | Deflated, header: Header, rows: Sequence[int]) -> NDArray[Any]:
    """Read all, but keep only some rows."""
    kept = np.empty((len(rows), *header.shape[1:]), header.dtype)
    length, place = _row_bytes(header), 0
    for k in np.argsort(rows):
        _skip(member, rows[k] * length - place)
        target, start = kept[k : k + 1].reshape(-1).view(np.uint8).data, 0
        for piece in _pieces(member, length):
            target[start : start + len(piece)] = piece
            start += len(piece)
        place = (rows[k] + 1) * length
    _read_to_end(member)
    return kept.astype(header.dtype.newbyteorder("="), copy=False)


def _pieces(member: IO[bytes] | Deflated, size: int) -> Iterator[bytes]:
    while size:
        piece = member.read(min(size, _PIECE))
        if not piece:
            raise EOFError
        size -= len(piece)
        yield piece


def _skip(member: IO[bytes] | Deflated, size: int) -> None:
    for _ in _pieces(member, size):
        pass


def _read_to_end(member: IO[bytes] | Deflated) -> None:
    while member.read(_PIECE):
        pass


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


def _read_header(stream: IO[bytes] | Deflated) -> Header:
    version = npy_format.read_magic(stream)  # type: ignore[arg-type]  # which only reads
    read_header = npy_format.read_array_header_1_0 if version == (1, 0) else npy_format.read_array_header_2_0
    # Pitfall: NumPy parses the header as Python, and CPython before 3.13 counts the depth of all threads that parse at
    # once together ("AST constructor recursion depth mismatch").
    with _PARSING:
        return Header(*read_header(stream))  # type: ignore[arg-type]


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
