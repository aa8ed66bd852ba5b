"""Writes what the members said of a case, as files that `twintrack apply` and others read, and knows what is done."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from twintrack.errors import InputError, OutputError
from twintrack.images import write_volume
from twintrack.images.atomic import make_folder, write_text
from twintrack.segmentation.segmentation import Segmentation

RECORDS = "segmentations"
"""The folder of the records; a case's is written last."""


def write_segmentation(
    segmentation: Segmentation,
    folder: Path,
    *,
    ending: str = ".nii.gz",
    fingerprint: str,
    about: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Write the members' maps, the ROI and, last, the record of a case. Maps of an earlier run are replaced.

    Args:
        segmentation: What to write.
        folder: Where to write ``members/<name>/<case>`` (float32), ``rois/<case>`` (uint8), both on the CT's whole
            grid, and ``segmentations/<case>.json``; made if it does not exist.
        ending: File format of the images.
        fingerprint: Hash of all that went into the result, by which a later run knows that it is done.
        about: Further content of the record.

    Returns:
        The record.

    Raises:
        InputError: If the case's id cannot be a file name.
        OutputError: If a file cannot be written. The record is then not there, and nothing is half-written.
    """
    case = require_file_name(segmentation.case_id)
    ending = f".{ending.lstrip('.')}"
    maps = {f"members/{name}/{case}{ending}": part for name, part in _named(segmentation)}
    images = {**maps, f"rois/{case}{ending}": segmentation.roi}
    record = folder / RECORDS / f"{case}.json"
    for place in {*(folder / name for name in images), record}:
        make_folder(place.parent)
    _remove(record)
    for name, part in images.items():
        # Without a name for it, a map of the whole grid is gone before the next is made.
        write_volume(folder / name, segmentation.whole(part))
    content = {**describe(segmentation), **(about or {}), "files": list(images), "fingerprint": fingerprint}
    write_text(record, json.dumps(content, indent=1, allow_nan=False) + "\n")
    return content


def describe(segmentation: Segmentation) -> dict[str, Any]:
    """Say a segmentation in plain data.

    Args:
        segmentation: The segmentation.

    Returns:
        Case, grid, members, foreground, ROI (where from, voxels, mm³, box as [start, stop] in array order), notes.
    """
    grid = segmentation.grid
    voxels = int(np.count_nonzero(segmentation.roi))
    return {
        "case": segmentation.case_id,
        "grid": {
            "shape": grid.shape,
            "spacing": grid.spacing if grid.known else None,
            "origin": grid.origin if grid.known else None,
            "direction": grid.direction if grid.known else None,
        },
        "members": segmentation.names,
        "foreground": segmentation.foreground,
        "roi": {
            "source": segmentation.roi_source,
            "voxels": voxels,
            "volume_mm3": voxels * grid.voxel_volume if grid.known else None,
            "box": [[part.start, part.stop] for part in segmentation.box],
        },
        "notes": segmentation.notes,
    }


def done_record(folder: Path, case_id: str, fingerprint: str) -> dict[str, Any] | None:
    """Give the record of a case that an earlier run finished.

    Args:
        folder: The folder given to `write_segmentation`.
        case_id: The case.
        fingerprint: Hash of all that would go into the result now.

    Returns:
        The record, or None where there is none of this fingerprint or a file it names is gone.
    """
    try:
        record = json.loads((folder / RECORDS / f"{case_id}.json").read_text(encoding="utf-8"))
        same = record["fingerprint"] == fingerprint
        whole = same and all((folder / name).is_file() for name in record["files"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return dict(record) if whole else None


def is_done(folder: Path, case_id: str, fingerprint: str) -> bool:
    """Say whether an earlier run finished a case with the same CT, bundle and settings."""
    return done_record(folder, case_id, fingerprint) is not None


def require_file_name(case_id: str) -> str:
    """Give a case's id if it can be the name of a file.

    Raises:
        InputError: If it is empty, hidden or holds a separator of folders.
    """
    if not case_id or case_id[0] == "." or any(sign in case_id for sign in "/\\:\0"):
        raise InputError(f"case {case_id!r}: its id cannot be a file name")
    return case_id


def _named(segmentation: Segmentation) -> list[tuple[str, Any]]:
    return list(zip(segmentation.names, segmentation.members, strict=True))


def _remove(record: Path) -> None:
    """Take back the old record first: interrupted here, the case must not look done with maps of two runs."""
    try:
        record.unlink(missing_ok=True)
    except OSError as error:
        raise OutputError(f"cannot replace {record}: {error.strerror or error}") from error
