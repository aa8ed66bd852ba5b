"""The file of a response table: JSON that a person can look through before it leaves a site, under a checksum.

The first line holds the SHA-256 of all bytes after it, so that no byte can change unnoticed. It tells accidents, not
forgeries: who alters a file on purpose can write the checksum anew.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from twintrack.calibration.provenance import MERGE
from twintrack.calibration.sites.content import KIND, SCHEMA_VERSION, TableContent, contradictions
from twintrack.calibration.table import ResponseTable
from twintrack.compute.levels import SCHEME
from twintrack.errors import CalibrationError
from twintrack.images.atomic import write_text

_FIRST = re.compile(rb'\{"sha256": "([0-9a-f]{64})",\n')
_AGAIN = "Give a file that `twintrack tabulate` wrote, and send it as a file, not as text."


def save_table(table: ResponseTable, path: Path | str) -> None:
    """Write a response table for another site; the file appears whole or not at all.

    The same cases give the same bytes, in whatever order they come and whatever they are called.

    Args:
        table: The table, with a minimum count applied or not (`suppress`).
        path: The file.

    Raises:
        OutputError: If it cannot be written.
    """
    body = "".join(_body(TableContent.of(table)))
    write_text(Path(path), f'{{"sha256": "{hashlib.sha256(body.encode()).hexdigest()}",\n{body}')


def _body(content: TableContent) -> Iterator[str]:
    """Give the JSON after the checksum; a line for each entry and each case, so that it can be looked through."""
    plain = content.model_dump(mode="json")
    for name, value in plain.items():
        last = name == "counts"
        if name == "cases" and value:
            lines = ",\n  ".join(json.dumps(case, allow_nan=False) for case in value)
            yield f'"cases": [\n  {lines}\n],\n'
        else:
            yield f"{json.dumps(name)}: {json.dumps(value, allow_nan=False)}{'}' if last else ','}\n"


def load_table(path: Path | str) -> ResponseTable:
    """Read a response table. The file is data: nothing in it is executed.

    Args:
        path: A file written by `save_table` or `twintrack tabulate`.

    Returns:
        The table.

    Raises:
        CalibrationError: If the file cannot be read, is no table, was altered or cut short (its checksum tells), was
            written by a newer version, or counts in another way than this version does.
    """
    try:
        content = Path(path).read_bytes()
    except OSError as error:
        raise CalibrationError(f"cannot read the table {path}: {error.strerror}") from error
    first = _FIRST.match(content)
    if first is None:
        raise CalibrationError(f"{path} is not a response table, or its beginning was altered. {_AGAIN}")
    body, sha256 = content[first.end() :], first[1].decode()
    found = hashlib.sha256(body).hexdigest()
    if found != sha256:
        raise CalibrationError(
            f"{path} was altered or cut short after it was written: its checksum is {found[:12]}…, "
            f"expected {sha256[:12]}…. {_AGAIN}"
        )
    try:
        plain = json.loads(b"{" + body)
    except (ValueError, RecursionError) as error:
        raise CalibrationError(f"{path} is not a response table: it is not JSON ({error}). {_AGAIN}") from error
    _require_known(path, plain)
    return _parse(path, plain, sha256)


def _require_known(path: Path | str, plain: dict[str, Any]) -> None:
    version = plain.get("schema_version")
    if plain.get("kind") != KIND or not isinstance(version, int):
        raise CalibrationError(f"{path} is not a response table: it does not say so. {_AGAIN}")
    if version > SCHEMA_VERSION:
        raise CalibrationError(
            f"{path} has schema version {version}; this TwinTrack knows versions up to {SCHEMA_VERSION}. "
            "Upgrade TwinTrack."
        )
    for name, what, known in (("levels", "levels of probability", SCHEME), ("merge", "merging of members", MERGE)):
        if plain.get(name) != known:
            raise CalibrationError(
                f"{path} was counted with another {what}: {plain.get(name)!r}; this TwinTrack uses {known!r}. "
                "Count its cases again with the version that the other sites use (twintrack tabulate)."
            )


def _parse(path: Path | str, plain: dict[str, Any], sha256: str) -> ResponseTable:
    try:
        content = TableContent.model_validate(plain)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(step) for step in first["loc"])
        raise CalibrationError(
            f"{path} is not a valid response table: {where}: {first['msg']} ({error.error_count()} problems in all). "
            f"{_AGAIN}"
        ) from error
    table = content.table(sha256)
    for wrong in contradictions(table):
        raise CalibrationError(f"{path} contradicts itself: {wrong}. {_AGAIN}")
    return table
