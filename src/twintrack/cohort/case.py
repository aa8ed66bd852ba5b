"""A `Case`: one examination, what the ensemble says of it and what its raters drew."""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from twintrack.cohort.checks import common_grid, mask_array, probability_array
from twintrack.cohort.sources import AnySource, RemoteSource, Source, as_source
from twintrack.compute.blocks import blocks, flat, mean_of
from twintrack.compute.threads import each
from twintrack.errors import CohortError, InputError, MissingExtraError
from twintrack.images import Volume
from twintrack.images.grid import Grid
from twintrack.images.packing.unpack import scratch_folder

MAX_RATERS = 255
"""Votes are counted in one byte per voxel."""

RATER_HINT = (
    "Name the values that count as the structure with rater_labels (on the command line --rater-labels, for example "
    "--rater-labels 2)."
)


@dataclass(frozen=True, eq=False)
class CaseData:
    """The voxels of a case, read and checked. All arrays lie on `grid`.

    Attributes:
        id: The case.
        grid: Where the voxels lie.
        members: M probability maps, float32 in [0, 1].
        raters: The masks of the raters present, by name, uint8 0 and 1.
        roi: uint8 mask of where the members predicted; None means everywhere.
        vessels: Label map; None where there is none or it was not asked for.
    """

    id: str
    grid: Grid
    members: tuple[NDArray[np.float32], ...]
    raters: Mapping[str, NDArray[np.uint8]]
    roi: NDArray[np.uint8] | None = None
    vessels: NDArray[Any] | None = None

    def probability(self) -> NDArray[np.float32]:
        """Average the members.

        Returns:
            float32 map on the grid: the mean of the members' probabilities, exactly 0 outside the ROI. A new array.
        """
        rows = [flat(member) for member in self.members]
        inside = None if self.roi is None else flat(self.roi)
        return mean_inside(rows, inside).reshape(self.grid.shape)


