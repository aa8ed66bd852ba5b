"""Rules that accept, review or defer a case by one number that is known without raters."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator
from typing_extensions import Self

from twintrack.errors import CalibrationError, InputError
from twintrack.evaluation.triage.priority import require_ranking
from twintrack.images.atomic import write_text

if TYPE_CHECKING:
    from twintrack.calibration import Calibration

Decision: TypeAlias = Literal["accept", "review", "defer"]
"""Use the prediction as it is; let an expert look at its regions; let experts draw the case."""


class TriageRules(BaseModel):
    """Two thresholds, and what they were set by.

    A case is accepted where its priority is at most `accept` and nothing is unlike the calibration cases, deferred
    where it is above `defer`, else reviewed.

    Attributes:
        schema_version: Version of the file; raised when a key changes its meaning.
        ranking: Which number of a case (`twintrack.evaluation.triage.RANKINGS`).
        tolerance: The largest 1 − Dice of response > 1/2 and the raters' majority that is tolerable.
        accept_risk: How often an accepted case may be beyond tolerance.
        defer_risk: How often a deferred case must be beyond tolerance.
        accept: The first threshold; None: no case is accepted.
        defer: The second; None: no case is deferred.
        n_cases: Number of cases they were set by.
        n_beyond: How many of them were beyond tolerance.
        calibration_sha256: Hash of the calibration whose responses these priorities are of (`hash_of`).
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    schema_version: Literal[1] = 1
    ranking: str
    tolerance: float = Field(ge=0, le=1)
    accept_risk: float = Field(gt=0, lt=1)
    defer_risk: float = Field(gt=0, lt=1)
    accept: float | None
    defer: float | None
    n_cases: int = Field(ge=1)
    n_beyond: int = Field(ge=0)
    calibration_sha256: str

    @field_validator("ranking")
    @classmethod
    def _check_ranking(cls, name: str) -> str:
        try:
            return require_ranking(name)
        except InputError as error:
            raise ValueError(str(error)) from error

    @model_validator(mode="after")
    def _check_order(self) -> Self:
        if self.accept is not None and self.defer is not None and self.defer < self.accept:
            raise ValueError("the threshold of defer is below that of accept")
        return self

    def decide(self, priority: float, *, flagged: bool = False) -> Decision:
        """Decide on a case.

        Args:
            priority: Its number.
            flagged: Whether it is unlike the calibration cases: the thresholds do not hold for it, so that it is not
                accepted.

        Returns:
            The decision.
        """
        if self.defer is not None and priority > self.defer:
            return "defer"
        return "accept" if self.accept is not None and priority <= self.accept and not flagged else "review"

    def require_fitting(self, calibration: Calibration) -> None:
        """Refuse another calibration than the one the thresholds were set with.

        Raises:
            CalibrationError: If it is another.
        """
        if hash_of(calibration) != self.calibration_sha256:
            raise CalibrationError(
                "these rules were set with another calibration; give that one, or set the rules again "
                "(`twintrack triage rules`)"
            )

    def save(self, path: Path | str) -> None:
        """Write the rules as JSON; the file appears whole or not at all.

        Raises:
            OutputError: If it cannot be written.
        """
        write_text(Path(path), self.model_dump_json(indent=1) + "\n")


def load_rules(path: Path | str) -> TriageRules:
    """Read rules. The file is data: nothing in it is executed.

    Args:
        path: A file that `TriageRules.save` wrote.

    Returns:
        The rules.

    Raises:
        InputError: If the file cannot be read or holds no such rules.
    """
    try:
        content = json.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"cannot read the rules {path}: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path} does not hold triage rules: it is not JSON ({error})") from error
    try:
        return TriageRules.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(step) for step in first["loc"]) or "the file"
        raise InputError(
            f"{path} does not hold triage rules: {where}: {first['msg']}. Give a file that `twintrack triage rules` "
            "wrote."
        ) from error


def hash_of(calibration: Calibration) -> str:
    """Hash a calibration: SHA-256 of its JSON, the same before it was saved and after it was read."""
    return hashlib.sha256(calibration.model_dump_json().encode()).hexdigest()
