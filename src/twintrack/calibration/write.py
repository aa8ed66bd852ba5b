"""Applying a calibration to a cohort and writing one response map per case, with what is unlike the fitted cases."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TypeAlias

from twintrack.calibration.calibration import Calibration
from twintrack.cohort import Case, CaseData, OnBad, Progress, map_cases
from twintrack.errors import CohortError, OutputError
from twintrack.images import Volume, write_volume
from twintrack.images.atomic import make_folder, write_text

FLAGS = "flags.json"
"""Lies beside the maps and says which of them are not to be trusted."""

FLAGS_VERSION = 1
"""Version of that file; raised when a key changes its meaning."""

OnFlagged: TypeAlias = Callable[[Case, tuple[str, ...]], None]
"""Told of a case that is unlike the fitted ones, with the reasons."""


def write_responses(
    calibration: Calibration,
    cases: Iterable[Case],
    *,
    folder: Path,
    ending: str = "nii.gz",
    on_flagged: OnFlagged | None = None,
    on_bad: OnBad | None = None,
    progress: Progress | None = None,
) -> list[Path]:
    """Write the response map of every case, and `FLAGS`, which names the cases that are unlike the fitted ones.

    `FLAGS` is JSON: ``schema_version``; ``n_cases`` and ``n_flagged``; ``n_fitted``, the number of fitted cases that
    were compared with (0 where the calibration has no guard); ``checked``, the cases whose maps this call wrote;
    ``flags``, the reasons for those that are flagged. One of an earlier call is deleted before the first map is
    written. It is written last, also where an error ends the call: it then speaks of the maps that were written.

    Args:
        calibration: The calibration.
        cases: Cases with members, read one at a time.
        folder: Where to write ``<case>.<ending>``, float32 on the grid of the input; made if it does not exist. A map
            that is there already is replaced.
        ending: File format, such as "nii.gz".
        on_flagged: Called with a case that is unlike the fitted ones, and the reasons.
        on_bad: Called with a case that cannot be used and the reason. None: raise; maps written before stay.
        progress: Wraps the cases to show progress.

    Returns:
        The maps written.

    Raises:
        OutputError: If a map cannot be written.
        TwinTrackError: If a case cannot be used and `on_bad` is None, or its map would replace one of its own inputs.

    Warns:
        TwinTrackWarning: If a case is unlike the fitted ones.
    """
    make_folder(folder)
    flags: dict[str, tuple[str, ...]] = {}

    def write(case: Case, data: CaseData) -> Path:
        calibration.check(case)
        target = _target(folder, case, ending)
        response, reasons = calibration.apply_and_flag(data)
        if not flags:
            _take_back(folder / FLAGS)
        write_volume(target, Volume(response, data.grid, f"response of case {case.id}"))
        flags[case.id] = reasons
        if reasons and on_flagged is not None:
            on_flagged(case, reasons)
        return target

    try:
        return list(map_cases(write, cases, label="Applying", raters=False, on_bad=on_bad, progress=progress))
    finally:
        if flags:
            _write_flags(folder / FLAGS, flags, calibration)


def _take_back(path: Path) -> None:
    """Delete the flags of an earlier call, else those of its maps would seem to be of the new ones."""
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise OutputError(f"cannot replace {path}: {error.strerror or error}") from error


def _write_flags(path: Path, flags: Mapping[str, tuple[str, ...]], calibration: Calibration) -> None:
    flagged = {case: list(reasons) for case, reasons in flags.items() if reasons}
    content = {
        "schema_version": FLAGS_VERSION,
        "n_cases": len(flags),
        "n_flagged": len(flagged),
        "n_fitted": 0 if calibration.guard is None else len(calibration.guard.cases),
        "checked": list(flags),
        "flags": flagged,
    }
    write_text(path, json.dumps(content, indent=1, allow_nan=False, ensure_ascii=False) + "\n")


def _target(folder: Path, case: Case, ending: str) -> Path:
    target = folder / f"{case.id}.{ending.lstrip('.')}"
    if target.parent != folder or case.id in ("", ".", ".."):
        raise CohortError(f"case {case.id!r}: its id cannot be a file name")
    if any(target.resolve() == file.resolve() for file in case.files):
        raise CohortError(f"case {case.id}: its response would replace its input {target}; choose another folder")
    return target
