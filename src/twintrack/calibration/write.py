"""Applying a calibration to a cohort and writing one response map per case."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from twintrack.calibration.calibration import Calibration
from twintrack.cohort import Case, CaseData, OnBad, Progress, map_cases
from twintrack.errors import CohortError
from twintrack.images import Volume, write_volume
from twintrack.images.atomic import make_folder


def write_responses(
    calibration: Calibration,
    cases: Iterable[Case],
    *,
    folder: Path,
    ending: str = "nii.gz",
    on_bad: OnBad | None = None,
    progress: Progress | None = None,
) -> list[Path]:
    """Write the response map of every case.

    Args:
        calibration: The calibration.
        cases: Cases with members, read one at a time.
        folder: Where to write ``<case>.<ending>``, float32 on the grid of the input; made if it does not exist. A map
            that is there already is replaced.
        ending: File format, such as "nii.gz".
        on_bad: Called with a case that cannot be used and the reason. None: raise; maps written before stay.
        progress: Wraps the cases to show progress.

    Returns:
        The files written.

    Raises:
        OutputError: If a map cannot be written.
        TwinTrackError: If a case cannot be used and `on_bad` is None, or its map would replace one of its own inputs.
    """
    make_folder(folder)

    def write(case: Case, data: CaseData) -> Path:
        calibration.check(case)
        target = _target(folder, case, ending)
        write_volume(target, Volume(calibration.apply(data), data.grid, f"response of case {case.id}"))
        return target

    return list(map_cases(write, cases, label="Applying", raters=False, on_bad=on_bad, progress=progress))


def _target(folder: Path, case: Case, ending: str) -> Path:
    target = folder / f"{case.id}.{ending.lstrip('.')}"
    if target.parent != folder or case.id in ("", ".", ".."):
        raise CohortError(f"case {case.id!r}: its id cannot be a file name")
    if any(target.resolve() == file.resolve() for file in case.files):
        raise CohortError(f"case {case.id}: its response would replace its input {target}; choose another folder")
    return target