class Case:
    """One examination. Nothing is read from disk before `read`.

    Each volume may be an array, a `Volume`, the path or the address of an image file (`twintrack.images.remote`), or a
    source (`twintrack.cohort.sources`).

    Args:
        id: Name of the case, unique in its cohort.
        members: Probability maps of the M members of the ensemble.
        probability: One probability map instead of members.
        raters: Masks of the raters. A sequence names them "1", "2", … by position; None in it is a missing rater, which
            is not the same as an empty mask. A mapping gives names.
        roi: Mask of where the members predicted; outside it probability and response are 0. None: everywhere.
        vessels: Label map of vessels.
        image: The CT, for reference.
        spacing: Voxel size in mm in array order, (z, y, x) or (y, x), for arrays; None where not known.
        grid: Grid of arrays, instead of `spacing`.
        patient: Whose examination it is; cases of one patient are resampled together. By default the case itself.
        split: Which part of a study it belongs to ("calibration", "test", …).
        foreground: What was merged into the structure's probability, for the record.
        problem: Why the case cannot be used, where that is known before anything is read.

    Raises:
        CohortError: If both members and probability are given, or neither raters, members nor probability, or one
            array or file stands where several are expected.
        GeometryError: If an array does not fit `grid` or `spacing`.

    Examples:
        >>> import numpy as np
        >>> p = np.full((2, 4, 4), 0.5, np.float32)
        >>> mask = np.ones((2, 4, 4), np.uint8)
        >>> case = Case("c1", members=[p, p], raters=[mask, None, mask], spacing=(3.0, 0.7, 0.7))
        >>> list(case.raters)
        ['1', '3']
    """

    def __init__(
        self,
        id: str,  # noqa: A002  (what users call it)
        *,
        members: Sequence[AnySource] = (),
        probability: AnySource | None = None,
        raters: Sequence[AnySource | None] | Mapping[str, AnySource] = (),
        roi: AnySource | None = None,
        vessels: AnySource | None = None,
        image: AnySource | None = None,
        spacing: Sequence[float] | None = None,
        grid: Grid | None = None,
        patient: str | None = None,
        split: str | None = None,
        foreground: tuple[str, ...] | None = None,
        problem: str | None = None,
    ) -> None:
        if probability is not None and len(members):
            raise CohortError(f"case {id}: give members or one probability, not both")
        _require_several(members, f"case {id}: members")
        _require_several(raters, f"case {id}: raters")

        def source(given: AnySource, what: str) -> Source:
            return as_source(given, name=f"{what} of case {id}", grid=grid, spacing=spacing)

        def optional(given: AnySource | None, what: str) -> Source | None:
            return None if given is None else source(given, what)

        maps = members if probability is None else [probability]
        named = raters if isinstance(raters, Mapping) else {str(k): r for k, r in enumerate(raters, start=1)}
        self.id = id
        self.members = tuple(source(given, f"member {k}") for k, given in enumerate(maps, start=1))
        self.raters = {name: source(given, f"rater {name}") for name, given in named.items() if given is not None}
        self.roi = optional(roi, "ROI")
        self.vessels = optional(vessels, "vessels")
        self.image = optional(image, "image")
        self.patient = patient or id
        self.split = split
        self.foreground = foreground
        self.problem = problem
        if len(self.raters) > MAX_RATERS:
            raise CohortError(f"case {id}: {len(self.raters)} raters; at most {MAX_RATERS} can be counted")
        if not (self.members or self.raters or problem):
            raise CohortError(f"case {id}: neither members nor raters are given")

    def __repr__(self) -> str:
        return f"Case({self.id!r}, members={len(self.members)}, raters={list(self.raters)})"

    @property
    def files(self) -> tuple[Path, ...]:
        """The files of members, raters and ROI, in this order; empty for a case in memory."""
        sources = (*self.members, *self.raters.values(), *([self.roi] if self.roi else []))
        return tuple(file for source in sources for file in source.files)

    @property
    def grid(self) -> Grid:
        """Where the voxels lie, from the header of the first file that says it; whether all agree is checked by `read`.

        Raises:
            CohortError: If the case has no volume.
            InputError: If a file cannot be read.
        """
        optional = [source for source in (self.image, self.roi, self.vessels) if source]
        grids = (source.read_grid() for source in (*self.raters.values(), *optional, *self.members))
        first = None
        for grid in grids:
            if grid.known:
                return grid
            first = first or grid
        if first is None:
            raise CohortError(f"case {self.id}: {self.problem or 'it has no volume'}")
        return first

    def read(self, *, members: bool = True, raters: bool = True, vessels: bool = False) -> CaseData:
        """Read and check the voxels.

        Args:
            members: Whether members (and the ROI) are needed; the case must then have some.
            raters: Whether raters are needed; the case must then have some.
            vessels: Whether vessels are read, where there are any.

        Returns:
            What was read.

        Raises:
            CohortError: If the case has a known problem, or lacks members or raters that are needed.
            InputError: If a file cannot be read, a probability is outside [0, 1] or a mask is not binary.
            GeometryError: If two volumes do not lie on the same grid.
        """
        self.require(members=members, raters=raters)
        with naming(self.id):
            return self._read(members=members, raters=raters, vessels=vessels)

    def require(self, *, members: bool, raters: bool) -> None:
        """Refuse a case that lacks what is needed, before anything is read.

        Args:
            members: Whether members are needed.
            raters: Whether raters are needed.

        Raises:
            CohortError: If the case has a known problem, or lacks them.
        """
        if self.problem:
            raise CohortError(f"case {self.id}: {self.problem}")
        if members and not self.members:
            raise CohortError(f"case {self.id}: no member predicted it; give the members' predictions (--members)")
        if raters and not self.raters:
            raise CohortError(
                f"case {self.id}: no rater drew it; a calibration and a score need at least one (--raters)"
            )

    @contextlib.contextmanager
    def at_hand(self, *, members: bool = True, raters: bool = True, vessels: bool = False) -> Iterator[Case]:
        """Copy what lies elsewhere to this machine, for the time of a block.

        Args:
            members: Whether members (and the ROI) are needed.
            raters: Whether raters are needed.
            vessels: Whether vessels are needed.

        Yields:
            The case with copies of these, or the case itself where all is here. The image stays where it is.

        Raises:
            InputError: If a file cannot be fetched whole.
            MissingExtraError: If a package for this kind of address is not installed.
            OutputError: If there is no room for the copies.
        """
        all_sources = (*self.members, *self.raters.values(), self.roi, self.vessels)
        if self.problem or not any(isinstance(source, RemoteSource) for source in all_sources):
            yield self
            return
        with scratch_folder() as folder:
            fetched = partial(_fetched, folder=folder, number=count())
            near = copy.copy(self)
            with naming(self.id):
                if members:
                    near.members = tuple(map(fetched, self.members))
                    near.roi = fetched(self.roi) if self.roi else None
                if raters:
                    near.raters = {name: fetched(source) for name, source in self.raters.items()}
                if vessels and self.vessels:
                    near.vessels = fetched(self.vessels)
            yield near

    def _read(self, *, members: bool, raters: bool, vessels: bool) -> CaseData:
        maps = each(lambda source: source.read(), self.members) if members else []
        masks = {name: source.read() for name, source in self.raters.items()} if raters else {}
        roi = self.roi.read() if members and self.roi else None
        labels = self.vessels.read() if vessels and self.vessels else None
        extra = [volume for volume in (roi, labels) if volume is not None]
        grid = common_grid([*maps, *masks.values(), *extra])
        return CaseData(
            id=self.id,
            grid=grid,
            members=tuple(probability_array(volume) for volume in maps),
            raters={name: mask_array(volume, hint=RATER_HINT) for name, volume in masks.items()},
            roi=None if roi is None else mask_array(roi, hint="An ROI is one region."),
            vessels=None if labels is None else labels.array,
        )

    def read_image(self) -> Volume | None:
        """Read the reference image, or give None where there is none.

        Raises:
            InputError: If the file cannot be read.
        """
        return self.image.read() if self.image else None


