"""SHA-256 of files, by which bundles notice changes and interrupted runs know what was done."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path

from twintrack.errors import InputError

_CHUNK = 1 << 20


def sha256_of(path: Path) -> str:
    """Hash a file.

    Args:
        path: The file.

    Returns:
        SHA-256 in hexadecimal, as `sha256sum` prints it.

    Raises:
        InputError: If it cannot be read.
    """
    digest = hashlib.sha256()
    try:
        with path.open("rb") as stream:
            while chunk := stream.read(_CHUNK):
                digest.update(chunk)
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or error}") from error
    return digest.hexdigest()


def sha256_of_all(paths: Iterable[Path]) -> str:
    """Hash several files as one thing.

    Args:
        paths: The files; their order counts, their names do not.

    Returns:
        The hash of a single file as `sha256_of` gives it; of several, SHA-256 of their hashes in hexadecimal.

    Raises:
        InputError: If one cannot be read.
    """
    hashes = [sha256_of(path) for path in paths]
    return hashes[0] if len(hashes) == 1 else hashlib.sha256("".join(hashes).encode()).hexdigest()
