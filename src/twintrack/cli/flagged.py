"""Showing which cases are unlike those of the calibration, once the results are written."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.markup import escape

from twintrack.cli.display import Named, console, message

if TYPE_CHECKING:
    from twintrack.calibration import Calibration


class Flagged:
    """Collects the cases that are unlike the fitted ones, with the reasons."""

    def __init__(self) -> None:
        self.reasons: dict[str, list[str]] = {}

    def __call__(self, case: Named, reasons: Sequence[str]) -> None:
        """Note a case; the signature is `twintrack.calibration.writing.responses.OnFlagged`."""
        self.reasons[case.id] = list(reasons)

    def show(self, *, n_cases: int, where: str, calibration: Calibration) -> None:
        """Say how many cases are flagged, and what they could not be compared with.

        Args:
            n_cases: How many cases there were.
            where: Where the reasons are written.
            calibration: What was applied.
        """
        if self.reasons:
            console.print(
                f"[yellow]flagged:[/] {len(self.reasons)} of {n_cases} cases are unlike those of the calibration; see "
                f"their maps before using them. The reasons are in {escape(where)}",
                highlight=False,
                soft_wrap=True,
            )
        if calibration.guard is None:
            message(
                "the calibration does not say what its cases looked like (withheld by a minimum count, or fitted by an "
                "older TwinTrack): only number of members, ROI and voxel size were compared; fit it again"
            )
