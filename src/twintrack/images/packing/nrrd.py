"""Reads NRRD headers as far as needed to find and check compressed voxels.

Pitfall: SimpleITK stops reading the gzip stream before its checksum and does not see when that fails.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from twintrack.errors import InputError

_LONGEST_HEADER = 1 << 20


@dataclass(frozen=True)
class Header:
    """A NRRD header.

    Attributes:
        lines: Its lines with their line ends, the empty one that ends it included.
        offset: Where it ends, in bytes; the voxels follow.
        compressed: Whether the voxels are a gzip stream.
    """

    lines: tuple[bytes, ...]
    offset: int
    compressed: bool

    def with_encoding(self, encoding: str) -> bytes:
        """Write the header anew for voxels in another encoding.

        Args:
            encoding: ``"raw"`` or ``"gzip"``.

        Returns:
            The header's bytes; every other field is as it was.
        """
        return b"".join(
            b"encoding: %s\n" % encoding.encode() if _key(line) == "encoding" else line for line in self.lines
        )


def read_header(path: Path) -> Header:
    """Read a NRRD header.

    Args:
        path: A ``.nrrd`` file.

    Returns:
        The header.

    Raises:
        InputError: If it is not a NRRD header, is cut short, or says that the voxels are elsewhere or
            encoded otherwise than raw or gzip.
        OSError: If the file cannot be read.
    """
    lines: list[bytes] = []
    with path.open("rb") as file:
        if file.read(4) != b"NRRD":
            raise InputError(f"{path}: does not begin with a NRRD header; is it another format under a wrong name?")
        file.seek(0)
        while not lines or lines[-1].strip():
            lines.append(file.readline(_LONGEST_HEADER))
            if not lines[-1] or file.tell() > _LONGEST_HEADER:
                raise InputError(f"{path}: the NRRD header is cut short: no empty line ends it")
    fields = {_key(line): line.split(b":", 1)[1].strip().decode("utf-8", "replace") for line in lines if b":" in line}
    _require_plain(fields, path)
    return Header(tuple(lines), sum(map(len, lines)), fields.get("encoding", "").lower() in ("gzip", "gz"))


def _key(line: bytes) -> str:
    return line.split(b":", 1)[0].strip().decode("utf-8", "replace").lower()


def _require_plain(fields: dict[str, str], path: Path) -> None:
    encoding = fields.get("encoding", "").lower()
    if encoding not in ("raw", "gzip", "gz"):
        raise InputError(f"{path}: the NRRD encoding {encoding or '(none)'} is not read; only raw and gzip are")
    for key in ("data file", "datafile", "line skip", "lineskip", "byte skip", "byteskip"):
        if fields.get(key, "0") != "0":
            raise InputError(
                f"{path}: a NRRD with '{key}: {fields[key]}' is not read; store header and voxels together"
            )
