"""Writes the DICOM objects of a result, and their twins."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from pathlib import Path

from pydicom.config import disable_value_validation
from pydicom.dataset import Dataset

from twintrack.errors import InputError, OutputError
from twintrack.images.atomic import make_folder, replacing
from twintrack.report.dicom.identity import Identity
from twintrack.report.dicom.measurement_report import measurement_report
from twintrack.report.dicom.result import Result
from twintrack.report.dicom.segmentations import levels_segmentation, response_segmentation
from twintrack.report.dicom.structure_set import structure_set
from twintrack.report.dicom.twins import write_twins

RESPONSE, LEVELS = "response.seg.dcm", "levels.seg.dcm"
CONTOURS, MEASUREMENTS = "contours.rtstruct.dcm", "measurements.sr.dcm"
"""Names of the files."""

OnStage = Callable[[str], None]
"""Called with what begins now, in words."""


def write_result(
    result: Result,
    folder: Path,
    *,
    levels: Sequence[int] | None = None,
    when: datetime | None = None,
    on_stage: OnStage | None = None,
) -> list[Path]:
    """Write a result as DICOM objects of the CT's study, and as twins for viewers that read no DICOM.

    What cannot be said of a map is not written: where no voxel reaches a level there are no agreement levels and no
    contours. The objects of an earlier call are deleted before the first is written.

    Args:
        result: The result.
        folder: Where to write `RESPONSE`, `LEVELS`, `CONTOURS`, `MEASUREMENTS` and the twins
            (`twintrack.report.dicom.twins`); made if it does not exist. Files that are there are replaced.
        levels: The agreement levels k whose contours are written; None: all that are reached. Those that are not are
            left out.
        when: When the objects say that they were made; None: the CT's date.
        on_stage: Called when something else is done.

    Returns:
        The files written.

    Raises:
        InputError: If a level is not one of 1 … K, if the series has no date and none is given, or if its headers hold
            what no DICOM object may.
        OutputError: If a file cannot be written.
    """
    wanted = _require_levels(levels, result.n_raters)
    identity = Identity.of(f"{result.sha256} {wanted}", result.series, when)
    # As they were read, so the values of the CT's headers are written.
    with disable_value_validation():
        objects = dict(_objects(result, identity, wanted, on_stage or _silent))
        make_folder(folder)
        _take_back(folder)
        paths = [_save(made, folder / name) for name, made in objects.items()]
    return paths + write_twins(result, folder)


def _objects(
    result: Result, identity: Identity, wanted: Sequence[int], on_stage: OnStage
) -> Iterator[tuple[str, Dataset]]:
    try:
        on_stage("response")
        response = response_segmentation(result, identity)
        yield RESPONSE, response
        levels = None
        if result.highest_level:
            on_stage("agreement levels")
            levels = levels_segmentation(result, identity)
            yield LEVELS, levels
        reached = [level for level in wanted if level <= result.highest_level]
        if reached:
            on_stage("contours")
            yield CONTOURS, structure_set(result, identity, reached)
        on_stage("measurements")
        yield MEASUREMENTS, measurement_report(result, identity, response, levels)
    except (ValueError, AttributeError) as error:
        raise InputError(f"{result.series.name}: no DICOM object can be made with its headers: {error}") from error


def _require_levels(levels: Sequence[int] | None, n_raters: int) -> list[int]:
    every = range(1, n_raters + 1)
    if levels is None:
        return list(every)
    wrong = sorted(set(levels) - set(every))
    if wrong or not levels:
        found = f"level {wrong[0]}" if wrong else "none"
        raise InputError(f"contours are wanted of {found}; the agreement levels are 1 to {n_raters}")
    return sorted(set(levels))


def _save(made: Dataset, path: Path) -> Path:
    with replacing(path) as temporary:
        made.save_as(temporary, enforce_file_format=True)
    return path


def _take_back(folder: Path) -> None:
    """Delete the objects of an earlier call, else an interrupted one leaves objects of two results that seem one."""
    try:
        for name in (MEASUREMENTS, CONTOURS, LEVELS, RESPONSE):
            (folder / name).unlink(missing_ok=True)
    except OSError as error:
        raise OutputError(f"cannot replace {error.filename}: {error.strerror or error}") from error


def _silent(_: str) -> None:
    pass
