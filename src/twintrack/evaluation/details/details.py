"""The details of an evaluation, all cases together: what is written beside its scores."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pydantic import BaseModel, ConfigDict
from typing_extensions import Self

from twintrack.calibration import Calibration
from twintrack.evaluation.details.case_details import CaseDetails
from twintrack.evaluation.details.pictures import Picture
from twintrack.software import versions


class CalibrationAbout(BaseModel):
    """Which calibration was evaluated.

    Attributes:
        sha256: Hash of its content (`content_sha256`).
        method: Its method.
        n_cases: Cases it was fitted on.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    sha256: str
    method: str
    n_cases: int

    @classmethod
    def of(cls, calibration: Calibration) -> Self:
        """Describe a calibration."""
        return cls(
            sha256=content_sha256(calibration), method=calibration.method, n_cases=calibration.provenance.n_cases
        )


@dataclass(frozen=True, eq=False)
class Details:
    """What an evaluation keeps beside its scores.

    Attributes:
        cases: Each case, in the order of the scores.
        n_left_out: Cases that could not be used.
        calibrations: Which calibrations were evaluated, by name.
        software: Versions of the software that scored.
        pictures: Pictures of a few cases.
    """

    cases: tuple[CaseDetails, ...]
    n_left_out: int
    calibrations: dict[str, CalibrationAbout]
    software: dict[str, str]
    pictures: tuple[Picture, ...] = ()

    @property
    def predictions(self) -> tuple[str, ...]:
        """What was predicted, by name."""
        return tuple(dict.fromkeys(name for case in self.cases for name in case.counts))

    @classmethod
    def of(
        cls,
        cases: Sequence[CaseDetails],
        *,
        n_left_out: int,
        calibrations: Mapping[str, Calibration],
        pictures: Sequence[Picture],
    ) -> Self:
        """Put the cases of an evaluation together."""
        about = {name: CalibrationAbout.of(one) for name, one in calibrations.items()}
        software = versions("twintrack", "numpy", "scipy", "numba")
        return cls(tuple(cases), n_left_out, about, software, tuple(pictures))


def content_sha256(calibration: Calibration) -> str:
    """Hash what a calibration says, so that the same calibration is known in whatever file it lies.

    Returns:
        SHA-256 in hexadecimal of its JSON.
    """
    return hashlib.sha256(calibration.model_dump_json().encode()).hexdigest()
