"""Checks that a TIFF file is one stack of equal pages, all of them whole.

Pitfall: SimpleITK reads as many pages of a truncated stack as it finds and gives a smaller image; a page of another
layout makes it write outside its memory.
Source: TIFF 6.0 specification, sections 2 and 8; BigTIFF is the same with 8-byte offsets.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from twintrack.errors import InputError

_OFFSETS, _BYTE_COUNTS, _COMPRESSION, _SUBFILE = 273, 279, 259, 254
_WIDTH, _LENGTH, _BITS, _SAMPLES = 256, 257, 258, 277
# Tags that must be the same on every page, with what the standard takes where they are missing (None: required).
_LAYOUT = {
    _SUBFILE: 0,
    _WIDTH: None,
    _LENGTH: None,
    _BITS: None,
    _COMPRESSION: 1,
    262: None,  # photometric interpretation
    _SAMPLES: 1,
    284: 1,  # planar configuration
    339: 1,  # sample format
}
_COMPRESSIONS = (1, 5, 8, 32773, 32946)  # none, LZW, deflate, PackBits, deflate by its older number
_NUMBERS = {3: "H", 4: "I", 16: "Q"}
_BYTES = {  # by type
    **dict.fromkeys((1, 2, 6, 7), 1),
    **dict.fromkeys((3, 8), 2),
    **dict.fromkeys((4, 9, 11, 13), 4),
    **dict.fromkeys((5, 10, 12, 16, 17, 18), 8),
}


@dataclass(frozen=True)
class _Form:
    """Byte order, and struct letters of a directory's counts and offsets: classic or BigTIFF."""

    order: str
    count: str
    offset: str


_Tags = dict[int, tuple[int, ...]]


def require_whole(path: Path) -> None:
    """Check that a TIFF file holds all voxels of all its pages and that the pages are alike.

    Args:
        path: A ``.tif`` or ``.tiff`` file.

    Raises:
        InputError: If it is not a TIFF file, is cut short or damaged, or is not made of equal pages in strips.
        OSError: If the file cannot be read.
    """
    with path.open("rb") as file:
        head = file.read(16)
        form = {
            b"II*\0": _Form("<", "H", "I"),
            b"MM\0*": _Form(">", "H", "I"),
            b"II+\0": _Form("<", "Q", "Q"),
            b"MM\0+": _Form(">", "Q", "Q"),
        }.get(head[:4])
        if form is None or len(head) < 16:
            raise InputError(f"{path}: does not begin with a TIFF header; is it another format under a wrong name?")
        try:
            _check(file, form, path.stat().st_size)
        except (struct.error, ValueError, OverflowError) as error:
            raise InputError(f"{path}: the TIFF file is damaged, cut short or of a kind not read: {error}") from error


def _check(file: BinaryIO, form: _Form, size: int) -> None:
    """Follow the chain of pages; raise ValueError or struct.error where something is wrong."""
    layouts: set[tuple[int | None, ...]] = set()
    seen: set[int] = set()
    place = 4 if form.offset == "I" else 8
    while (directory := _unpack(file, form.order + form.offset, place)[0]) or not seen:
        if directory in seen:
            raise ValueError("the chain of pages is a circle")
        seen.add(directory)
        tags, place = _directory(file, form, directory, size)
        layouts.add(_page_layout(tags, size))
        if len(layouts) > 1:
            raise ValueError("its pages differ in size or type")


def _page_layout(tags: _Tags, size: int) -> tuple[int | None, ...]:
    """Check one page and give what must be the same on all."""
    layout = {tag: tags[tag][0] if tag in tags else default for tag, default in _LAYOUT.items()}
    if None in layout.values() or not {_OFFSETS, _BYTE_COUNTS} <= set(tags):
        raise ValueError("a page lacks tags, or is stored in tiles")
    if layout[_SUBFILE] not in (0, 2):
        raise ValueError("a page is a preview or a mask of another")
    if layout[_COMPRESSION] not in _COMPRESSIONS:
        raise ValueError(f"compression {layout[_COMPRESSION]}")
    if any(a + b > size for a, b in zip(tags[_OFFSETS], tags[_BYTE_COUNTS], strict=True)):
        raise ValueError("voxels lie behind the end of the file")
    row = -(-tags[_WIDTH][0] * tags[_BITS][0] * (layout[_SAMPLES] or 1) // 8)
    if layout[_COMPRESSION] == 1 and sum(tags[_BYTE_COUNTS]) < row * tags[_LENGTH][0]:
        raise ValueError("a page has fewer voxels than its size says")
    return tuple(layout.values())


def _directory(file: BinaryIO, form: _Form, place: int, size: int) -> tuple[_Tags, int]:
    """Read one page's tags, and give where the place of the next page is written."""
    (entries,) = _unpack(file, form.order + form.count, place)
    place += struct.calcsize("=" + form.count)
    width = struct.calcsize("=" + form.offset)
    tags: _Tags = {}
    last = -1
    for _ in range(entries):
        tag, kind, count = _unpack(file, f"{form.order}HH{form.offset}", place)
        if tag <= last:
            raise ValueError("the tags are not in order")
        last = tag
        value = place + 4 + width
        length = count * _BYTES.get(kind, 1)
        if length > width:  # what does not fit into the entry lies where the entry says
            (value,) = _unpack(file, form.order + form.offset, value)
        if value + length > size:
            raise ValueError("a page's description lies behind the end of the file")
        if tag in _LAYOUT or tag in (_OFFSETS, _BYTE_COUNTS):
            if kind not in _NUMBERS or count < 1:
                raise ValueError("a tag's type or count is wrong")
            tags[tag] = _unpack(file, f"{form.order}{count}{_NUMBERS[kind]}", value)
        place += 4 + 2 * width
    return tags, place


def _unpack(file: BinaryIO, form: str, place: int) -> tuple[int, ...]:
    file.seek(place)
    return struct.unpack(form, file.read(struct.calcsize(form)))
