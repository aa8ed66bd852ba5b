"""The response table: how often each probability level met each number of votes; all that a fit needs.

A table is filled in one pass, its size does not depend on the number of voxels, and tables add exactly (all
entries are integers), so cases, processes, machines and sites are merged by summation in any order.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal, TypeAlias, get_args

import numpy as np
from numpy.typing import NDArray

from twintrack.calibration.counted_case import CountedCase
from twintrack.calibration.curve import Curve
from twintrack.calibration.guard.case_summary import CaseSummary
from twintrack.calibration.record import CaseRecord
from twintrack.calibration.tally import CaseTally
from twintrack.calibration.target import MAJORITY, RESPONSE, Target
from twintrack.calibration.withheld import WithheldCases
from twintrack.cohort import Case, CaseData
from twintrack.compute.blocks import flat, mean_of, sum_of
from twintrack.compute.kernels import count_levels
from twintrack.compute.levels import N_LEVELS, level_values
from twintrack.compute.threads import share_blocks
from twintrack.errors import CalibrationError

Weighting: TypeAlias = Literal["voxels", "cases"]
"""Whether every voxel counts alike, or every case (its voxels then share one weight)."""

CASE_WEIGHT = 1 << 40
"""Weight of a case under weighting "cases", in the integer units of the table.

