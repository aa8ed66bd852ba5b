"""Inflates deflate, zlib and gzip streams piece by piece with isal, checking that they end."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from typing import Any, BinaryIO

from isal import igzip, isal_zlib

CHUNK = 8 << 20
"""Bytes given out at a time: large against the cost of a call, small against an image."""

DEFLATE = -15
"""Window bits for a bare deflate stream (zip members); nothing is checked but that it ends."""

ZLIB_OR_GZIP = 47
"""Window bits for a stream with either wrapper, told by its first bytes; its checksum is checked."""

_isal_error: Any = isal_zlib.error  # its stub calls it an exception where it is a class of them
DAMAGED: tuple[type[Exception], ...] = (igzip.BadGzipFile, zlib.error, _isal_error)
"""What damaged streams raise."""

_GzipFile: Any = igzip.IGzipFile  # its methods carry no types
_PACKED = 256 << 10  # deflate shrinks up to 1032-fold: small pieces, or what was not yet inflated is copied too often


def inflated(file: BinaryIO, length: int, *, window_bits: int) -> Iterator[bytes]:
    """Inflate a stream that begins at the file's position.

    Args:
        file: Where to read.
        length: Bytes the compressed stream may take.
        window_bits: `DEFLATE` or `ZLIB_OR_GZIP`.

    Yields:
        At most `CHUNK` bytes at a time.

    Raises:
        EOFError: If the stream does not end within its length.
        Exception: One of `DAMAGED`, if it is damaged or fails its checksum.
    """
    inflate = isal_zlib.decompressobj(window_bits)
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