def mean_inside(rows: Sequence[NDArray[np.float32]], inside: NDArray[np.uint8] | None) -> NDArray[np.float32]:
    """Average the members of a case, or of a part of one.

    Args:
        rows: M flat float32 arrays of equal size.
        inside: Flat uint8 of that size, 0 outside the ROI; None: all are inside.

    Returns:
        float32 mean, exactly 0 outside the ROI. A new array.
    """
    out = np.empty(rows[0].size, np.float32)
    for part in blocks(out.size):
        out[part] = mean_of(rows, part)
        if inside is not None:
            out[part][inside[part] == 0] = 0
    return out


def _fetched(source: Source, *, folder: Path, number: Iterator[int]) -> Source:
    """Fetch a source into a folder of its own: members' files have one name."""
    if not isinstance(source, RemoteSource):
        return source
    place = folder / str(next(number))
    place.mkdir()
    return source.fetched(place)


def _require_several(given: object, what: str) -> None:
    """Refuse what could be walked through but is one thing.

    Pitfall: the slices of a lone 3-D array would be taken for members, the letters of a file name for files.
    """
    one_array = isinstance(given, np.ndarray) and given.ndim != 4
    if one_array or isinstance(given, (str, Path, Volume)):
        raise CohortError(
            f"{what}: a sequence is expected; write [x] for one, list(x) where the first axis counts them"
        )


@contextlib.contextmanager
def naming(case_id: str) -> Iterator[None]:
    """Say which case it is where the files' names do not.

    Args:
        case_id: The case.

    Raises:
        TwinTrackError: What was raised inside, with the case's name.
    """
    try:
        yield
    except (InputError, MissingExtraError) as error:
        if f"case {case_id}" in str(error):
            raise
        raise type(error)(f"case {case_id}: {error}") from error
