"""One CT from voxels to response: segmented, calibrated inside the ROI, and measured."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from twintrack.calibration import Calibration
from twintrack.calibration.agreement import agreement_levels
from twintrack.calibration.case_uncertainty import ExpectedInterval, ResponseBand
from twintrack.calibration.volumes.volume import VolumeEstimate
from twintrack.cohort import Case
from twintrack.images import Volume
from twintrack.segmentation.segmentation import Segmentation

OnStage = Callable[[str], None]
"""Called with what begins now, in words."""


class SegmentsCts(Protocol):
    """What predicts the members: `twintrack.segmentation.segmenter.Segmenter`, or anything that does as it does."""

    def segment(
        self, ct: Volume, *, case_id: str, roi: Volume | None = None, on_stage: OnStage | None = None
    ) -> Segmentation:
        """Predict the members of one CT inside its ROI."""


@dataclass(frozen=True, eq=False)
class Prediction:
    """What TwinTrack says of one CT. Arrays lie in the ROI's box on the CT's own grid, (z, y, x).

    Attributes:
        segmentation: The members' probabilities and the ROI.
        response: float32 response within the box, exactly 0 outside the ROI and where the probability is exactly 0
            (unless the calibration was fitted without pinning it).
        volume: Expected volume, and the distribution and interval of a further rater's.
        n_raters: K of the agreement levels.
        notes: What a reader of the result must know of the segmentation, in words.
        flags: In what the case is unlike those of the calibration, in words; empty where it is like them.
        expected_interval: How sure the expected volume is; None where the calibration does not know.
        band: Lower and upper response maps within the box; None where they were not asked for.
    """

    segmentation: Segmentation
    response: NDArray[np.float32]
    volume: VolumeEstimate
    n_raters: int
    notes: tuple[str, ...]
    flags: tuple[str, ...] = ()
    expected_interval: ExpectedInterval | None = None
    band: ResponseBand | None = None

    @property
    def levels(self) -> NDArray[np.uint8]:
        """Agreement levels 0 … K within the box, computed anew each time."""
        return agreement_levels(self.response, n_raters=self.n_raters)


def predict_case(
    segmenter: SegmentsCts,
    calibration: Calibration,
    ct: Volume,
    *,
    case_id: str,
    roi: Volume | None = None,
    n_raters: int | None = None,
    band: bool = False,
    on_stage: OnStage | None = None,
) -> Prediction:
    """Predict the response of one CT.

    Args:
        segmenter: What predicts the members.
        calibration: The map from probability to response.
        ct: The CT, HU.
        case_id: Name of the case, for messages.
        roi: Where to look, on the CT's grid; None lets the coarse network find it.
        n_raters: K of the agreement levels; None takes the most raters that a calibration case had.
        band: Whether lower and upper response maps are wanted.
        on_stage: Called when a stage begins.

    Returns:
        The prediction.

    Raises:
        CalibrationError: If the calibration was fitted for another foreground, or the band is wanted and it does not
            know how sure it is.
        TwinTrackError: If the CT cannot be segmented.

    Warns:
        TwinTrackWarning: If the case is unlike those of the calibration; the flags say it too.
    """
    segmentation = segmenter.segment(ct, case_id=case_id, roi=roi, on_stage=on_stage)
    if on_stage is not None:
        on_stage("calibrating")
    found = calibration.respond(_as_case(segmentation), band=band)
    return Prediction(
        segmentation=segmentation,
        response=found.response,
        volume=calibration.estimate_volume(found.response, voxel_volume=segmentation.grid.voxel_volume),
        n_raters=raters_of(calibration) if n_raters is None else n_raters,
        notes=tuple(segmentation.notes),
        flags=found.flags,
        expected_interval=found.interval,
        band=found.band,
    )


def raters_of(calibration: Calibration) -> int:
    """Give the most raters that a case of a calibration had."""
    return max(calibration.provenance.raters)


def _as_case(segmentation: Segmentation) -> Case:
    """Give the box as a case."""
    return Case(
        segmentation.case_id,
        members=list(segmentation.members),
        roi=segmentation.roi,
        grid=segmentation.box_grid,
        foreground=segmentation.foreground,
    )
