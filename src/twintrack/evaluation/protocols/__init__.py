"""The scoring protocols: one file each, chosen by name."""

from __future__ import annotations

from collections.abc import Callable

from twintrack.errors import InputError
from twintrack.evaluation.protocols.base import CaseScores, ScoreSet, ScoringProtocol
from twintrack.evaluation.protocols.extended import ExtendedProtocol
from twintrack.evaluation.protocols.pdacvi import PdacviProtocol
from twintrack.evaluation.protocols.response import ResponseProtocol
from twintrack.evaluation.protocols.score import Score

PROTOCOLS: dict[str, Callable[[], ScoringProtocol]] = {
    "response": ResponseProtocol,
    "extended": ExtendedProtocol,
    "pdacvi-official": lambda: PdacviProtocol("official"),
    "pdacvi-corrected": lambda: PdacviProtocol("corrected"),
}
"""How to make each protocol with its usual settings, by name."""


def protocol_named(name: str) -> ScoringProtocol:
    """Make a protocol.

    Raises:
        InputError: If there is none of this name.
    """
    if name not in PROTOCOLS:
        raise InputError(f"unknown protocol {name!r}; known are {', '.join(PROTOCOLS)}")
    return PROTOCOLS[name]()


__all__ = ["PROTOCOLS", "CaseScores", "Score", "ScoreSet", "ScoringProtocol", "protocol_named"]
