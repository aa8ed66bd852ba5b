"""From the probabilities of a case to its responses, where both come a part at a time and neither is ever whole.

For maps of the probability alone; the case-aware map needs the whole case to describe a voxel. Responses, flags and
volumes are those of `twintrack.calibration.Calibration.respond`, to the last bit.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from twintrack.calibration.calibration import Calibration
from twintrack.calibration.case_uncertainty import ExpectedInterval
from twintrack.calibration.guard.case_summary import CaseSummary, CaseSums
from twintrack.calibration.guard.differences import warn_of
from twintrack.calibration.methods import ConditionalMap, ResponseMap
from twintrack.calibration.respond import curve_interval, inside_histogram, respond_in_place
from twintrack.calibration.volumes.summary import VolumeSummary, VolumeSums
from twintrack.cohort.parts import CasePart, CaseParts
from twintrack.compute.blocks import blocks
from twintrack.compute.levels import N_LEVELS


def responds_in_parts(calibration: Calibration) -> bool:
    """Say whether a calibration can respond to a case a part at a time."""
    return not isinstance(calibration.map, ConditionalMap)


@dataclass(frozen=True)
class CaseFindings:
    """What a calibration says of a case beside its responses.

    Attributes:
        flags: In what the case is unlike the fitted ones, in words.
        interval: The interval of the expected volume; None where the calibration does not know how sure it is.
        volume: The summary of the responses.
    """

    flags: tuple[str, ...]
    interval: ExpectedInterval | None
    volume: VolumeSummary


class RespondingInParts:
    """A calibration at work on a case.

    Args:
        calibration: The calibration, whose map is of the probability alone (`responds_in_parts`).
        case: The case.
    """

    def __init__(self, calibration: Calibration, case: CaseParts) -> None:
        assert isinstance(calibration.map, ResponseMap)
        self._calibration, self._case, self._map = calibration, case, calibration.map
        self._sums = CaseSums() if calibration.compares else None
        self._histogram = None if calibration.uncertainty is None else np.zeros(N_LEVELS, np.int64)
        self._volume = VolumeSums()

    def responses(self) -> Generator[NDArray[np.float32], None, None]:
        """Respond to one part after the other.

        Yields:
            The responses, flat float32 in the order of the parts.

        Raises:
            TwinTrackError: If a part cannot be read or holds what is no probability. None of the responses given
                before may then be relied on.
        """
        # A voxel outside the ROI changes nothing, but compiled code is loaded by it, while the files are inflated up to
        # the first part.
        self._respond(CasePart((np.zeros(1, np.float32),) * self._case.n_members, np.zeros(1, np.uint8)))
        for part in self._case.parts:
            yield self._respond(part)

    def _respond(self, part: CasePart) -> NDArray[np.float32]:
        self._summarise(part)
        values = part.probability()
        if self._histogram is not None:
            self._histogram += inside_histogram(values, part.inside)
        respond_in_place(values, self._map, pin_zero=self._calibration.pin_zero, roi=part.inside)
        self._volume.add(values)
        return values

    def _summarise(self, part: CasePart) -> None:
        if self._sums is None:
            return
        for block in blocks(part.members[0].size):
            inside = None if part.inside is None else part.inside[block]
            self._sums.add([member[block] for member in part.members], inside=inside)

    def findings(self) -> CaseFindings:
        """Say what was found, once all responses were taken.

        Returns:
            What the calibration says of the case beside its responses.

        Warns:
            TwinTrackWarning: If the case is unlike the fitted ones.
        """
        case, calibration = self._case, self._calibration
        summary = None if self._sums is None else CaseSummary.from_sums(self._sums, case.grid)
        flags = calibration.flags_of(summary, grid=case.grid, n_members=case.n_members, has_roi=case.has_roi)
        warn_of(case.id, flags, stacklevel=3)
        volume = VolumeSummary(*self._volume.totals.tolist())
        return CaseFindings(flags, self._interval(volume.expected), volume)

    def _interval(self, expected: float) -> ExpectedInterval | None:
        if self._histogram is None or self._calibration.uncertainty is None:
            return None
        return curve_interval(
            self._histogram,
            self._calibration.uncertainty,
            pin_zero=self._calibration.pin_zero,
            expected=expected,
            voxel_volume=self._case.grid.voxel_volume,
        )
