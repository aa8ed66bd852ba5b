"""Files appear whole or not at all: write under a temporary name, then rename."""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Iterator
from pathlib import Path

from twintrack.errors import OutputError

_NAME_KEPT = 50  # characters of the name that the temporary keeps; file systems allow 255 bytes in all


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Write a file under a temporary name that takes the final name only on success.

    The temporary lies in the same folder (a rename across file systems is a copy, which can fail half-way),
    is hidden, and ends as the final name does, so that writers that go by the ending choose the same format.
    A symbolic link is followed: its target is replaced, the link stays.

    Args:
        path: The file to write; replaced if it exists.

    Yields:
        The temporary path to write to.

    Raises:
        OutputError: If the operating system refuses (no space left, no permission, no such folder).
            Whatever is raised inside, KeyboardInterrupt too, the temporary is deleted and an old file stays.
    """
    target = Path(os.path.realpath(path))
    if target.exists() and not target.is_file():
        raise OutputError(f"cannot write {path}: it exists and is not a regular file")
    if not target.parent.is_dir():
        raise OutputError(f"cannot write {path}: there is no folder {target.parent}")
    temporary = target.with_name(f".{os.getpid()}-{secrets.token_hex(4)}-{target.name[-_NAME_KEPT:]}")
    try:
        yield temporary
        temporary.replace(target)
    except OSError as error:
        _delete(temporary)
        # What names another file comes from reading that file, not from writing this one.
        if error.filename is not None and Path(error.filename) != temporary:
            raise
        raise OutputError(f"cannot write {path}: {error.strerror or error}") from error
    except BaseException:
        _delete(temporary)
        raise


def make_folder(path: Path) -> None:
    """Make a folder for results, with the folders above it; one that is there already is left as it is.

    Args:
        path: The folder.

    Raises:
        OutputError: If it cannot be made.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"cannot make the folder {path}: {error.strerror or error}") from error


def require_seen(folder: Path) -> None:
    """Refuse to write into a folder that whoever asked for the work has made, where it cannot be seen.

    Args:
        folder: The folder.

    Raises:
        OutputError: If it is not there: this is a worker that does not see the same files.
    """
    if not folder.is_dir():
        raise OutputError(f"there is no folder {folder} where the work is done; all workers must see the same files")


def write_text(path: Path, text: str) -> None:
    """Write a text file whole or not at all.

    Args:
        path: The file to write; replaced if it exists.
        text: What to write, as UTF-8 with the line ends it has.

    Raises:
        OutputError: If the operating system refuses.
    """
    with replacing(path) as temporary:
        temporary.write_bytes(text.encode("utf-8"))


def _delete(path: Path) -> None:
    with contextlib.suppress(OSError):
        path.unlink()
