"""Applying a calibration to a cohort: a response map per case, its volume, and what is unlike the fitted cases."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from twintrack.calibration.calibration import Calibration
from twintrack.calibration.flags_file import FLAGS, OnFlagged, write_flags
from twintrack.calibration.respond import CaseResponse
from twintrack.calibration.volume_record import volume_record
from twintrack.cohort import Case, CaseData, OnBad, Progress, map_cases
from twintrack.errors import CohortError, OutputError
from twintrack.images import Volume, write_volume
from twintrack.images.atomic import make_folder, write_text

VOLUMES = "volumes.json"
"""Lies beside the maps and says what volume each expects, and how sure that is."""

VOLUMES_VERSION = 1
"""Version of that file; raised when a key changes its meaning."""

BAND = ("lower", "upper")
"""Folders of the lower and upper response maps, where they are written."""

OnWritten: TypeAlias = Callable[[Case, Mapping[str, Any]], None]
"""Told of a case that was written, and what `VOLUMES` says of it."""


def write_responses(
    calibration: Calibration,
    cases: Iterable[Case],
    *,
    folder: Path,
    ending: str = "nii.gz",
    band: bool = False,
    on_flagged: OnFlagged | None = None,
    on_written: OnWritten | None = None,
    on_bad: OnBad | None = None,
    progress: Progress | None = None,
) -> list[Path]:
    """Write the response map of every case, `FLAGS` (`twintrack.calibration.flags_file`) and `VOLUMES`.

    `VOLUMES` is JSON: ``schema_version`` and ``cases``, for each case ``files`` (its maps, relative to the folder) and
    its volume (`twintrack.calibration.volume_record`). Both files of an earlier call are deleted before the first map
    is written. They are written last, also where an error ends the call: they then speak of the maps that were written.

    Args:
        calibration: The calibration.
        cases: Cases with members, read one at a time.
        folder: Where to write ``<case>.<ending>``, float32 on the grid of the input; made if it does not exist. A map
            that is there already is replaced.
        ending: File format, such as "nii.gz".
        band: Also write ``lower/<case>.<ending>`` and ``upper/<case>.<ending>``, between which the response lies with
            other draws of the calibration patients.
        on_flagged: Called with a case that is unlike the fitted ones, and the reasons.
        on_written: Called with a case that was written, and what `VOLUMES` says of it.
        on_bad: Called with a case that cannot be used and the reason. None: raise; maps written before stay.
        progress: Wraps the cases to show progress.

    Returns:
        The response maps written.

    Raises:
        CalibrationError: If the band is wanted and the calibration does not know how sure it is, before any work.
        OutputError: If a map cannot be written.
        TwinTrackError: If a case cannot be used and `on_bad` is None, or its map would replace one of its own inputs.

    Warns:
        TwinTrackWarning: If a case is unlike the fitted ones.
    """
    if band:
        calibration.require_uncertainty()
    make_folder(folder)
    flags: dict[str, tuple[str, ...]] = {}
    volumes: dict[str, dict[str, Any]] = {}

    def write(case: Case, data: CaseData) -> Path:
        calibration.check(case)
        places = {"responses": folder} | {name: folder / name for name in BAND if band}
        targets = {name: _target(place, case, ending) for name, place in places.items()}
        found = calibration.respond(data, band=band)
        volume = _volume(calibration, data, found)
        if not flags:
            _take_back(folder / FLAGS)
            _take_back(folder / VOLUMES)
        for name, array in _maps(found).items():
            make_folder(targets[name].parent)
            write_volume(targets[name], Volume(array, data.grid, f"{name} of case {case.id}"))
        files = {name: target.relative_to(folder).as_posix() for name, target in targets.items()}
        flags[case.id], volumes[case.id] = found.flags, {"files": files, **volume}
        if found.flags and on_flagged is not None:
            on_flagged(case, found.flags)
        if on_written is not None:
            on_written(case, volumes[case.id])
        return targets["responses"]

    try:
        return list(map_cases(write, cases, label="Applying", raters=False, on_bad=on_bad, progress=progress))
    finally:
        if flags:
            write_flags(folder, flags, calibration)
            _write_volumes(folder / VOLUMES, volumes)


def _maps(found: CaseResponse) -> dict[str, NDArray[np.float32]]:
    if found.band is None:
        return {"responses": found.response}
    return {"responses": found.response, "lower": found.band.lower, "upper": found.band.upper}


def _volume(calibration: Calibration, data: CaseData, found: CaseResponse) -> dict[str, Any]:
    if not data.grid.known:
        return volume_record(None, None)
    estimate = calibration.estimate_volume(found.response, voxel_volume=data.grid.voxel_volume)
    return volume_record(estimate, found.interval)


def _take_back(path: Path) -> None:
    """Delete what an earlier call said of its maps, else it would seem to be of the new ones."""
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise OutputError(f"cannot replace {path}: {error.strerror or error}") from error


def _write_volumes(path: Path, volumes: Mapping[str, dict[str, Any]]) -> None:
    content = {"schema_version": VOLUMES_VERSION, "cases": volumes}
    write_text(path, json.dumps(content, indent=1, allow_nan=False, ensure_ascii=False) + "\n")


def place_of(folder: Path, case: Case, ending: str = "") -> Path:
    """Say where something of a case is written.

    Args:
        folder: The folder of all cases.
        case: The case.
        ending: What follows its id.

    Returns:
        The path.

    Raises:
        CohortError: If the case's id cannot be a file name.
    """
    place = folder / f"{case.id}{ending}"
    if place.parent != folder or case.id in ("", ".", ".."):
        raise CohortError(f"case {case.id!r}: its id cannot be a file name")
    return place


def _target(folder: Path, case: Case, ending: str) -> Path:
    target = place_of(folder, case, f".{ending.lstrip('.')}")
    if any(target.resolve() == file.resolve() for file in case.files):
        raise CohortError(f"case {case.id}: its response would replace its input {target}; choose another folder")
    return target
