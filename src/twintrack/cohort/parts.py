"""A case whose members are read a part at a time, by a thread each, while the parts before are worked on."""

from __future__ import annotations

import contextlib
from collections.abc import Generator, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from twintrack.cohort.case import Case, mean_inside, naming
from twintrack.cohort.checks import are_probabilities, common_grid, mask_array, probability_array
from twintrack.cohort.sources import PredictionSource, Source
from twintrack.compute.ahead import ahead
from twintrack.compute.blocks import flat
from twintrack.errors import InputError
from twintrack.images import Volume
from twintrack.images.grid import Grid
from twintrack.images.parts import VolumeParts


@dataclass(frozen=True, eq=False)
class CasePart:
    """Some neighbouring voxels of a case, in C order.

    Attributes:
        members: M flat float32 arrays in [0, 1]; not to be written to.
        inside: Flat uint8, 0 outside the ROI; None where there is no ROI.
    """

    members: tuple[NDArray[np.float32], ...]
    inside: NDArray[np.uint8] | None

    def probability(self) -> NDArray[np.float32]:
        """Average the members as `twintrack.cohort.CaseData.probability` does; a new array."""
        return mean_inside(self.members, self.inside)


@dataclass(frozen=True, eq=False)
class CaseParts:
    """A case that is read a part at a time.

    Attributes:
        id: The case.
        grid: Where the voxels lie.
        n_members: Number of members.
        has_roi: Whether there is an ROI.
        parts: The voxels, checked as they come; all parts but the last have `twintrack.images.parts.PART`. What is
            wrong with a file may come to light at the end only: until all parts were given, none may be relied on.
    """

    id: str
    grid: Grid
    n_members: int
    has_roi: bool
    parts: Iterator[CasePart]


@contextlib.contextmanager
def reading_in_parts(case: Case) -> Generator[CaseParts, None, None]:
    """Read the members and the ROI of a case a part at a time.

    nnU-Net's predictions are inflated as they are needed; other members, and the ROI, are read before the first part.

    Args:
        case: The case.

    Yields:
        Its parts; threads and files are closed afterwards.

    Raises:
        CohortError: If the case has a known problem, or no members.
        InputError: If a file cannot be read, a probability is outside [0, 1] or the ROI is not binary; of members in
            parts when these are asked for.
        GeometryError: If two volumes do not lie on the same grid.
    """
    case.require(members=True, raters=False)
    with contextlib.ExitStack() as stack:
        with naming(case.id):
            members = [_in_parts(source) for source in case.members]
            roi = case.roi.read() if case.roi else None
            grid = common_grid([*members, *([] if roi is None else [roi])])
            inside = None if roi is None else flat(mask_array(roi, hint="An ROI is one region."))
        parts = [stack.enter_context(ahead(member.parts)) for member in members]
        yield CaseParts(case.id, grid, len(members), inside is not None, _joined(case.id, parts, inside))


def _in_parts(source: Source) -> VolumeParts:
    if isinstance(source, PredictionSource):
        volume = source.read_in_parts()
        return VolumeParts(_checked(volume, source), volume.grid, volume.name)
    whole = source.read()
    return VolumeParts.of(Volume(probability_array(whole), whole.grid, whole.name))


def _checked(volume: VolumeParts, source: Source) -> Generator[NDArray[np.float32], None, None]:
    with contextlib.closing(volume.parts) as parts:
        for part in parts:
            if not are_probabilities(part):
                probability_array(source.read())  # which says how many there are, and where
                raise InputError(f"{volume.name}: it changed while it was read")
            yield part


def _joined(
    case_id: str, members: list[Iterator[NDArray[np.float32]]], inside: NDArray[np.uint8] | None
) -> Iterator[CasePart]:
    start = 0
    with naming(case_id):
        for rows in zip(*members, strict=True):
            stop = start + rows[0].size
            yield CasePart(rows, None if inside is None else inside[start:stop])
            start = stop
