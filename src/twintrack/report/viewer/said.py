"""What `twintrack predict` and `twintrack apply` wrote about their cases, besides the maps."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from twintrack.calibration.writing.flags import FLAGS
from twintrack.calibration.writing.responses import VOLUMES
from twintrack.errors import InputError

_SUMMARIES = "summaries"  # of `predict`; a stage to the right of this one, so the name is said again
_MOST_RATERS = 255


@dataclass(frozen=True)
class Said:
    """What was written about a case.

    Attributes:
        volume: Its volume, with the keys of `twintrack.calibration.volumes.record`; empty where nothing was written.
        flags: In what it is unlike the cases of the calibration.
        notes: What a reader must know of it.
        n_raters: K of its agreement levels; None where it has none.
    """

    volume: Mapping[str, Any] = field(default_factory=dict)
    flags: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    n_raters: int | None = None


NOTHING = Said()
"""Of a case about which nothing was written, as after an interrupted run."""


def summaries(folder: Path, cases: Sequence[str]) -> dict[str, Said]:
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


def _said(path: Path, folder: Path) -> Said:
    content = _read(path, folder)
    n_raters = content.get("n_raters")
    if n_raters is not None and not (isinstance(n_raters, int) and 1 <= n_raters <= _MOST_RATERS):
        raise _other(path, n_raters, f"a number of raters from 1 to {_MOST_RATERS}")
    flags, notes = (_texts(content.get(name, []), path) for name in ("flags", "notes"))
    return Said(content, flags, notes, n_raters)


def volumes_and_flags(folder: Path, cases: Sequence[str]) -> dict[str, Said]:
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
    return {
        case: Said(_object(volumes.get(case, {}), folder / VOLUMES), _texts(flags.get(case, []), folder / FLAGS))
        for case in cases
    }


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
