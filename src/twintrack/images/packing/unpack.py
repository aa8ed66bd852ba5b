"""Gives SimpleITK files it reads correctly: every voxel there, every checksum checked, nothing compressed.

Compressed voxels are inflated here, by isal, into a temporary file. That is as fast as SimpleITK's own way,
and checked: SimpleITK stops reading before the checksum that ends a stream, and in several formats reads files
that were cut short without a word.
"""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from twintrack.errors import InputError, OutputError
from twintrack.images.packing import metaimage, nifti, nrrd, tiff
from twintrack.images.packing.inflate import DAMAGED, gunzipped, inflated


@contextlib.contextmanager
def unpacked(path: Path, ending: str) -> Iterator[Path]:
    """Check an image file and give one that SimpleITK can read.

    Args:
        path: The file.
        ending: Its ending, as `twintrack.images.formats.image_ending` gives it.

    Yields:
        The file itself, or an uncompressed temporary of the same format, deleted afterwards.

    Raises:
        InputError: If the file is cut short, fails its checksum or has a damaged header.
        OutputError: If there is no room for the temporary.
        OSError: If the file cannot be read.
    """
    unpackers = {
        ".nii.gz": _nifti_gz,
        ".nrrd": _nrrd,
        ".seg.nrrd": _nrrd,
        ".mha": _metaimage,
        ".mhd": _metaimage,
    }
    with contextlib.ExitStack() as stack:
        if ending in unpackers:
            yield unpackers[ending](path, stack)
            return
        check = _require_nifti_voxels if ending == ".nii" else tiff.require_whole
        check(path)
        yield path


@contextlib.contextmanager
def scratch_folder() -> Iterator[Path]:
    """Make a folder for temporaries, deleted afterwards.

    Yields:
        The folder, in the place the environment variable TMPDIR names or the system's own.

    Raises:
        OutputError: If none can be made.
    """
    try:
        folder = tempfile.TemporaryDirectory(prefix="twintrack-")
    except OSError as error:
        raise OutputError(
            f"cannot make a temporary folder: {error}; let TMPDIR name one that can be written"
        ) from error
    with folder as name:
        yield Path(name)


def read_nifti_head(path: Path) -> bytes:
    """Read the first bytes of a NIfTI file, gzip-compressed or not.

    Args:
        path: A ``.nii`` or ``.nii.gz`` file.

    Returns:
        Its first decompressed bytes, as many as `twintrack.images.packing.nifti.parse_header` needs.

    Raises:
        InputError: If it is compressed and damaged at its beginning.
        OSError: If the file cannot be read.
    """
    with path.open("rb") as file:
        if not _is_gzip(file) or path.name.lower().endswith(".nii"):
            return file.read(nifti.HEADER_BYTES)
        with _reading(path):
            return next(gunzipped(file, chunk=nifti.HEADER_BYTES), b"")


def _nifti_gz(path: Path, stack: contextlib.ExitStack) -> Path:
    with path.open("rb") as file:
        # Uncompressed files under this name exist: programs that go through zlib read them as they are.
        if not _is_gzip(file):
            _require_nifti_voxels(path)
            return path
        target = stack.enter_context(scratch_folder()) / "image.nii"
        _write_chunks(path, target, b"", gunzipped(file))
    _require_nifti_voxels(path, target)
    return target


def _require_nifti_voxels(path: Path, unpacked: Path | None = None) -> None:
    plain = unpacked or path
    with plain.open("rb") as file:
        header = nifti.parse_header(file.read(nifti.HEADER_BYTES), path=path)
    _require_bytes(plain.stat().st_size - header.offset, header.voxel_bytes, path)


def _metaimage(path: Path, stack: contextlib.ExitStack) -> Path:
    header = metaimage.read_header(path)
    source, offset = (path, header.offset) if header.data_file is None else (header.data_file, 0)
    available = source.stat().st_size - offset
    if not header.compressed:
        _require_bytes(available, header.voxel_bytes, source)
        return path
    length = available if header.compressed_bytes is None else header.compressed_bytes
    _require_bytes(available, length, source)
    target = stack.enter_context(scratch_folder()) / "image.mha"
    head = header.with_compression(None)
    with source.open("rb") as file:
        file.seek(offset)
        _write_chunks(source, target, head, inflated(file, length))
    found = target.stat().st_size - len(head)
    _require_bytes(found, header.voxel_bytes, source)
    if found > header.voxel_bytes:
        raise InputError(
            f"{source}: damaged: the header promises {header.voxel_bytes} bytes of voxels, there are {found}"
        )
    return target


def _nrrd(path: Path, stack: contextlib.ExitStack) -> Path:
    # SimpleITK itself refuses a NRRD with too few voxels.
    header = nrrd.read_header(path)
    if not header.compressed:
        return path
    target = stack.enter_context(scratch_folder()) / "image.nrrd"
    with path.open("rb") as file:
        file.seek(header.offset)
        _write_chunks(path, target, header.with_encoding("raw"), gunzipped(file))
    return target


def _require_bytes(found: int, expected: int, path: Path) -> None:
    if found < expected:
        raise InputError(
            f"{path}: cut short: the header promises {expected} bytes of voxels, {max(found, 0)} are there. "
            "Copy or export the file again."
        )


def _is_gzip(file: BinaryIO) -> bool:
    magic = file.read(2)
    file.seek(0)
    return magic == b"\x1f\x8b"


@contextlib.contextmanager
def _reading(path: Path) -> Iterator[None]:
    """Turn what the decompressors raise into words."""
    try:
        yield
    except EOFError as error:
        raise InputError(f"{path}: cut short: the compressed data ends early. Copy or export it again.") from error
    except DAMAGED as error:
        raise InputError(f"{path}: damaged: {error}. Copy or export the file again.") from error


def _write_chunks(path: Path, target: Path, head: bytes, chunks: Iterator[bytes]) -> None:
    try:
        with _reading(path), target.open("wb") as file:
            file.write(head)
            for chunk in chunks:
                file.write(chunk)
    except OSError as error:
        raise OutputError(
            f"cannot unpack {path} into {target.parent}: {error.strerror or error}; "
            "let TMPDIR name a folder with more room"
        ) from error
