"""Drawing whole masks for a cohort, as its calibration's raters would vary: a folder of masks per case."""

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
from twintrack.calibration.outlines import RaterField, case_seed, each_mask
from twintrack.calibration.volumes.summary import VolumeSummary
from twintrack.calibration.writing.flags import OnFlagged, write_flags
from twintrack.calibration.writing.responses import place_of
from twintrack.cohort import Case, CaseData, Cohort, OnBad, Progress, map_cases
from twintrack.compute.executors import Executor
from twintrack.errors import CalibrationError, CohortError, InputError, OutputError
from twintrack.images import Volume, write_volume
from twintrack.images.atomic import make_folder, require_seen, write_text

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
    executor: Executor | None = None,
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
        executor: Who draws and writes the masks (`twintrack.compute.executors`); None: this process.

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
    cohort = cases if isinstance(cases, Cohort) else Cohort(cases)
    by_id = {case.id: case for case in cohort}
    draw = _Draw(calibration, field, folder=folder.absolute(), n=n, seed=seed, ending=ending)
    walk = map_cases(draw, cohort, label="Drawing", raters=False, on_bad=on_bad, progress=progress, executor=executor)
    flags: dict[str, tuple[str, ...]] = {}
    try:
        with closing(walk):
            for record, reasons in walk:
                case = by_id[record["case"]]
                flags[case.id] = reasons
                if reasons and on_flagged is not None:
                    on_flagged(case, reasons)
                if on_drawn is not None:
                    on_drawn(case, record)
    finally:
        if flags:
            write_flags(folder, flags, calibration)
    return [place_of(folder, by_id[name]) for name in flags]


@dataclass(frozen=True, eq=False)
class _Draw:
    """Writes the masks of a case and what is said of them."""

    calibration: Calibration
    field: RaterField
    _: KW_ONLY
    folder: Path
    n: int
    seed: int
    ending: str

    def __call__(self, case: Case, data: CaseData) -> tuple[dict[str, Any], tuple[str, ...]]:
        require_seen(self.folder)
        self.calibration.check(case)
        place = place_of(self.folder, case)
        if not data.grid.known:
            raise CohortError(f"case {case.id}: the voxel size is not known, and the field is in mm. Give the spacing.")
        response, reasons = self.calibration.apply_and_flag(data)
        seed = case_seed(self.seed, case.id)
        volumes = _write_case(place, response, data, field=self.field, n=self.n, seed=seed, ending=self.ending)
        record = {
            "schema_version": MASKS_VERSION,
            "case": case.id,
            "seed": self.seed,
            "rater_field": self.field.model_dump(),
            "expected_volume_mm3": VolumeSummary.of(response).expected * data.grid.voxel_volume,
            "volumes_mm3": volumes,
        }
        write_text(place / MASKS, json.dumps(record, indent=1, allow_nan=False, ensure_ascii=False) + "\n")
        return record, reasons


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
