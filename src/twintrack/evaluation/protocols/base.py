"""What every scoring protocol is: a list of scores, and a way to compute them for one case."""

from __future__ import annotations

import warnings
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from twintrack.cohort import CaseData
from twintrack.errors import TwinTrackWarning
from twintrack.evaluation.protocols.score import Score
from twintrack.evaluation.scores.reliability import Reliability


@dataclass(frozen=True, eq=False)
class CaseScores:
    """The scores of one prediction of one case.

    Attributes:
        values: Score by name; NaN where it has no value for this case.
        sums: Sums over the case's voxels from which scores of the whole cohort are made.
    """

    values: Mapping[str, float]
    sums: Mapping[str, Reliability] = field(default_factory=dict)


@contextmanager
def naming_the_case(case_id: str) -> Iterator[None]:
    """Say in every `TwinTrackWarning` of the block which case it is about."""
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always", TwinTrackWarning)
        yield
    for warning in said:
        warnings.warn(f"case {case_id}: {warning.message}", warning.category, stacklevel=3)


class ScoreSet(ABC):
    """A set of scores: what each is, and how a cohort's are made of its cases'.

    Attributes:
        name: What it is called on the command line and in files.
    """

    name: str

    @abstractmethod
    def describe(self, name: str) -> Score:
        """Say what a score is.

        Args:
            name: A name that occurs in `CaseScores.values` or in the result of `pool`.

        Returns:
            The score.
        """

    def pool(self, cases: Sequence[CaseScores]) -> dict[str, list[Reliability]]:  # noqa: ARG002
        """Give, for each score that is computed over the voxels of all cases together, each case's binned sums."""
        return {}


class ScoringProtocol(ScoreSet):
    """A set of scores of one structure. A new protocol is a subclass and an entry in `PROTOCOLS`.

    Attributes:
        needs_vessels: Whether the vessels of a case are read.
    """

    needs_vessels: bool = False

    @abstractmethod
    def score(self, data: CaseData, prediction: NDArray[np.float32]) -> CaseScores:
        """Score one prediction of a case.

        Args:
            data: The case's voxels; its raters, grid and vessels are used.
            prediction: Probability or response, float32 in [0, 1], on the case's grid.

        Returns:
            The scores.
        """

    def score_each(self, data: CaseData, predictions: Mapping[str, NDArray[np.float32]]) -> dict[str, CaseScores]:
        """Score several predictions of a case.

        A protocol overrides this to compute once what depends on the raters alone.

        Args:
            data: The case's voxels.
            predictions: Predictions by name, as for `score`.

        Returns:
            The scores of each, as `score` gives them.
        """
        return {name: self.score(data, prediction) for name, prediction in predictions.items()}
