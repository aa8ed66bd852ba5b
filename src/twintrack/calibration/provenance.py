"""Where a calibration comes from: what was fitted, on how much, with which software."""

from __future__ import annotations

from collections import Counter
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from twintrack.calibration.record import CaseRecord
from twintrack.calibration.table import ResponseTable
from twintrack.calibration.withheld import WithheldCases
from twintrack.software import versions

MERGE = "mean over members of the sum (softmax) or maximum (regions) over the foreground's channels"
"""How one probability is made of members and channels."""


class Provenance(BaseModel):
    """What a calibration was fitted on.

    Attributes:
        target: "response", "majority", "staple" or "rater:NAME".
        weighting: Whether every voxel or every case counted alike, or voxels by how much their raters tell.
        exact: Whether single probabilities rather than levels were fitted.
        n_cases: Number of cases; more than there are records where a site withheld some.
        n_voxels: Voxels inside the ROI, over all cases.
        n_skipped: Cases left out because they could not be used.
        raters: How many cases had how many raters, as far as sites say.
        members: Numbers of members that occurred.
        roi: Whether the cases had an ROI.
        foreground: What was merged into the structure's probability; None where the input did not say.
        merge: How members and channels were merged.
        spacing_range: For each array axis smallest and largest voxel size in mm; empty where not known of all.
        cases: A record for each case that was not withheld, in an order of its own (by hash).
        software: Versions of the software that fitted it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    target: str
    weighting: Literal["voxels", "cases", "raters"]
    exact: bool = False
    n_cases: int = Field(ge=1)
    n_voxels: int = Field(ge=1)
    n_skipped: int = Field(default=0, ge=0)
    raters: dict[int, int]
    members: tuple[int, ...]
    roi: bool
    foreground: tuple[str, ...] | None = None
    merge: str = MERGE
    spacing_range: tuple[tuple[float, float], ...] = ()
    cases: tuple[CaseRecord, ...]
    software: dict[str, str]

    @property
    def n_withheld(self) -> int:
        """Number of cases of which only sums are known (`twintrack.calibration.withheld`)."""
        return self.n_cases - len(self.cases)

    @classmethod
    def of(
        cls,
        table: ResponseTable,
        *,
        target: str,
        weighting: Literal["voxels", "cases", "raters"] | None = None,
        exact: bool,
    ) -> Provenance:
        """Describe a fit.

        Args:
            table: What was fitted.
            target: What it was fitted to.
            weighting: What counted alike, where that is not the table's own.
            exact: Whether single probabilities were fitted.

        Returns:
            The provenance; the same whatever the order of the cases.
        """
        records = sorted(table.records, key=lambda record: record.model_dump_json())
        withheld = table.withheld
        numbers = Counter(record.raters for record in records)
        for site in withheld:
            numbers.update(site.raters)
        both: list[CaseRecord | WithheldCases] = [*records, *withheld]
        foregrounds = {one.foreground for one in both}
        members = {record.members for record in records}.union(*(site.members for site in withheld))
        return cls(
            target=target,
            weighting="raters" if weighting == "raters" else table.weighting,
            exact=exact,
            n_cases=table.n_cases,
            n_voxels=table.n_voxels,
            n_skipped=table.n_skipped,
            raters=dict(sorted(numbers.items())),
            members=tuple(sorted(members)),
            roi=all(one.roi for one in both),
            foreground=foregrounds.pop() if len(foregrounds) == 1 else None,
            spacing_range=() if withheld else _spacing_range(records),
            cases=tuple(records),
            software=versions("twintrack", "numpy", "scipy", "numba"),
        )


def _spacing_range(records: list[CaseRecord]) -> tuple[tuple[float, float], ...]:
    spacings = [record.spacing for record in records]
    if len({len(spacing) for spacing in spacings}) != 1:
        return ()
    return tuple((min(axis), max(axis)) for axis in zip(*spacings, strict=True))
