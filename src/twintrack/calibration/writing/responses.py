"""Applying a calibration to a cohort: a response map per case, its volume, and what is unlike the fitted cases."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from contextlib import closing
from dataclasses import KW_ONLY, dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from twintrack.calibration.calibration import Calibration
from twintrack.calibration.respond import CaseResponse
from twintrack.calibration.volumes.record import volume_record
from twintrack.calibration.writing.flags import FLAGS, OnFlagged, write_flags
from twintrack.cohort import Case, CaseData, Cohort, OnBad, Progress, map_cases
from twintrack.compute.executors import Executor
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
    executor: Executor | None = None,
) -> list[Path]:
    """Write the response map of every case, `FLAGS` (`twintrack.calibration.writing.flags`) and `VOLUMES`.

    `VOLUMES` is JSON: ``schema_version`` and ``cases``, for each case ``files`` (its maps, relative to the folder) and
    its volume (`twintrack.calibration.volumes.record`). Both files of an earlier call are deleted before the first map
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
        executor: Who reads the cases and writes their maps (`twintrack.compute.executors`); None: this process.

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
    for place in _places(folder, band=band).values():
        make_folder(place)
    cohort = cases if isinstance(cases, Cohort) else Cohort(cases)
    by_id = {case.id: case for case in cohort}
    write = _Write(calibration, folder=folder.absolute(), ending=ending, band=band)
    walk = map_cases(write, cohort, label="Applying", raters=False, on_bad=on_bad, progress=progress, executor=executor)
    written = list[_Written]()
    try:
        with closing(walk):
            for one in walk:
                written.append(one)
                if one.flags and on_flagged is not None:
                    on_flagged(by_id[one.case_id], one.flags)
                if on_written is not None:
                    on_written(by_id[one.case_id], one.volume)
    finally:
        if written:
            write_flags(folder, {one.case_id: one.flags for one in written}, calibration)
            _write_volumes(folder / VOLUMES, {one.case_id: one.volume for one in written})
    return [folder / one.volume["files"]["responses"] for one in written]


def _places(folder: Path, *, band: bool) -> dict[str, Path]:
    """Say where maps are written, by what they are."""
    return {"responses": folder} | {name: folder / name for name in BAND if band}


@dataclass(frozen=True)
class _Written:
    """What is known of a case whose maps are written."""

    case_id: str
    flags: tuple[str, ...]
    volume: dict[str, Any]


@dataclass(frozen=True)
class _Write:
    """Writes the maps of a case; the folders are there.

    A worker makes none: one that does not see the same files must not write where nobody looks.
    """

    calibration: Calibration
    _: KW_ONLY
    folder: Path
    ending: str
    band: bool

    def __call__(self, case: Case, data: CaseData) -> _Written:
        self.calibration.check(case)
        places = _places(self.folder, band=self.band)
        targets = {name: _target(place, case, self.ending) for name, place in places.items()}
        found = self.calibration.respond(data, band=self.band)
        volume = _volume(self.calibration, data, found)
        # They come back at the end only, so each may see to it that they are gone: one of several workers is the first.
        _take_back(self.folder / FLAGS)
        _take_back(self.folder / VOLUMES)
        for name, array in _maps(found).items():
            write_volume(targets[name], Volume(array, data.grid, f"{name} of case {case.id}"))
        files = {name: target.relative_to(self.folder).as_posix() for name, target in targets.items()}
        return _Written(case.id, found.flags, {"files": files, **volume})


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
