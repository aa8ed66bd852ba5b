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
from twintrack.evaluation.predictions import CALIBRATED, RAW
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
        interval: Where a further rater's volume is to be expected; None where that is not known.
        no_interval: Why it is not known.
        flags: In what the case is unlike those of the calibration (`Calibration.flags`).
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
    interval: VolumeInterval | None = None
    no_interval: str | None = None
    flags: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class CaseDetails:
    """One case.

    Attributes:
        about: In words and numbers.
        counts: Its voxels, by prediction.
        change: What the calibration made of its probabilities (`change_counts`); None without a calibration.
    """

    about: CaseAbout
    counts: Mapping[str, StripCounts]
    change: NDArray[np.int64] | None = None


def details_of(
    case: Case,
    data: CaseData,
    predictions: Mapping[str, NDArray[np.float32]],
    *,
    calibration: Calibration | None,
    flags: Sequence[str] = (),
) -> CaseDetails:
    """Collect what is kept of a case.

    Args:
        case: The case.
        data: Its voxels.
        predictions: What was predicted, by name: "raw", "calibrated".
        calibration: What made the calibrated prediction.
        flags: In what the case is unlike those of the calibration.

    Returns:
        The details.
    """
    masks, voxel = list(data.raters.values()), data.grid.voxel_volume
    agreement = case_agreement(masks, voxel_volume=voxel, names=list(data.raters))
    at_least = np.cumsum(agreement.vote_histogram[::-1])[::-1]
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
        flags=tuple(flags),
    )
    counts = {name: StripCounts.of(one, masks) for name, one in predictions.items()}
    if calibration is None or CALIBRATED not in predictions:
        return CaseDetails(about, counts)
    volume = calibration.estimate_volume(predictions[CALIBRATED], voxel_volume=voxel)
    said = about.model_copy(update={"interval": volume.interval, "no_interval": volume.reason})
    return CaseDetails(said, counts, change_counts(predictions[RAW], predictions[CALIBRATED]))