A case's voxels inside the ROI with probability above 0 share it equally, each rounded to an integer. For
1e8 voxels the rounding changes the case's weight by less than 5e-5; about eight million cases fit into 64 bits.
"""


@dataclass(frozen=True, eq=False)
class ResponseTable:
    """Counts of (probability level × number of votes), for each number of raters.

    Attributes:
        counts: For each number of raters K an int64 array (`N_LEVELS`, K + 1): the weight of the voxels at
            that level that j of K raters labelled; withheld cases apart.
        target: What the votes are: "response" (all raters), "staple" or "rater:NAME" (one mask, K = 1).
        weighting: "voxels" or "cases".
        cases: What is kept of each case counted.
        withheld: Cases of which only sums are known, for each site that gives no more.
        n_skipped: Cases that could not be used and are not counted.
    """

    counts: Mapping[int, NDArray[np.int64]]
    target: str = RESPONSE
    weighting: Weighting = "voxels"
    cases: tuple[CountedCase, ...] = field(default=())
    withheld: tuple[WithheldCases, ...] = field(default=())
    n_skipped: int = 0

    @classmethod
    def from_case(cls, case: Case, *, target: str = RESPONSE, weighting: Weighting = "voxels") -> ResponseTable:
        """Count a case.

        Args:
            case: The case; it is read.
            target: What to count as votes; "majority" counts as "response" does.
            weighting: Whether voxels or cases count alike.

        Returns:
            The table.

        Raises:
            CalibrationError: If target or weighting is not known.
            TwinTrackError: If the case cannot be read or lacks the rater asked for.
        """
        return cls.from_data(case, case.read(), target=target, weighting=weighting)

    @classmethod
    def from_data(
        cls, case: Case, data: CaseData, *, target: str = RESPONSE, weighting: Weighting = "voxels"
    ) -> ResponseTable:
        """Count a case that has been read; see `from_case`."""
        if weighting not in get_args(Weighting):
            raise CalibrationError(f"unknown weighting {weighting!r}; known are {', '.join(get_args(Weighting))}")
        wanted = Target(target)
        masks = [flat(mask) for mask in wanted.masks(data.raters, case_id=case.id)]
        counts = count_votes(data, masks)
        counted = CountedCase(
            patient=case.patient,
            record=CaseRecord.of(case, data, histogram=counts.sum(axis=1)),
            tally=CaseTally.of(counts, data.raters),
            summary=CaseSummary.of(data),
        )
        counts *= voxel_weight(counted.tally.n_above_zero, weighting)
        return cls({len(masks): counts}, wanted.counted_as, weighting, (counted,))

    def __add__(self, other: ResponseTable) -> ResponseTable:
        """Merge two tables; exact, associative and commutative.

        Raises:
            CalibrationError: If they count different targets or weigh differently.
        """
        if (self.target, self.weighting) != (other.target, other.weighting):
            raise CalibrationError(
                f"tables of different kinds cannot be added: one counts {self.target} with weighting {self.weighting}, "
                f"the other {other.target} with weighting {other.weighting}"
            )
        merged = dict(self.counts)
        for k, counts in other.counts.items():
            merged[k] = merged[k] + counts if k in merged else counts
        return ResponseTable(
            merged,
            self.target,
            self.weighting,
            self.cases + other.cases,
            self.withheld + other.withheld,
            self.n_skipped + other.n_skipped,
        )

    @cached_property
    def n_voxels(self) -> int:
        """Voxels counted, over all cases."""
        return sum(record.voxels for record in self.records) + sum(site.voxels for site in self.withheld)

    @property
    def n_cases(self) -> int:
        """Number of cases counted."""
        return len(self.cases) + sum(site.n_cases for site in self.withheld)

    @property
    def records(self) -> tuple[CaseRecord, ...]:
        """The record of each case that is not withheld."""
        return tuple(case.record for case in self.cases)

    def curve(self, *, target: str = RESPONSE, pin_zero: bool = True) -> Curve:
        """Give the mean target at every level that occurs.

        Args:
            target: What to fit to; "response" and "majority" are both read off a table of responses.
            pin_zero: Leave out the voxels whose probability is exactly 0.

        Returns:
            The curve, by increasing probability.

        Raises:
            CalibrationError: If the table counts another target, cases are withheld of which the sums do not tell what
                is asked for, or no voxel is left.
        """
        if Target(target).counted_as != self.target:
            raise CalibrationError(f"this table counts {self.target}; it cannot be fitted to {target}")
        if self.withheld and (target == MAJORITY or not pin_zero):
            raise CalibrationError(
                "a table with a minimum count tells neither the votes of single voxels nor of those whose probability "
                "is 0: it cannot be fitted to the majority, nor without pin_zero"
            )
        weight = np.zeros(N_LEVELS)
        total = np.zeros(N_LEVELS)
        for k, counts in sorted(self.counts.items()):
            votes = np.arange(k + 1)
            value = (votes > k / 2).astype(float) if target == MAJORITY else votes / k
            weight += np.einsum("ij->i", counts)  # five times as fast as the sum of rows so short
            total += counts @ value
        for site in sorted(self.withheld, key=WithheldCases.model_dump_json):  # sums of fractions depend on the order
            weight[list(site.level)] += site.weight
            total[list(site.level)] += np.asarray(site.votes) / site.unit
        first = 1 if pin_zero else 0
        occupied = np.flatnonzero(weight[first:]) + first
        return Curve(level_values()[occupied], weight[occupied], total[occupied] / weight[occupied])


def count_votes(data: CaseData, masks: Sequence[NDArray[np.uint8]]) -> NDArray[np.int64]:
    """Count a case's voxels inside the ROI by the level of their probability and their votes, in one pass.

    Args:
        data: The case; its members are averaged block by block.
        masks: The K masks whose votes are counted, flat, uint8 0 and 1.

    Returns:
        int64 (`N_LEVELS`, K + 1).
    """
    members = [flat(member) for member in data.members]
    inside = None if data.roi is None else flat(data.roi)
    everywhere = np.empty(0, np.uint8)

    # Half the bytes of the result: a table for each thread, most of which its cache holds.
    small = np.uint32 if members[0].size < 1 << 32 else np.int64

    def count(parts: Iterable[slice]) -> NDArray[Any]:
        counts = np.zeros((N_LEVELS, len(masks) + 1), small)
        for part in parts:
            where = everywhere if inside is None else inside[part]
            count_levels(mean_of(members, part), sum_of(masks, part), where, counts)
        return counts

    first, *others = share_blocks(count, members[0].size)
    total = first.astype(np.int64)
    for counts in others:
        total += counts
    return total


def voxel_weight(n_voxels: int, weighting: Weighting) -> int:
    """Give the integer weight of each of a case's voxels.

    Args:
        n_voxels: Voxels inside its ROI whose probability is above 0.
        weighting: Whether voxels or cases count alike.

    Returns:
        1 where voxels count alike.
    """
    return 1 if weighting == "voxels" else max(1, round(CASE_WEIGHT / max(n_voxels, 1)))
