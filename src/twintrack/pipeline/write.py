"""The files of one prediction: maps first, the summary last, by which an interrupted run knows what is done."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from twintrack.images import Volume, write_volume
from twintrack.images.atomic import make_folder
from twintrack.pipeline.clock import StageClock
from twintrack.pipeline.prediction import Prediction
from twintrack.segmentation.records import require_file_name, take_back, write_record

SUMMARIES = "summaries"
FOLDERS = ("responses", "levels", "rois", "lower", "upper", SUMMARIES)
"""What is written into an output folder."""


def write_prediction(
    prediction: Prediction,
    summary: dict[str, Any],
    folder: Path,
    *,
    clock: StageClock,
    ending: str = ".nii.gz",
) -> dict[str, Any]:
    """Write the maps of a case on the CT's own grid, then its summary. Those of an earlier run are replaced.

    One map at a time is pasted into the whole grid.

    Args:
        prediction: What was predicted.
        summary: What is said about it (`twintrack.pipeline.summary`).
        folder: Where to write ``responses/<case>`` (float32), ``levels/<case>``, ``rois/<case>`` (uint8), where the
            prediction has them ``lower/<case>`` and ``upper/<case>`` (float32), and ``summaries/<case>.json``; folders
            are made where they are missing.
        clock: Has taken the time of the stages; it is stopped once the maps are written.
        ending: File format of the maps.

    Returns:
        The summary with the maps' paths (``files``, relative to the folder) and the stages' times (``seconds``).

    Raises:
        InputError: If the case's id cannot be a file name.
        OutputError: If a file cannot be written. The summary is then not there, and nothing is half-written.
    """
    case = require_file_name(prediction.segmentation.case_id)
    record = summary_of(folder, case)
    take_back(record)
    files = {}
    for name, part in _maps(prediction):
        path = folder / name / f"{case}.{ending.lstrip('.')}"
        make_folder(path.parent)
        whole = prediction.segmentation.whole(part)
        write_volume(path, Volume(whole.array, whole.grid, f"{name} of case {case}"))
        files[name] = path.relative_to(folder).as_posix()
    clock.stop()
    content = {**summary, "files": files, "seconds": clock.rounded()}
    write_record(record, content)
    return content


def summary_of(folder: Path, case_id: str) -> Path:
    """Say where the summary of a case is, in the folder given to `write_prediction`."""
    return folder / SUMMARIES / f"{case_id}.json"


def _maps(prediction: Prediction) -> Iterator[tuple[str, NDArray[Any]]]:
    yield "responses", prediction.response
    yield "levels", prediction.levels
    yield "rois", prediction.segmentation.roi
    if prediction.band is not None:
        yield "lower", prediction.band.lower
        yield "upper", prediction.band.upper
