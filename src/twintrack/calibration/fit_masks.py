"""Fitting the rater field that belongs to a calibration, to the cases that it was itself fitted to."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from twintrack.calibration.calibration import Calibration
from twintrack.calibration.outlines import fit_rater_field
from twintrack.calibration.record import CaseRecord
from twintrack.calibration.target import RESPONSE
from twintrack.cohort import Case, CaseData, Progress
from twintrack.compute.executors import Executor
from twintrack.errors import CalibrationError

FEWEST_RATERS = 2
"""How raters differ is told by cases with as many."""

_SELDOM = 1e-3
"""Responses below are in so few of the masks that a field is judged by that they do not matter; left in, their tail
would make the box of a case, and the time, that of the whole CT."""


def check_masks(*, target: str, from_table: bool) -> None:
    """Refuse, before any case is read, a fit that cannot tell how raters' masks vary.

    Raises:
        CalibrationError: If the target is not the response, or there are no cases.
    """
    if from_table:
        raise CalibrationError("masks need the cases; a table does not say which voxels a rater labelled together")
    if target != RESPONSE:
        raise CalibrationError(f"masks are drawn from responses; they do not go with the target {target} (--target)")


def check_masks_of(records: Sequence[CaseRecord]) -> None:
    """Refuse cases that cannot tell how raters' masks vary.

    Args:
        records: Those of the cases that were read.

    Raises:
        CalibrationError: If no case has two raters, or the voxel size of one that has is not known.
    """
    several = [record for record in records if record.raters >= FEWEST_RATERS]
    if not several:
        raise CalibrationError(
            f"masks need cases with {FEWEST_RATERS} or more raters, which tell how raters differ; all {len(records)} "
            "cases have one. Fit without masks (--masks)."
        )
    unknown = sum(not record.spacing for record in several)
    if unknown:
        raise CalibrationError(
            f"masks are fitted in mm, and the voxel size of {unknown} of {len(several)} cases with {FEWEST_RATERS} or "
            "more raters is not known. Give the spacing, or fit without masks (--masks)."
        )


def with_rater_field(
    calibration: Calibration,
    cases: Iterable[Case],
    *,
    seed: int,
    progress: Progress | None = None,
    executor: Executor | None = None,
) -> Calibration:
    """Add the rater field to a calibration.

    Args:
        calibration: The calibration.
        cases: The cases that it was fitted to; those with one rater are passed over.
        seed: Of the masks that fields are judged by.
        progress: Wraps the cases to show progress.
        executor: Who does the work (`twintrack.compute.executors`); None: this process.

    Returns:
        The calibration with the field.

    Raises:
        TwinTrackError: If a case cannot be used.
    """
    # In one order, so that sums round alike. That a fitted case is flagged by chance is nothing to warn of.
    told = sorted((case for case in cases if len(case.raters) >= FEWEST_RATERS), key=lambda case: case.id)
    silent = calibration.model_copy(update={"guard": None})
    found = fit_rater_field(told, _Responses(silent), seed=seed, progress=progress, executor=executor)
    return calibration.model_copy(update={"rater_field": found.field})


@dataclass(frozen=True)
class _Responses:
    """Gives the responses of a case that are not too seldom to matter."""

    calibration: Calibration

    def __call__(self, data: CaseData) -> NDArray[np.float32]:
        found = self.calibration.apply(data)
        found[found < _SELDOM] = 0
        return found
