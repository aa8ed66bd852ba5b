"""The files of one prediction: maps first, the summary last, by which an interrupted run knows what is done."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from twintrack.errors import OutputError
from twintrack.images import Volume, write_volume
from twintrack.images.atomic import make_folder, write_text
from twintrack.pipeline.clock import StageClock
from twintrack.pipeline.prediction import Prediction
from twintrack.segmentation.write import require_file_name

SUMMARIES = "summaries"
FOLDERS = ("responses", "levels", "rois", SUMMARIES)
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
        folder: Where to write ``responses/<case>`` (float32), ``levels/<case>``, ``rois/<case>`` (uint8) and
            ``summaries/<case>.json``; folders are made where they are missing.
        clock: Has taken the time of the stages; it is stopped once the maps are written.
        ending: File format of the maps.

    Returns:
        The summary with the maps' paths (``files``, relative to the folder) and the stages' times (``seconds``).

    Raises:
        InputError: If the case's id cannot be a file name.
        OutputError: If a file cannot be written. The summary is then not there, and nothing is half-written.
    """
    case = require_file_name(prediction.segmentation.case_id)
    record = folder / SUMMARIES / f"{case}.json"
    # Pitfall: an earlier run's summary beside maps that are half of this one would say that all is done.
    _remove(record)
    files = {}
    for name, part in _maps(prediction):
        path = folder / name / f"{case}.{ending.lstrip('.')}"
        make_folder(path.parent)
        whole = prediction.segmentation.whole(part)
        write_volume(path, Volume(whole.array, whole.grid, f"{name} of case {case}"))
        files[name] = path.relative_to(folder).as_posix()
    make_folder(record.parent)
    clock.stop()
    content = {**summary, "files": files, "seconds": clock.rounded()}
    write_text(record, json.dumps(content, indent=1, allow_nan=False, ensure_ascii=False) + "\n")
    return content


def finished(case_id: str, folder: Path, *, fingerprint: str) -> dict[str, Any] | None:
    """Give the summary of a case that an earlier run finished.

    Args:
        case_id: The case.
        folder: Where predictions are written.
        fingerprint: Hash of everything that the prediction depends on.

    Returns:
        The summary, or None where there is none of this fingerprint or a file it names is gone.
    """
    try:
        summary = json.loads((folder / SUMMARIES / f"{case_id}.json").read_text(encoding="utf-8"))
        same = summary["fingerprint"] == fingerprint
        whole = same and all((folder / name).is_file() for name in summary["files"].values())
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        return None
    return dict(summary) if whole else None


def _maps(prediction: Prediction) -> Iterator[tuple[str, NDArray[Any]]]:
    yield "responses", prediction.response
    yield "levels", prediction.levels
    yield "rois", prediction.segmentation.roi


def _remove(record: Path) -> None:
    try:
        record.unlink(missing_ok=True)
    except OSError as error:
        raise OutputError(f"cannot replace {record}: {error.strerror or error}") from error
