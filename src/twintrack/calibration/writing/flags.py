"""`flags.json`: which cases of an output are unlike the fitted ones, and are not to be trusted."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from twintrack.cohort import Case
from twintrack.images.atomic import write_text

if TYPE_CHECKING:
    from twintrack.calibration.calibration import Calibration

FLAGS = "flags.json"
"""Lies beside what was written of the cases."""

FLAGS_VERSION = 1
"""Version of that file; raised when a key changes its meaning."""

OnFlagged: TypeAlias = Callable[[Case, tuple[str, ...]], None]
"""Told of a case that is unlike the fitted ones, with the reasons."""


def write_flags(folder: Path, flags: Mapping[str, tuple[str, ...]], calibration: Calibration) -> None:
    """Write `FLAGS`.

    It is JSON: ``schema_version``; ``n_cases`` and ``n_flagged``; ``n_fitted``, the number of fitted cases that were
    compared with (0 where the calibration has no guard); ``checked``, the cases that were written; ``flags``, the
    reasons for those that are flagged.

    Args:
        folder: Where to write it.
        flags: The reasons of each case that was written, none where it is like the fitted ones.
        calibration: What was applied.

    Raises:
        OutputError: If it cannot be written.
    """
    flagged = {case: list(reasons) for case, reasons in flags.items() if reasons}
    content = {
        "schema_version": FLAGS_VERSION,
        "n_cases": len(flags),
        "n_flagged": len(flagged),
        "n_fitted": 0 if calibration.guard is None else len(calibration.guard.cases),
        "checked": list(flags),
        "flags": flagged,
    }
    write_text(folder / FLAGS, json.dumps(content, indent=1, allow_nan=False, ensure_ascii=False) + "\n")
