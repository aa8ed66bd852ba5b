"""What a report relies on in `summary.json`: checked before anything is laid out, since files may be of any version."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, Field, ValidationError


class _Estimate(BaseModel):
    value: float | None
    low: float | None
    high: float | None


class _Difference(_Estimate):
    of: str
    to: str


class _Score(BaseModel):
    label: str
    meaning: str
    unit: str
    better: Literal["lower", "higher", "zero"]
    predictions: dict[str, _Estimate]
    differences: list[_Difference]


class _Bootstrap(BaseModel):
    repeats: int
    seed: int
    level: float
    unit: str


class _Summary(BaseModel):
    protocol: str
    n_cases: int = Field(ge=0)
    n_patients: int = Field(ge=0)
    n_cases_seen_by_the_fit: int = Field(ge=0)
    bootstrap: _Bootstrap
    scores: dict[str, _Score]


def problem_of(summary: Any) -> str | None:
    """Say what a summary lacks.

    Args:
        summary: What was read from `summary.json`.

    Returns:
        The first thing that is missing or not what it should be, in words; None where a report can be made of it.
    """
    try:
        _Summary.model_validate(summary)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(step) for step in first["loc"]) or "the whole"
        return f"{where}: {first['msg'].lower()} ({error.error_count()} such in all)"
    return None
