"""A `Calibration`: a fitted map with its provenance; what is saved to a file and applied to new cases."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, ValidationError, model_validator
from typing_extensions import Self

from twintrack.calibration.case_uncertainty import ExpectedInterval, ResponseBand
from twintrack.calibration.guard.case_summary import CaseSummary
from twintrack.calibration.guard.differences import differences, warn_of
from twintrack.calibration.guard.guard import ShiftGuard
from twintrack.calibration.methods import AnyMap, ConditionalMap
from twintrack.calibration.outlines.field import RaterField
from twintrack.calibration.provenance import MERGE, Provenance
from twintrack.calibration.respond import CaseResponse, respond, respond_in_place
from twintrack.calibration.selection.choose import Selection
from twintrack.calibration.uncertainty import Uncertainty
from twintrack.calibration.volumes.distribution import VolumeModel
from twintrack.calibration.volumes.volume import VolumeEstimate, estimate_volume
from twintrack.cohort import Case, CaseData
from twintrack.cohort.checks import probability_array
from twintrack.errors import CalibrationError
from twintrack.images import Volume
from twintrack.images.atomic import write_text
from twintrack.images.grid import Grid

SCHEMA_VERSION = 4
"""Version of the file; raised when an older TwinTrack could not read a newer file. Version 1 had no `volume`, version 2
another one, no `selection`, no `guard` and no case-aware map, version 3 no `rater_field` and
a case-aware map of other features, which is refused."""

_FIRST_WITH_SCORES = 3  # version 2 kept drawn over expected volumes instead, which do not tell the scores


class Calibration(BaseModel):
    """A map from probability to response, and where it comes from.

    Attributes:
        schema_version: Version of the file.
        pin_zero: Whether a probability of exactly 0 keeps response 0.
        map: The fitted map.
        volume: How the volumes that raters draw are distributed; None in an older file, or where cases were withheld.
        selection: How candidates did on cases left out, where a method chose among several.
        uncertainty: Maps of other draws of the patients; None where cases were withheld, or of one patient.
        guard: What the fitted cases look like without their raters, by which cases unlike them are flagged; None in an
            older file, or where cases were withheld.
        rater_field: How raters' thresholds hang together, by which whole masks are drawn; None where it was not fitted.
        provenance: What it was fitted on.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_version: int = SCHEMA_VERSION
    pin_zero: bool = True
    map: AnyMap
    volume: VolumeModel | None = None
    selection: Selection | None = None
    uncertainty: Uncertainty | None = None
    guard: ShiftGuard | None = None
    rater_field: RaterField | None = None
    provenance: Provenance

    @model_validator(mode="after")
    def _check_kinds(self) -> Self:
        aware = isinstance(self.map, ConditionalMap)
        others = () if self.uncertainty is None else self.uncertainty.replicates
        if any(isinstance(one, ConditionalMap) != aware for one in others):
            raise ValueError("the maps of other draws are of another kind than the map itself")
        return self

    @property
    def method(self) -> str:
        """Name of the method."""
        return self.map.method

    def apply(self, case: Case | CaseData | NDArray[Any]) -> NDArray[np.float32]:
        """Turn probabilities into responses.

        Args:
            case: A case (which is read), its voxels, or an array of probabilities, float, any shape.

        Returns:
            float32 responses in [0, 1], on the case's grid or of the array's shape. Exactly 0 outside the ROI and,
            with `pin_zero`, where the probability is exactly 0.

        Raises:
            TwinTrackError: If the case cannot be read, a probability is not in [0, 1], or the case's foreground
                is not the one the calibration was fitted for.

        Warns:
            TwinTrackWarning: If a case is unlike the fitted ones, once, with all reasons (`flags`). An array is not
                checked: it has no members and no voxel size.
        """
        if isinstance(case, Case | CaseData):
            return self._respond(case).response
        if isinstance(self.map, ConditionalMap):
            raise CalibrationError(
                "a case-aware calibration looks at the voxel size of a case; give a Case instead of an array of "
                "probabilities"
            )
        array = np.asarray(case)
        plain = array.reshape(1, -1) if array.ndim not in (2, 3) else array
        checked = probability_array(Volume.from_array(plain, name="the array of probabilities"))
        return respond_in_place(np.array(checked).reshape(array.shape), self.map, pin_zero=self.pin_zero, roi=None)

    def apply_and_flag(
        self, case: Case | CaseData, *, summary: CaseSummary | None = None
    ) -> tuple[NDArray[np.float32], tuple[str, ...]]:
        """Turn a case's probabilities into responses, and say in what it is unlike the fitted cases.

        Args:
            case: A case (which is read), or its voxels.
            summary: What the guard looks at, where it is known; made of the case otherwise.

        Returns:
            The responses as from `apply`, and the reasons as from `flags`.

        Raises:
            TwinTrackError: As `apply`.

        Warns:
            TwinTrackWarning: If there is a reason, as `apply`.
        """
        found = self._respond(case, summary=summary)
        return found.response, found.flags

    def respond(self, case: Case | CaseData, *, band: bool = False) -> CaseResponse:
        """Say all that the calibration knows of a case's responses in one go.

        Args:
            case: A case (which is read), or its voxels.
            band: Whether lower and upper response maps are wanted.

        Returns:
            The responses as from `apply`, the flags, the interval of the expected volume (None where the calibration
            does not know how sure it is) and, where wanted, the band.

        Raises:
            CalibrationError: If the band is wanted and the calibration does not know how sure it is.
            TwinTrackError: As `apply`.

        Warns:
            TwinTrackWarning: As `apply`.
        """
        if band:
            self.require_uncertainty()
        return self._respond(case, uncertainty=self.uncertainty, band=band)

    def expected_interval(self, case: Case | CaseData) -> ExpectedInterval | None:
        """Say how sure the expected volume of a case is: where it lies with other draws of the calibration patients.

        Args:
            case: A case (which is read), or its voxels.

        Returns:
            The interval in mm³; None where the calibration does not know how sure it is (`uncertainty`).

        Raises:
            TwinTrackError: As `apply`.

        Warns:
            TwinTrackWarning: As `apply`.
        """
        return self._respond(case, uncertainty=self.uncertainty).interval

    def response_band(self, case: Case | CaseData) -> ResponseBand:
        """Give lower and upper response maps of a case: at each voxel where the response lies with other draws.

        Args:
            case: A case (which is read), or its voxels.

        Returns:
            The maps, on the case's grid.

        Raises:
            CalibrationError: If the calibration does not know how sure it is.
            TwinTrackError: As `apply`.

        Warns:
            TwinTrackWarning: As `apply`.
        """
        self.require_uncertainty()
        found = self._respond(case, uncertainty=self.uncertainty, band=True).band
        assert found is not None
        return found

    def require_uncertainty(self) -> None:
        """Refuse what needs to know how sure the calibration is.

        Raises:
            CalibrationError: If it does not know.
        """
        if self.uncertainty is None:
            raise CalibrationError(
                "this calibration does not say how sure it is: it was fitted to one patient, to a table with a minimum "
                "count, with 0 replicates, or by an older TwinTrack. Fit it again to several patients "
                "(--replicates 50)."
            )

    def _respond(
        self,
        case: Case | CaseData,
        *,
        uncertainty: Uncertainty | None = None,
        band: bool = False,
        summary: CaseSummary | None = None,
    ) -> CaseResponse:
        """Read, check, warn and respond; called by what the user calls, at whom the warning points."""
        data = self._read(case)
        reasons = self.flags(data, summary=summary)
        warn_of(data.id, reasons, stacklevel=4)
        if isinstance(self.map, ConditionalMap):
            self._require_described(data)
        found = respond(data, self.map, pin_zero=self.pin_zero, uncertainty=uncertainty, band=band)
        return replace(found, flags=reasons)

    def _read(self, case: Case | CaseData) -> CaseData:
        if isinstance(case, CaseData):
            return case
        self.check(case)
        return case.read(raters=False)

    def flags(self, case: Case | CaseData, *, summary: CaseSummary | None = None) -> tuple[str, ...]:
        """Say in what a case is unlike those the calibration was fitted on; its responses are then not to be trusted.

        Args:
            case: A case (which is read), or its voxels; raters are not looked at.
            summary: What the guard looks at, where it is known; made of the case otherwise.

        Returns:
            The reasons, in words: another number of members, a missing ROI, a voxel size outside the fitted range, and
            what the guard finds (`twintrack.calibration.guard`). None of them does not say that the calibration is
            right for the case.

        Raises:
            TwinTrackError: If the case cannot be read, or its foreground is not the one the calibration was fitted for.
        """
        data = self._read(case)
        known = (summary or CaseSummary.of(data)) if self.compares else None
        return self.flags_of(known, grid=data.grid, n_members=len(data.members), has_roi=data.roi is not None)

    @property
    def compares(self) -> bool:
        """Whether cases are compared with what the fitted ones looked like, so that their summary is needed."""
        return self.guard is not None and self.guard.compares

    def flags_of(self, summary: CaseSummary | None, *, grid: Grid, n_members: int, has_roi: bool) -> tuple[str, ...]:
        """Say in what a case that is summarised is unlike those the calibration was fitted on; see `flags`.

        Args:
            summary: The case's; None where the calibration does not compare it (`compares`).
            grid: Where its voxels lie.
            n_members: Number of its members.
            has_roi: Whether it has an ROI.

        Returns:
            The reasons.
        """
        found = [] if self.guard is None or summary is None else self.guard.flags(summary)
        return (*differences(self.provenance, grid, n_members=n_members, has_roi=has_roi), *found)

    def estimate_volume(self, response: NDArray[Any], *, voxel_volume: float) -> VolumeEstimate:
        """Estimate the volume of a case, with the distribution and the interval of a further rater's.

        Args:
            response: The case's responses from `apply`; voxels that are 0 may be left out.
            voxel_volume: Volume of one voxel in mm³ (`Grid.voxel_volume`).

        Returns:
            The estimate; see `twintrack.calibration.volumes.volume`.

        Raises:
            InputError: If a response is not in [0, 1].
        """
        return estimate_volume(response, voxel_volume=voxel_volume, model=self.volume)

    def check(self, case: Case) -> None:
        """Refuse a case whose probability is not of what this calibration was fitted for.

        Raises:
            CalibrationError: If both foregrounds are known and differ, or members and channels are merged otherwise.
        """
        self.check_foreground(case.foreground, name=f"case {case.id}")

    def check_foreground(self, foreground: tuple[str, ...] | None, *, name: str) -> None:
        """Refuse a foreground that is not the one this calibration was fitted for.

        Args:
            foreground: What was merged into the structure's probability; None where that is not known.
            name: What it is the foreground of, for the message.

        Raises:
            CalibrationError: If both are known and differ, or members and channels are not merged as they were for the
                fit (which a file of another version could say).
        """
        if self.provenance.merge != MERGE:
            raise CalibrationError(
                f"this calibration was fitted to the {self.provenance.merge}; this TwinTrack merges by the {MERGE}. "
                "Fit it again."
            )
        fitted = self.provenance.foreground
        if fitted and foreground and fitted != foreground:
            raise CalibrationError(
                f"{name}: its probability is of {', '.join(foreground)}; this calibration was fitted for "
                f"{', '.join(fitted)}. Choose the same foreground (--foreground), or fit a calibration for this one."
            )

    def _require_described(self, data: CaseData) -> None:
        """Refuse a case whose features would not mean what they meant in the fit.

        Raises:
            CalibrationError: If only one of it and the fitted cases has a known voxel size.
        """
        fitted = self.provenance
        if data.grid.known != bool(fitted.spacing_range):
            raise CalibrationError(
                f"case {data.id}: its voxel size is {'' if data.grid.known else 'not '}known, that of the fitted "
                f"cases was {'' if fitted.spacing_range else 'not '}known; a case-aware calibration measures in mm"
            )

    def save(self, path: Path | str) -> None:
        """Write the calibration as JSON; the file appears whole or not at all.

        Raises:
            OutputError: If it cannot be written.
        """
        write_text(Path(path), self.model_dump_json(indent=1) + "\n")


