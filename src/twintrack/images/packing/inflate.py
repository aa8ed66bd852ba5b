"""Inflates deflate, zlib and gzip streams piece by piece with isal, checking that they end."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from typing import Any, BinaryIO

from isal import igzip, igzip_lib, isal_zlib

CHUNK = 8 << 20
"""Bytes given out at a time: large against the cost of a call, small against an image."""

_isal_error: Any = isal_zlib.error  # its stub calls it an exception where it is a class of them
_igzip_error: Any = igzip_lib.error
DAMAGED: tuple[type[Exception], ...] = (igzip.BadGzipFile, zlib.error, _isal_error, _igzip_error)
"""What damaged streams raise."""

_ZLIB_OR_GZIP = 47  # window bits for a stream with either wrapper, told by its first bytes
_GzipFile: Any = igzip.IGzipFile  # its methods carry no types
_PACKED = 256 << 10  # deflate shrinks up to 1032-fold: small pieces, or what was not yet inflated is copied too often
_TAKEN = 1 << 20  # bytes taken from the file where what was not yet inflated is not copied


class Deflated:
    """A bare deflate stream (a zip member), read as a raw file is; all that was read is checked at its end.

    Args:
        file: Where to read, at the stream's beginning.
        packed: Bytes the compressed stream may take.
        size: Bytes it must inflate to.
        crc: Their CRC-32.
    """

    def __init__(self, file: BinaryIO, *, packed: int, size: int, crc: int) -> None:
        self._file, self._left = file, packed
        self._size, self._crc = size, crc
        # 8 % faster than the interface that looks like zlib's.
        self._stream = igzip_lib.IgzipDecompressor(flag=igzip_lib.DECOMP_DEFLATE)
        self._found, self._sum = 0, 0

    def read(self, size: int) -> bytes:
        """Read some of the next bytes.

        Args:
            size: How many at most, above 0.

        Returns:
            At least one byte; none at the end.

        Raises:
            EOFError: If the stream does not end within its length.
            Exception: One of `DAMAGED`, if it is damaged, or has another length or checksum than it must.
        """
        plain = b""
        while not plain and not self._stream.eof:
            packed = b""
            if self._stream.needs_input:
                packed = self._file.read(min(self._left, _TAKEN))
                self._left -= len(packed)
                if not packed:
                    raise EOFError
            plain = self._stream.decompress(packed, size)
        self._found += len(plain)
        self._sum = isal_zlib.crc32(plain, self._sum)
        if not plain and (self._found, self._sum) != (self._size, self._crc):
            raise zlib.error("what was stored fails its checksum")
        return plain

    def tell(self) -> int:
        """Say how many bytes were read."""
        return self._found


def inflated(file: BinaryIO, length: int) -> Iterator[bytes]:
    """Inflate a zlib or gzip stream that begins at the file's position.

    Args:
        file: Where to read.
        length: Bytes the compressed stream may take.

    Yields:
        At most `CHUNK` bytes at a time.

    Raises:
        EOFError: If the stream does not end within its length.
        Exception: One of `DAMAGED`, if it is damaged or fails its checksum.
    """
    inflate = isal_zlib.decompressobj(_ZLIB_OR_GZIP)
    while not inflate.eof:
        packed = inflate.unconsumed_tail
        if not packed:
            packed = file.read(min(length, _PACKED))
            length -= len(packed)
        plain = inflate.decompress(packed, CHUNK)
        if not packed and not plain and not inflate.eof:
            raise EOFError
        yield plain


def gunzipped(file: BinaryIO, *, chunk: int = CHUNK) -> Iterator[bytes]:
    """Inflate a gzip file, all its members, from the file's position to its end.

    Args:
        file: Where to read.
        chunk: Bytes to give out at a time.

    Yields:
        At most `chunk` bytes at a time.

    Raises:
        EOFError: If it is cut short.
        Exception: One of `DAMAGED`, if it is damaged, fails its checksum or length, or something follows it.
    """
    with _GzipFile(fileobj=file, mode="rb") as stream:
        while plain := stream.read(chunk):
            yield plain
