"""What is in the file of a response table, as it is written and checked."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Final, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, model_validator
from typing_extensions import Self

from twintrack.calibration.counted_case import CountedCase, in_order
from twintrack.calibration.guard.case_summary import CaseSummary
from twintrack.calibration.provenance import MERGE
from twintrack.calibration.record import CaseRecord
from twintrack.calibration.table import ResponseTable, Weighting, voxel_weight
from twintrack.calibration.tally import N_GROUPS, CaseTally, grouped
from twintrack.calibration.target import Target
from twintrack.calibration.withheld import LARGEST, WithheldCases
from twintrack.compute.levels import N_LEVELS, SCHEME
from twintrack.errors import CalibrationError

SCHEMA_VERSION = 1
"""Version of the file; raised when an older TwinTrack could not read a newer file."""

KIND: Final = "twintrack response table"
"""What the file says it is."""

Sum: TypeAlias = Annotated[int, Field(ge=0, le=LARGEST)]


class _Rows(BaseModel):
    """Numbers of voxels, or their weights, by votes: those rows of a larger array that are not all 0."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    def _require_rows(self, where: tuple[int, ...], votes: tuple[tuple[int, ...], ...], size: int) -> None:
        if len(where) != len(votes):
            raise ValueError("not as many rows as places")
        if len({len(row) for row in votes}) > 1 or any(len(row) < 2 for row in votes):
            raise ValueError("every row needs a number for each number of votes, from none to all")
        if list(where) != sorted(set(where)) or any(not 0 <= place < size for place in where):
            raise ValueError("places are not strictly increasing, or there are no such places")


class CountsContent(_Rows):
    """The counts of one number of raters."""

    level: tuple[int, ...]
    votes: tuple[tuple[Sum, ...], ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _check(self) -> Self:
        self._require_rows(self.level, self.votes, N_LEVELS)
        return self

    @classmethod
    def of(cls, counts: NDArray[np.int64]) -> Self:
        """Take the rows of an array (`N_LEVELS`, K + 1), of which one at least is not all 0."""
        level = np.flatnonzero(counts.any(axis=1))
        return cls(level=tuple(level.tolist()), votes=tuple(map(tuple, counts[level].tolist())))

    def array(self) -> NDArray[np.int64]:
        """Give that array."""
        counts = np.zeros((N_LEVELS, len(self.votes[0])), np.int64)
        counts[list(self.level)] = self.votes
        return counts


class TallyContent(_Rows):
    """A `CaseTally`."""

    n_masks: int = Field(ge=1)
    group: tuple[int, ...]
    probability: tuple[Annotated[float, Field(ge=0, le=1)], ...]
    votes: tuple[tuple[Sum, ...], ...]
    drawn: tuple[Sum, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _check(self) -> Self:
        self._require_rows(self.group, self.votes, N_GROUPS)
        if len(self.probability) != len(self.group) or any(len(row) != self.n_masks + 1 for row in self.votes):
            raise ValueError("probabilities or votes do not go with the groups")
        return self

    @classmethod
    def of(cls, tally: CaseTally) -> Self:
        """Take a tally."""
        return cls(
            n_masks=tally.votes.shape[1] - 1,
            group=tuple(tally.group.tolist()),
            probability=tuple(tally.probability.tolist()),
            votes=tuple(map(tuple, tally.votes.tolist())),
            drawn=tally.drawn,
        )

    def tally(self) -> CaseTally:
        """Give that tally."""
        return CaseTally(
            np.array(self.group, np.int64),
            np.array(self.probability, np.float64),
            np.array(self.votes, np.int64).reshape(-1, self.n_masks + 1),
            self.drawn,
        )


class CaseContent(BaseModel):
    """A `CountedCase`; patients are numbered from 0 within the file."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    patient: int = Field(ge=0)
    record: CaseRecord
    summary: CaseSummary
    tally: TallyContent


class TableContent(BaseModel):
    """All that is in the file, below the checksum."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["twintrack response table"]
    schema_version: int
    levels: str
    merge: str
    target: str
    weighting: Weighting
    n_skipped: int = Field(ge=0)
    withheld: tuple[WithheldCases, ...]
    cases: tuple[CaseContent, ...]
    counts: dict[Annotated[int, Field(ge=1)], CountsContent]

    @model_validator(mode="after")
    def _check(self) -> Self:
        if _counted_as(self.target) != self.target:
            raise ValueError(f"the target is {self.target}; a table of votes counts them as {_counted_as(self.target)}")
        if not self.cases and not self.withheld:
            raise ValueError("there is no case")
        for k, found in self.counts.items():
            if len(found.votes[0]) != k + 1:
                raise ValueError(
                    f"the counts of {k} raters have {len(found.votes[0])} numbers of votes, expected {k + 1}"
                )
        return self

    @classmethod
    def of(cls, table: ResponseTable) -> Self:
        """Take a table; order and names of its cases and patients leave no trace."""
        ordered = [(table.cases[index], patient) for index, patient in in_order(table.cases)]
        return cls(
            kind=KIND,
            schema_version=SCHEMA_VERSION,
            levels=SCHEME,
            merge=MERGE,
            target=table.target,
            weighting=table.weighting,
            n_skipped=table.n_skipped,
            withheld=tuple(sorted(table.withheld, key=WithheldCases.model_dump_json)),
            cases=tuple(
                CaseContent(
                    patient=patient, record=case.record, summary=case.summary, tally=TallyContent.of(case.tally)
                )
                for case, patient in ordered
            ),
            counts={k: CountsContent.of(counts) for k, counts in sorted(table.counts.items()) if counts.any()},
        )

    def table(self, sha256: str) -> ResponseTable:
        """Give that table; patients are called by the file's checksum too, so that no two sites share one."""
        cases = tuple(
            CountedCase(f"{sha256}:{case.patient}", case.record, case.tally.tally(), case.summary)
            for case in self.cases
        )
        counts = {k: found.array() for k, found in self.counts.items()}
        return ResponseTable(counts, self.target, self.weighting, cases, self.withheld, self.n_skipped)


def _counted_as(target: str) -> str:
    try:
        return Target(target).counted_as
    except CalibrationError as error:
        raise ValueError(str(error)) from error


def contradictions(table: ResponseTable) -> Iterator[str]:
    """Say where the cases of a table and its counts do not tell the same.

    Args:
        table: The table.

    Yields:
        What is wrong, in words.
    """
    expected: dict[int, NDArray[np.int64]] = {}
    for number, case in enumerate(table.cases, start=1):
        tally, record = case.tally, case.record
        if int(tally.voxels.sum()) != record.voxels or len(tally.drawn) != record.raters:
            yield f"its case {number} has {record.voxels} voxels and {record.raters} raters, which its tally has not"
        n_votes = tally.votes.shape[1]
        each = voxel_weight(tally.n_above_zero, table.weighting)
        sums = expected.setdefault(n_votes - 1, np.zeros((N_GROUPS, n_votes), np.int64))
        sums[tally.group] += each * tally.votes
    found = {k: grouped(counts) for k, counts in table.counts.items()}
    for k in sorted(expected.keys() | found.keys()):
        none = np.zeros((N_GROUPS, k + 1), np.int64)
        if not np.array_equal(found.get(k, none), expected.get(k, none)):
            yield f"its counts of {k} raters are not the sum of its cases"
