"""Writes what the members said of a case, as files that `twintrack apply` and others read."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from twintrack.images import write_volume
from twintrack.images.atomic import make_folder
from twintrack.segmentation.records import require_file_name, take_back, write_record
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
    record = record_of(folder, case)
    take_back(record)
    for name, part in images.items():
        # Without a name for it, a map of the whole grid is gone before the next is made.
        make_folder((folder / name).parent)
        write_volume(folder / name, segmentation.whole(part))
    content = {**describe(segmentation), **(about or {}), "files": list(images), "fingerprint": fingerprint}
    write_record(record, content)
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


def record_of(folder: Path, case_id: str) -> Path:
    """Say where the record of a case is, in the folder given to `write_segmentation`."""
    return folder / RECORDS / f"{case_id}.json"


def _named(segmentation: Segmentation) -> list[tuple[str, Any]]:
    return list(zip(segmentation.names, segmentation.members, strict=True))
