"""What no route from nnU-Net's files can do without: every member is inflated, by isal, in a thread of its own.

Nothing is kept, checked or computed. Run: python inflating.py MEMBER.npz MEMBER.npz …
"""

from __future__ import annotations

import struct
import sys
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from isal import igzip_lib

PACKED, PLAIN = 1 << 20, 1 << 20


def main(*members: str) -> None:
    """Inflate the members."""
    with ThreadPoolExecutor(len(members)) as pool:
        list(pool.map(inflate, members))


def inflate(member: str) -> None:
    """Inflate the only array of a file."""
    with Path(member).open("rb") as file, zipfile.ZipFile(file) as archive:
        (info,) = archive.infolist()
        file.seek(info.header_offset)
        file.seek(sum(struct.unpack("<26xHH", file.read(30))), 1)
        stream = igzip_lib.IgzipDecompressor(flag=igzip_lib.DECOMP_DEFLATE)
        while not stream.eof:
            stream.decompress(file.read(PACKED) if stream.needs_input else b"", PLAIN)


if __name__ == "__main__":
    main(*sys.argv[1:])
