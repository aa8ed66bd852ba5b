"""Applying a calibration to a cohort: a response map per case, its volume, and what is unlike the fitted cases."""

from __future__ import annotations

import json
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import KW_ONLY, dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from twintrack.calibration.calibration import Calibration
from twintrack.calibration.respond import CaseResponse
from twintrack.calibration.respond_in_parts import CaseFindings, RespondingInParts, responds_in_parts
from twintrack.calibration.volumes.record import volume_record
from twintrack.calibration.volumes.summary import VolumeSummary
from twintrack.calibration.volumes.volume import estimate_summarised
from twintrack.calibration.writing.flags import FLAGS, OnFlagged, write_flags
from twintrack.cohort import Case, CaseData, Cohort, OnBad, Progress, map_cases, map_cases_in_parts
from twintrack.cohort.parts import CaseParts
from twintrack.compute.ahead import ahead
from twintrack.compute.executors import Executor
from twintrack.errors import CohortError, OutputError
from twintrack.images import Volume, write_volume
from twintrack.images.atomic import make_folder, write_text
from twintrack.images.grid import Grid
from twintrack.images.parts import VolumeParts
from twintrack.images.write import write_parts

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
    applied = _Applied(calibration, folder=folder.absolute(), ending=ending, band=band)
    how: dict[str, Any] = {"label": "Applying", "on_bad": on_bad, "progress": progress, "executor": executor}
    if responds_in_parts(calibration) and not band:
        walk = map_cases_in_parts(_WriteInParts(applied), cohort, **how)
    else:
        walk = map_cases(_Write(applied), cohort, raters=False, **how)
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
class _Applied:
    """What is applied, and where its maps go; the folders are there.

    A worker makes none: one that does not see the same files must not write where nobody looks.
    """

    calibration: Calibration
    _: KW_ONLY
    folder: Path
    ending: str
    band: bool

    def targets(self, case: Case) -> dict[str, Path]:
        """Say where the maps of a case are written, by what they are; refuse a case that is not to be written."""
        self.calibration.check(case)
        places = _places(self.folder, band=self.band)
        return {name: _target(place, case, self.ending) for name, place in places.items()}

    def clear(self) -> None:
        """Take back what an earlier call said of its maps, before the first is replaced.

        It comes back at the end only, so each case may see to it: one of several workers is the first.
        """
        _take_back(self.folder / FLAGS)
        _take_back(self.folder / VOLUMES)

    def written(
        self,
        case: Case,
        targets: Mapping[str, Path],
        *,
        grid: Grid,
        found: CaseFindings | CaseResponse,
        volume: VolumeSummary,
    ) -> _Written:
        """Say what is known of a case whose maps are written."""
        files = {name: target.relative_to(self.folder).as_posix() for name, target in targets.items()}
        estimate = None
        if grid.known:
            model = self.calibration.volume
            estimate = estimate_summarised(volume, voxel_volume=grid.voxel_volume, model=model)
        record = volume_record(estimate, found.interval if grid.known else None)
        return _Written(case.id, found.flags, {"files": files, **record})


@dataclass(frozen=True)
class _Write:
    """Writes the maps of a case that is read whole."""

    applied: _Applied

    def __call__(self, case: Case, data: CaseData) -> _Written:
        targets = self.applied.targets(case)
        found = self.applied.calibration.respond(data, band=self.applied.band)
        volume = VolumeSummary.of(found.response)
        self.applied.clear()
        for name, array in _maps(found).items():
            write_volume(targets[name], Volume(array, data.grid, f"{name} of case {case.id}"))
        return self.applied.written(case, targets, grid=data.grid, found=found, volume=volume)


@dataclass(frozen=True)
class _WriteInParts:
    """Writes the map of a case that is read a part at a time."""

    applied: _Applied

    def __call__(self, case: Case, parts: CaseParts) -> _Written:
        targets = self.applied.targets(case)
        responding = RespondingInParts(self.applied.calibration, parts)
        with ahead(responding.responses()) as responses:
            write_parts(
                targets["responses"], VolumeParts(self._cleared(responses), parts.grid, f"responses of case {case.id}")
            )
        found = responding.findings()
        return self.applied.written(case, targets, grid=parts.grid, found=found, volume=found.volume)

    def _cleared(self, responses: Iterator[NDArray[np.float32]]) -> Generator[NDArray[np.float32], None, None]:
        """Once the case has proved sound, and before its map takes its name, take back what was said of the old one."""
        yield from responses
        self.applied.clear()


def _maps(found: CaseResponse) -> dict[str, NDArray[np.float32]]:
    if found.band is None:
        return {"responses": found.response}
    return {"responses": found.response, "lower": found.band.lower, "upper": found.band.upper}


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
