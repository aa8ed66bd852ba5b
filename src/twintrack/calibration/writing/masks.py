"""Drawing whole masks for a cohort, as its calibration's raters would vary: a folder of masks per case."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from twintrack.calibration.calibration import Calibration
from twintrack.calibration.outlines import RaterField, case_seed, each_mask
from twintrack.calibration.volumes.summary import VolumeSummary
from twintrack.calibration.writing.flags import OnFlagged, write_flags
from twintrack.calibration.writing.responses import place_of
from twintrack.cohort import Case, CaseData, OnBad, Progress, map_cases
from twintrack.errors import CalibrationError, CohortError, InputError, OutputError
from twintrack.images import Volume, write_volume
from twintrack.images.atomic import make_folder, write_text

MASKS = "masks.json"
"""Lies beside the masks of a case and says how they were drawn and what their volumes are."""

MASKS_VERSION = 1
"""Version of that file; raised when a key changes its meaning."""

OnDrawn: TypeAlias = Callable[[Case, Mapping[str, Any]], None]
"""Told of a case whose masks were written, and what `MASKS` says of them."""


def write_masks(
    calibration: Calibration,
    cases: Iterable[Case],
    *,
    folder: Path,
    n: int,
    seed: int = 0,
    ending: str = "nii.gz",
    on_flagged: OnFlagged | None = None,
    on_drawn: OnDrawn | None = None,
    on_bad: OnBad | None = None,
    progress: Progress | None = None,
) -> list[Path]:
    """Draw masks of every case and write them, with `MASKS` in each case's folder and `FLAGS` beside the folders.

    A case's masks depend on the seed and its id, not on the other cases, and the first do not depend on n. `MASKS` is
    written last of a case. It is JSON: ``schema_version``, ``case``, ``seed``, ``rater_field``,
    ``expected_volume_mm3`` (of the response map) and ``volumes_mm3``, the volume of each mask by its file's name.

    Args:
        calibration: The calibration, with a rater field.
        cases: Cases with members and known voxel size, read one at a time.
        folder: Where to write ``<case>/mask_01.<ending>``, uint8 on the grid of the input; new or empty.
        n: Number of masks for each case, at least 1.
        seed: A whole number from 0.
        ending: File format, such as "nii.gz".
        on_flagged: Called with a case that is unlike the fitted ones, and the reasons.
        on_drawn: Called with a case whose masks were written, and what `MASKS` says of them.
        on_bad: Called with a case that cannot be used and the reason. None: raise; what was written before stays.
        progress: Wraps the cases to show progress.

    Returns:
        The folders of the cases.

    Raises:
        CalibrationError: If the calibration has no rater field.
        InputError: If n or seed are out of range.
        OutputError: If the folder is not empty, or a file cannot be written.
        TwinTrackError: If a case cannot be used and `on_bad` is None.

    Warns:
        TwinTrackWarning: If a case is unlike the fitted ones.
    """
    field = _require(calibration, n=n, seed=seed)
    _require_new(folder)
    make_folder(folder)
    flags: dict[str, tuple[str, ...]] = {}

    def draw(case: Case, data: CaseData) -> Path:
        calibration.check(case)
        place = place_of(folder, case)
        if not data.grid.known:
            raise CohortError(f"case {case.id}: the voxel size is not known, and the field is in mm. Give the spacing.")
        response, reasons = calibration.apply_and_flag(data)
        volumes = _write_case(place, response, data, field=field, n=n, seed=case_seed(seed, case.id), ending=ending)
        record = {
            "schema_version": MASKS_VERSION,
            "case": case.id,
            "seed": seed,
            "rater_field": field.model_dump(),
            "expected_volume_mm3": VolumeSummary.of(response).expected * data.grid.voxel_volume,
            "volumes_mm3": volumes,
        }
        write_text(place / MASKS, json.dumps(record, indent=1, allow_nan=False, ensure_ascii=False) + "\n")
        flags[case.id] = reasons
        if reasons and on_flagged is not None:
            on_flagged(case, reasons)
        if on_drawn is not None:
            on_drawn(case, record)
        return place

    try:
        return list(map_cases(draw, cases, label="Drawing", raters=False, on_bad=on_bad, progress=progress))
    finally:
        if flags:
            write_flags(folder, flags, calibration)


def _write_case(
    place: Path,
    response: NDArray[np.float32],
    data: CaseData,
    *,
    field: RaterField,
    n: int,
    seed: int,
    ending: str,
) -> dict[str, float]:
    """Write the masks of a case, one in memory at a time; give their volumes in mm³ by their files' names."""
    masks = each_mask(response, spacing=data.grid.spacing, field=field, n=n, seed=seed)
    digits, volumes = max(2, len(str(n))), {}
    make_folder(place)
    for number, mask in enumerate(masks, start=1):
        name = f"mask_{number:0{digits}d}.{ending.lstrip('.')}"
        write_volume(place / name, Volume(mask, data.grid, f"mask {number} of case {data.id}"))
        volumes[name] = int(np.count_nonzero(mask)) * data.grid.voxel_volume
    return volumes


def _require(calibration: Calibration, *, n: int, seed: int) -> RaterField:
    if n < 1 or seed < 0:
        raise InputError(f"expected one mask or more and a seed from 0; got n={n}, seed={seed}")
    if calibration.rater_field is None:
        raise CalibrationError(
            "this calibration does not say how raters' masks vary, so none can be drawn; fit it again with masks "
            "(`twintrack fit --masks`)"
        )
    return calibration.rater_field


def _require_new(folder: Path) -> None:
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise OutputError(f"cannot write masks into {folder}: it exists and is not an empty folder; name a new one")
