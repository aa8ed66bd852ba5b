"""What a calibration remembers of the cases it was fitted on: no names, only counts, geometry and hashes."""

from __future__ import annotations

import hashlib

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from twintrack.cohort import Case, CaseData
from twintrack.images.hashing import sha256_of


class CaseRecord(BaseModel):
    """One case of a fit.

    It holds no name of a case or patient, nor a hash of one (short names are guessed from their hashes), so that
    a calibration can be shared.

    Attributes:
        histogram_sha256: Hash of how many voxels have which probability above 0 (`histogram_sha256`), by which an
            evaluation notices that it scores a case of the fit.
        files_sha256: SHA-256 of each file read (members, raters, ROI), as `sha256sum` prints it; empty for
            cases that came from memory.
        voxels: Voxels inside the ROI.
        raters: Number of raters.
        members: Number of members.
        spacing: Voxel size in mm in array order; empty where not known.
        roi: Whether there was an ROI.
        foreground: What was merged into the structure's probability.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    histogram_sha256: str
    files_sha256: tuple[str, ...] = ()
    voxels: int = Field(ge=0)
    raters: int = Field(ge=1)
    members: int = Field(ge=1)
    spacing: tuple[float, ...] = ()
    roi: bool = False
    foreground: tuple[str, ...] | None = None

    @classmethod
    def of(cls, case: Case, data: CaseData, *, histogram: NDArray[np.int64]) -> CaseRecord:
        """Record a case.

        Args:
            case: The case.
            data: Its voxels.
            histogram: Number of voxels inside the ROI at each level.

        Returns:
            The record.
        """
        return cls(
            histogram_sha256=histogram_sha256(histogram),
            files_sha256=tuple(sha256_of(file) for file in case.files),
            voxels=int(histogram.sum()),
            raters=len(data.raters),
            members=len(data.members),
            spacing=data.grid.spacing if data.grid.known else (),
            roi=data.roi is not None,
            foreground=case.foreground,
        )


def histogram_sha256(histogram: NDArray[np.int64]) -> str:
    """Hash the numbers of voxels at the levels above 0.

    Args:
        histogram: Number of voxels at each level; level 0 (probability exactly 0) is not looked at, so the hash does
            not depend on how far the ROI or the image reaches.

    Returns:
        SHA-256 in hexadecimal; empty where no voxel is above 0, since such cases cannot be told apart.
    """
    occupied = np.flatnonzero(histogram[1:])
    if not occupied.size:
        return ""
    content = np.stack([occupied, histogram[1:][occupied]]).astype("<i8")
    return hashlib.sha256(content.tobytes()).hexdigest()
