"""What `twintrack predict` and `twintrack apply` wrote about their cases, besides the maps."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from twintrack.calibration.writing.flags import FLAGS
from twintrack.calibration.writing.responses import VOLUMES
from twintrack.errors import InputError
from twintrack.report.said import NOTHING, SaidOfCase, said_in

_SUMMARIES = "summaries"  # of `predict`; a stage to the right of this one, so the name is said again


def summaries(folder: Path, cases: Sequence[str]) -> dict[str, SaidOfCase]:
    """Read what `twintrack predict` wrote: a summary for each case.

    Args:
        folder: Its output folder.
        cases: The cases.

    Returns:
        What is said, by case.

    Raises:
        InputError: If a summary cannot be read, was not written by TwinTrack, or lies elsewhere by way of a link.
    """
    return {case: _said(folder / _SUMMARIES / f"{case}.json", folder) for case in cases}


def _said(path: Path, folder: Path) -> SaidOfCase:
    content = _read(path, folder)
    return said_in(content, path) if content else NOTHING


def volumes_and_flags(folder: Path, cases: Sequence[str]) -> dict[str, SaidOfCase]:
    """Read what `twintrack apply` wrote: the volumes and the flags of all cases.

    Args:
        folder: Its output folder.
        cases: The cases.

    Returns:
        What is said, by case.

    Raises:
        InputError: As `summaries`.
    """
    volumes = _object(_read(folder / VOLUMES, folder).get("cases", {}), folder / VOLUMES)
    flags = _object(_read(folder / FLAGS, folder).get("flags", {}), folder / FLAGS)
    return {case: _of_case(volumes.get(case), flags.get(case, []), folder) for case in cases}


def _of_case(volume: Any, flags: Any, folder: Path) -> SaidOfCase:
    said = NOTHING if volume is None else said_in(volume, folder / VOLUMES)
    return said.model_copy(update={"flags": _texts(flags, folder / FLAGS)})


def require_inside(files: Sequence[Path], roots: Sequence[Path]) -> None:
    """Raise an `InputError` if a file lies outside all folders, also by way of a link."""
    for file in files:
        real = file.resolve()
        if not any(real.is_relative_to(root) for root in roots):
            raise InputError(
                f"{file} leads to {real}, outside the folders that were named; name the folder it lies in instead"
            )


def _read(path: Path, folder: Path) -> Mapping[str, Any]:
    """Read a JSON object; one that is not there is empty."""
    if not path.exists():
        return {}
    require_inside([path], [folder.resolve()])
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read as JSON: {error}") from error
    return _object(content, path)


def _object(content: Any, path: Path) -> Mapping[str, Any]:
    if not isinstance(content, dict):
        raise _other(path, content, "an object")
    return content


def _texts(content: Any, path: Path) -> tuple[str, ...]:
    if not isinstance(content, list) or not all(isinstance(text, str) for text in content):
        raise _other(path, content, "a list of texts")
    return tuple(content)


def _other(path: Path, content: Any, expected: str) -> InputError:
    return InputError(f"{path}: was not written by TwinTrack: {expected} is expected where {content!r:.40} stands")
