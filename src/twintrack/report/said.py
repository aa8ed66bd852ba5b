"""What an earlier run said of a case: the summary of `twintrack predict`, or the volumes of `twintrack apply`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from twintrack.errors import InputError


class SaidInterval(BaseModel):
    """Where a volume is to be expected (`twintrack.calibration.volumes.record`), in mm³."""

    model_config = ConfigDict(frozen=True, allow_inf_nan=False)

    low_mm3: float = Field(ge=0)
    high_mm3: float = Field(ge=0)
    level: float = Field(gt=0, lt=1)
    promised: float | None = Field(default=None, ge=0, le=1)


class SaidDistribution(BaseModel):
    """How a further rater's volume is distributed."""

    model_config = ConfigDict(frozen=True, allow_inf_nan=False)

    quantiles_mm3: dict[float, float]


class SaidOfCase(BaseModel):
    """What is said of a case; keys that are not needed here are passed over.

    Attributes:
        expected_volume_mm3: The expected volume; None where the voxel size was not known.
        expected_interval: How sure that is.
        interval: Where a further rater's volume is to be expected.
        no_interval: Why there is none.
        distribution: How a further rater's volume is distributed.
        n_raters: K of the agreement levels; None in what `apply` writes.
        foreground: What was merged into the structure.
        notes: What a reader must know.
        flags: In what the case is unlike those of the calibration.
        bundle: Name and SHA-256 of the networks.
        calibration: SHA-256 and method of the calibration.
    """

    model_config = ConfigDict(frozen=True, allow_inf_nan=False)

    expected_volume_mm3: float | None = Field(ge=0)
    expected_interval: SaidInterval | None = None
    interval: SaidInterval | None = None
    no_interval: str | None = None
    distribution: SaidDistribution | None = None
    n_raters: int | None = Field(default=None, ge=1, le=255)
    foreground: tuple[str | int, ...] | None = None
    notes: tuple[str, ...] = ()
    flags: tuple[str, ...] = ()
    bundle: dict[str, Any] = Field(default_factory=dict)
    calibration: dict[str, Any] = Field(default_factory=dict)

    @property
    def parameters(self) -> dict[str, str]:
        """What made the map, by name, as far as it is said."""
        known = {
            "bundle": self.bundle.get("name"),
            "bundle_sha256": self.bundle.get("sha256"),
            "calibration_method": self.calibration.get("method"),
            "calibration_sha256": self.calibration.get("sha256"),
        }
        return {name: str(value) for name, value in known.items() if value}


NOTHING = SaidOfCase(expected_volume_mm3=None)
"""Of a case about which nothing was written, as after an interrupted run."""


def read_said(path: Path, *, response: Path) -> SaidOfCase:
    """Read what was said of the case of a response map.

    Args:
        path: A case's summary (``summaries/CASE.json``), or the ``volumes.json`` of several.
        response: The case's response map; of several cases, the one whose file is called so is taken.

    Returns:
        What is said.

    Raises:
        InputError: If the file cannot be read or says nothing of the map.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or error}") from error
    except ValueError as error:
        raise InputError(f"{path}: is no JSON: {error}") from error
    if isinstance(content, dict) and isinstance(content.get("cases"), dict):
        content = _of_map(content["cases"], response, path)
    return said_in(content, path)


def said_in(content: Any, path: Path) -> SaidOfCase:
    """Take what is said of a case from what JSON held.

    Args:
        content: What was read.
        path: Where, for messages.

    Returns:
        What is said.

    Raises:
        InputError: If it was not written by TwinTrack.
    """
    try:
        return SaidOfCase.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "the whole"
        raise InputError(
            f"{path}: is neither a summary of `twintrack predict` nor the volumes.json of `twintrack apply`: {where}: "
            f"{first['msg']}"
        ) from error


def _of_map(cases: dict[str, Any], response: Path, path: Path) -> Any:
    for said in cases.values():
        files = said.get("files") if isinstance(said, dict) else None
        if isinstance(files, dict) and Path(str(files.get("responses"))).name == response.name:
            return said
    raise InputError(f"{path}: says nothing of {response.name}; it holds the cases {', '.join(list(cases)[:5])}")
