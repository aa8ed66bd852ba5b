"""Records of finished cases: written last, so that an interrupted run knows what is whole."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from twintrack.errors import InputError, OutputError
from twintrack.images.atomic import make_folder, write_text


def take_back(record: Path) -> None:
    """Delete a record before its files are replaced, else a case interrupted then looks done with files of two runs.

    Raises:
        OutputError: If it cannot be deleted.
    """
    make_folder(record.parent)
    try:
        record.unlink(missing_ok=True)
    except OSError as error:
        raise OutputError(f"cannot replace {record}: {error.strerror or error}") from error


def write_record(record: Path, content: Mapping[str, Any]) -> None:
    """Write a record.

    Args:
        record: The file.
        content: Plain data with "fingerprint" (hash of all that went into the result) and "files" (paths below the
            folder that holds the records).

    Raises:
        OutputError: If it cannot be written.
    """
    write_text(record, json.dumps(content, indent=1, allow_nan=False, ensure_ascii=False) + "\n")


def read_finished(record: Path, *, fingerprint: str) -> dict[str, Any] | None:
    """Give the record of a case that an earlier run finished.

    Args:
        record: The file.
        fingerprint: Hash of all that would go into the result now.

    Returns:
        The record, or None where there is none of this fingerprint or a file it names is gone.
    """
    try:
        content = json.loads(record.read_text(encoding="utf-8"))
        files = content["files"]
        names = files.values() if isinstance(files, dict) else files
        same = content["fingerprint"] == fingerprint
        whole = same and all((record.parent.parent / name).is_file() for name in names)
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        return None
    return dict(content) if whole else None


def require_file_name(case_id: str) -> str:
    """Give a case's id if it can be the name of a file.

    Raises:
        InputError: If it is empty, hidden or holds a separator of folders.
    """
    if not case_id or case_id[0] == "." or any(sign in case_id for sign in "/\\:\0"):
        raise InputError(f"case {case_id!r}: its id cannot be a file name")
    return case_id
