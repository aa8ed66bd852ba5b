"""What is known of a case when its DICOM objects are written."""

from __future__ import annotations

import hashlib
from dataclasses import KW_ONLY, dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from twintrack.images.hashing import sha256_of_all
from twintrack.report.dicom.series import CtSeries
from twintrack.report.dicom.structure import Structure


@dataclass(frozen=True)
class Interval:
    """Where a volume is to be expected.

    Attributes:
        low: Lower end, mm³.
        high: Upper end, mm³.
        level: How often it holds, in (0, 1).
    """

    low: float
    high: float
    level: float


@dataclass(frozen=True)
class VolumeStatement:
    """What is said of the volume beside its expectation. All in mm³.

    Attributes:
        expected_interval: How sure the expected volume is; None where that is not known.
        rater_interval: Where a further rater's volume is to be expected; None where that is not known.
        rater_quantiles: Quantiles of a further rater's volume by their probability; empty where they are not known.
        reason: Why there is no `rater_interval`; None where there is one, or nobody said.
    """

    expected_interval: Interval | None = None
    rater_interval: Interval | None = None
    rater_quantiles: dict[float, float] = field(default_factory=dict)
    reason: str | None = None


@dataclass(frozen=True, eq=False)
class Result:
    """What was predicted of a CT series.

    Attributes:
        series: The series.
        response: float32 response in [0, 1], (z, y, x) on the series' grid.
        levels: uint8 agreement levels 0 … K, likewise: level k where the response is at least ``thresholds[k − 1]``.
        thresholds: The responses from which on a voxel is of level 1 … K.
        structure: What the response is of.
        volume: What is said of the volume beside its expectation.
        notes: What a reader must know, in words.
        parameters: What made the result (model, calibration), by name, for the record.
    """

    series: CtSeries
    response: NDArray[np.float32]
    levels: NDArray[np.uint8]
    thresholds: tuple[float, ...]
    _: KW_ONLY
    structure: Structure
    volume: VolumeStatement = field(default_factory=VolumeStatement)
    notes: tuple[str, ...] = ()
    parameters: dict[str, str] = field(default_factory=dict)

    @property
    def n_raters(self) -> int:
        """K of the agreement levels."""
        return len(self.thresholds)

    @cached_property
    def highest_level(self) -> int:
        """The highest agreement level of a voxel; 0 where no voxel has one."""
        return int(self.levels.max(initial=0))

    @cached_property
    def expected_volume(self) -> float:
        """Sum of the responses times the voxel volume, mm³."""
        return float(self.response.sum(dtype=np.float64)) * self.series.grid.voxel_volume

    def volume_at_least(self, level: int) -> float:
        """Give the volume of the voxels of at least a level, mm³."""
        return int(np.count_nonzero(self.levels >= level)) * self.series.grid.voxel_volume

    def level_name(self, level: int) -> str:
        """Say in words what "at least this level" is."""
        return f"at least {level} of {self.n_raters}, {self.structure.name}"

    @cached_property
    def sha256(self) -> str:
        """Hash of all this and of the series' files, from which the UIDs of what is written follow."""
        digest = hashlib.sha256(sha256_of_all(self.series.paths).encode())
        for array in (self.response, self.levels):
            digest.update(np.ascontiguousarray(array).data)
        said = (self.thresholds, self.structure, self.volume, self.notes, sorted(self.parameters.items()))
        digest.update(repr(said).encode())
        return digest.hexdigest()
