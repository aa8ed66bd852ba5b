"""What is kept of one case: its raters, volumes and flags in words and numbers, and its voxels as counts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from twintrack.calibration import Calibration
from twintrack.calibration.volumes.volume import VolumeInterval
from twintrack.cohort import Case, CaseData
from twintrack.evaluation.details.counts import StripCounts, change_counts
from twintrack.evaluation.predictions import RAW
from twintrack.raters.agreement import case_agreement


class CaseAbout(BaseModel):
    """One case, in words and numbers.

    Attributes:
        case: The case.
        patient: Whose it is.
        measured: Whether the voxel size is known; else volumes are numbers of voxels.
        dimensions: 2 or 3; volumes of 2-D images are areas in mm².
        voxel_volume: Volume of a voxel, mm³.
        members: Number of members.
        drawn: Volume that each rater drew, by name, mm³.
        dice: Mean Dice coefficient over the pairs of raters; None with one rater.
        agreed: Volume that at least k of the K raters label, mm³, k = 1 … K.
        expected: Expected volume Σp by prediction, mm³.
        interval: For each calibration where a further rater's volume is to be expected, as far as that is known.
        no_interval: For the others why it is not known.
        flags: For each calibration in what the case is unlike those it was fitted on (`Calibration.flags`).
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    case: str
    patient: str
    measured: bool
    dimensions: int
    voxel_volume: float
    members: int
    drawn: dict[str, float]
    dice: float | None
    agreed: tuple[float, ...]
    expected: dict[str, float]
    interval: dict[str, VolumeInterval]
    no_interval: dict[str, str]
    flags: dict[str, tuple[str, ...]]


@dataclass(frozen=True, eq=False)
class CaseDetails:
    """One case.

    Attributes:
        about: In words and numbers.
        counts: Its voxels, by prediction.
        change: What each calibration made of its probabilities (`change_counts`).
    """

    about: CaseAbout
    counts: Mapping[str, StripCounts]
    change: Mapping[str, NDArray[np.int64]]


def details_of(
    case: Case,
    data: CaseData,
    predictions: Mapping[str, NDArray[np.float32]],
    *,
    calibrations: Mapping[str, Calibration],
    flags: Mapping[str, Sequence[str]],
) -> CaseDetails:
    """Collect what is kept of a case.

    Args:
        case: The case.
        data: Its voxels.
        predictions: What was predicted, by name.
        calibrations: What made the calibrated ones, by name.
        flags: For each calibration in what the case is unlike those it was fitted on.

    Returns:
        The details.
    """
    masks, voxel = list(data.raters.values()), data.grid.voxel_volume
    agreement = case_agreement(masks, voxel_volume=voxel, names=list(data.raters))
    at_least = np.cumsum(agreement.vote_histogram[::-1])[::-1]
    fitted = {name: one for name, one in calibrations.items() if name in predictions}
    volumes = {name: one.estimate_volume(predictions[name], voxel_volume=voxel) for name, one in fitted.items()}
    about = CaseAbout(
        case=case.id,
        patient=case.patient,
        measured=data.grid.known,
        dimensions=len(data.grid.shape),
        voxel_volume=voxel,
        members=len(data.members),
        drawn=dict(zip(agreement.names, agreement.volumes, strict=True)),
        dice=agreement.mean_dice,
        agreed=tuple(float(n) * voxel for n in at_least[1:]),
        expected={name: voxel * float(one.sum(dtype=np.float64)) for name, one in predictions.items()},
        interval={name: one.interval for name, one in volumes.items() if one.interval is not None},
        no_interval={name: one.reason for name, one in volumes.items() if one.reason is not None},
        flags={name: tuple(reasons) for name, reasons in flags.items()},
    )
    return CaseDetails(
        about,
        {name: StripCounts.of(one, masks) for name, one in predictions.items()},
        {name: change_counts(predictions[RAW], predictions[name]) for name in fitted},
    )