def load_calibration(path: Path | str) -> Calibration:
    """Read a calibration. The file is data: nothing in it is executed.

    Args:
        path: A file written by `Calibration.save`.

    Returns:
        The calibration.

    Raises:
        CalibrationError: If the file cannot be read, is not a calibration, breaks a rule (a map that decreases, a
            number out of range), or was written by a newer version whose rules are not known here.
    """
    try:
        content = json.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise CalibrationError(f"cannot read the calibration {path}: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise CalibrationError(f"{path} is not a calibration: it is not JSON ({error})") from error
    found = content.get("schema_version") if isinstance(content, dict) else None
    if not isinstance(found, int):
        raise CalibrationError(f"{path} is not a calibration: it has no schema_version")
    if found > SCHEMA_VERSION:
        raise CalibrationError(
            f"{path} has schema version {found}; this TwinTrack knows versions up to {SCHEMA_VERSION}. "
            "Upgrade TwinTrack."
        )
    if found < _FIRST_WITH_SCORES:
        content.pop("volume", None)
    try:
        return Calibration.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(step) for step in first["loc"])
        raise CalibrationError(
            f"{path} is not a valid calibration: {where}: {first['msg']} ({error.error_count()} problems in all). "
            "Give a file that `twintrack fit` wrote."
        ) from error
