"""Files that lie behind an address (``s3://…``, ``https://…``): copied whole to this machine, read there.

The extra `remote` brings fsspec, which knows the protocols. SimpleITK needs local files, and the checks that readers
make need all bytes, so nothing is read through the network piece by piece.
"""

from __future__ import annotations

import contextlib
import errno
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from twintrack.errors import InputError, MissingExtraError, OutputError
from twintrack.images.formats import IMAGE_ENDINGS
from twintrack.images.nnunet import DESCRIPTION, is_nnunet_npz
from twintrack.images.nnunet_labels import read_output
from twintrack.images.packing.metaimage import named_data_file

CONNECTING, SILENCE = 20.0, 60.0
"""Seconds to wait for a web server to answer, and between two pieces of a file."""

# Pitfall: "C:/scans" is a folder of Windows, and a single slash is what Path makes of two.
_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+(::[A-Za-z][A-Za-z0-9+.-]+)*://")


def place_of(text: str | Path) -> Path | str:
    """Tell paths from addresses.

    Args:
        text: A path, an address such as ``s3://bucket/c1.nii.gz``, or ``file:///folder/c1.nii.gz``.

    Returns:
        The path of a file of this machine; the address, as text, of one that lies elsewhere.
    """
    if isinstance(text, Path) or not _ADDRESS.match(text):
        return Path(text)
    if not text.startswith("file://"):
        return text
    from urllib.request import url2pathname  # noqa: PLC0415  (imports all of http)

    return Path(url2pathname(urlsplit(text).path))


def name_of(address: str) -> str:
    """Give the file's name, without folders and query.

    Args:
        address: The address.

    Returns:
        The name: ``c1.nii.gz`` for ``https://host/a/c1.nii.gz?version=2``.
    """
    return address.partition("?")[0].rpartition("/")[2]


def sibling(address: str, name: str) -> str:
    """Give the address of another file in the same folder.

    Args:
        address: The address of a file.
        name: The other file's name.

    Returns:
        Its address, with the same query.
    """
    path, mark, query = address.partition("?")
    return f"{path.rpartition('/')[0]}/{name}{mark}{query}"


@contextlib.contextmanager
def called(address: str, folder: Path) -> Iterator[None]:
    """Let what goes wrong with a copy be said of where it came from.

    Args:
        address: The file's address.
        folder: The folder its copy is in.

    Raises:
        InputError: What was raised inside, with the address's folder in place of the copy's.
    """
    try:
        yield
    except InputError as error:
        raise type(error)(str(error).replace(str(folder), address.partition("?")[0].rpartition("/")[0])) from error


def fetch(address: str, folder: Path) -> Path:
    """Copy a file, and those beside it without which it cannot be read.

    Beside nnU-Net's ``<case>.npz`` these are ``dataset.json`` and the segmentation ``<case>.nii.gz`` (or another
    format), where they are there; beside an ``.mhd`` the file it names for its voxels.

    Args:
        address: The file.
        folder: An empty folder to copy to.

    Returns:
        The copy.

    Raises:
        InputError: If the address cannot be reached, has no such file, or gives less than it has.
        MissingExtraError: If fsspec, or the package that it needs for the protocol, is not installed.
        OutputError: If there is no room for the copy.
    """
    copy = _copy(address, folder)
    if copy.suffix.lower() == ".mhd" and (data := named_data_file(copy)) is not None:
        if Path(data).name != data:
            raise InputError(f"{address}: its voxels are in {data}, in another folder; store the image as .mha")
        _copy(sibling(address, data), folder)
    elif is_nnunet_npz(copy):
        fetch_if_there(sibling(address, DESCRIPTION), folder)
        for name in _segmentation_names(copy):
            if fetch_if_there(sibling(address, name), folder) is not None:
                break
    return copy


def fetch_if_there(address: str, folder: Path) -> Path | None:
    """Copy a file if there is one.

    Args:
        address: The file.
        folder: Where to copy it to.

    Returns:
        The copy, or None where the folder can be reached and holds no such file.

    Raises:
        InputError: If the address cannot be reached.
        MissingExtraError: If fsspec, or the package that it needs for the protocol, is not installed.
        OutputError: If there is no room for the copy.
    """
    try:
        return _copy(address, folder)
    except _NoSuchFileError:
        return None


class _NoSuchFileError(InputError):
    pass


def _segmentation_names(npz: Path) -> Iterator[str]:
    """Give the names that the segmentation beside nnU-Net's array can have, the likeliest first."""
    description = npz.with_name(DESCRIPTION)
    said = read_output(description).file_ending if description.is_file() else None
    for ending in dict.fromkeys((*((said,) if said in IMAGE_ENDINGS else ()), *IMAGE_ENDINGS)):
        yield npz.name[: -len(".npz")] + ending


def _copy(address: str, folder: Path) -> Path:
    system, path = _open(address)
    from fsspec.callbacks import Callback  # noqa: PLC0415  (an extra)

    target = folder / name_of(address)
    if target.name != name_of(address) or target.is_dir():
        raise InputError(f"{address}: is the address of a folder; that of a file is expected")
    told = Callback()  # it is told the size before the first byte arrives
    try:
        system.get_file(path, str(target), callback=told)
    except FileNotFoundError as error:
        raise _NoSuchFileError(f"{address}: there is no such file") from error
    except ImportError as error:
        raise _missing(address, error) from error
    except Exception as error:
        # Each protocol's package raises errors of its own, of no common kind.
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise OutputError(
                f"cannot copy {address} to {target}: {error.strerror}; let TMPDIR name a folder"
            ) from error
        raise InputError(f"{address}: cannot be fetched: {_said(error)}") from error
    if not target.is_file():
        raise InputError(f"{address}: is the address of a folder; that of a file is expected")
    found = target.stat().st_size
    if told.size is not None and found < told.size:
        raise InputError(f"{address}: was cut short on the way: {found} of {told.size} bytes arrived; try again")
    return target


def _open(address: str) -> tuple[Any, str]:
    try:
        from fsspec.core import url_to_fs  # noqa: PLC0415  (an extra)
    except ImportError as error:
        raise MissingExtraError(
            f"{address}: reading files by their address needs fsspec, which is not installed: "
            "pip install 'twintrack[remote]'"
        ) from error
    try:
        system, path = url_to_fs(address, **_options(address))
    except ImportError as error:
        raise _missing(address, error) from error
    except Exception as error:
        raise InputError(f"{address}: is no address that can be read: {_said(error)}") from error
    return system, path


def _options(address: str) -> dict[str, Any]:
    if not address.startswith(("http://", "https://")):
        return {}
    from aiohttp import ClientTimeout  # noqa: PLC0415  (an extra)

    # Pitfalls: by itself aiohttp ends what takes more than five minutes, and inflates what a server calls encoded, so
    # that a .nii.gz would not be one.
    patience = ClientTimeout(total=None, sock_connect=CONNECTING, sock_read=SILENCE)
    return {"client_kwargs": {"timeout": patience, "headers": {"Accept-Encoding": "identity"}}}


def _missing(address: str, error: ImportError) -> MissingExtraError:
    return MissingExtraError(f"{address}: a package for this kind of address is not installed: {error}")


def _said(error: Exception) -> str:
    """Give what an error says; some of those that networks raise say nothing but their kind."""
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
