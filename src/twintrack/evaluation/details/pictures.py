"""Small pictures of a few cases: the part around the lesion, as bytes, for a report to draw.

The cases are read once more, after all scores are known: which are best and worst is not known before, and keeping the
voxels of every case until then would cost memory with the number of cases.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from twintrack.cohort import Case, CaseData, Cohort, Progress, map_cases
from twintrack.compute.executors import Executor
from twintrack.errors import InputError, TwinTrackWarning
from twintrack.evaluation.candidates import Candidates
from twintrack.evaluation.choice import Chosen
from twintrack.evaluation.scores.arrays import bounding_box
from twintrack.images import Volume
from twintrack.images.windows import ABDOMEN, LUNG, Window
from twintrack.raters.response import vote_count
from twintrack.segmentation.orientation import oriented

MARGIN = 12.0
"""How far in mm a picture reaches beyond what was drawn or predicted; across slices, `MARGIN_SLICES`."""

MARGIN_SLICES = 2

SEEN = 0.25
"""Predictions from here on belong to what a picture must hold."""

LARGEST = (48, 176, 176)
"""Most slices, rows and columns of a picture; of a larger part only every n-th is kept. Three cases then stay below
10 MB."""

_AIR = -500.0  # HU; where more than a tenth of the part is darker, it is of the lung
_SHARE_OF_AIR = 10  # per cent


class PictureAbout(BaseModel):
    """What a picture shows.

    Attributes:
        case: The case.
        roles: What it is among the cases: "best", "median", "worst".
        score: The score it was chosen by.
        prediction: Whose score.
        value: Its score.
        raters: K.
        shape: Slices, rows and columns.
        step: Which of the image's voxels are kept along each of them: every one, every second, …
        first_slice: Number of the first slice in the image, from 1.
        n_slices: Slices of the image.
        pixel: Height and width of a pixel in mm.
        upright: Whether rows run towards the patient's back and columns towards the left, as radiologists look at it.
        window: HU shown black and white; None where there is no CT.
        no_ct: Why there is none.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    case: str
    roles: tuple[str, ...]
    score: str
    prediction: str
    value: float
    raters: int
    shape: tuple[int, int, int]
    step: tuple[int, int, int]
    first_slice: int
    n_slices: int
    pixel: tuple[float, float]
    upright: bool
    window: Window | None
    no_ct: str | None


@dataclass(frozen=True, eq=False)
class Picture:
    """A part of a case; arrays (slices, rows, columns) of uint8.

    Attributes:
        about: What it shows.
        votes: How many raters label a voxel, 0 … K.
        maps: Predictions by name, 0 … 255 for 0 … 1.
        ct: The CT, 0 black, 255 white; None where there is none.
    """

    about: PictureAbout
    votes: NDArray[np.uint8]
    maps: Mapping[str, NDArray[np.uint8]]
    ct: NDArray[np.uint8] | None


def picture_cases(
    cases: Iterable[Case],
    chosen: Sequence[Chosen],
    candidates: Candidates,
    *,
    progress: Progress | None = None,
    executor: Executor | None = None,
) -> list[Picture]:
    """Read the chosen cases once more and keep pictures of them.

    Args:
        cases: The cases among which they are.
        chosen: Which.
        candidates: What was scored of them.
        progress: Wraps the cases to show progress.
        executor: Who does the work; None: this process.

    Returns:
        A picture of each, in the order of `chosen`.

    Raises:
        TwinTrackError: If a case can no longer be read.

    Warns:
        TwinTrackWarning: If a case's CT cannot be shown, and why.
    """
    by_id = {case.id: case for case in cases}
    wanted = Cohort(by_id[one.case] for one in chosen)
    if not len(wanted):
        return []
    make = _Make({one.case: one for one in chosen}, candidates)
    members = candidates.members
    walk = map_cases(make, wanted, label="Keeping pictures", members=members, progress=progress, executor=executor)
    return list(walk)


@dataclass(frozen=True)
class _Make:
    """Makes the picture of a case."""

    chosen: Mapping[str, Chosen]
    candidates: Candidates

    def __call__(self, case: Case, data: CaseData) -> Picture:
        with warnings.catch_warnings():
            # That the case is unlike the fitted ones was said when it was scored.
            warnings.simplefilter("ignore", TwinTrackWarning)
            maps, _ = self.candidates.predict(case, data)
        ct, problem = _ct_of(case, data)
        if problem is not None and case.image is not None:
            warnings.warn(f"case {case.id}: {problem}", TwinTrackWarning, stacklevel=2)
        return _picture(data, maps, ct, self.chosen[case.id], problem)


def _ct_of(case: Case, data: CaseData) -> tuple[NDArray[Any] | None, str | None]:
    try:
        ct = case.read_image()
    except InputError as error:
        return None, f"its CT cannot be read: {error}"
    if ct is None:
        return None, "there is no CT beside its masks, and none was named (--images)"
    difference = ct.grid.difference(data.grid)
    return (ct.array, None) if difference is None else (None, f"its CT does not lie on the masks' grid: {difference}")


def _picture(
    data: CaseData, maps: Mapping[str, NDArray[np.float32]], ct: NDArray[Any] | None, chosen: Chosen, no_ct: str | None
) -> Picture:
    upright = data.grid.known and len(data.grid.shape) == 3
    counted = Volume(vote_count(list(data.raters.values())), data.grid)
    turned, turn = oriented(counted, "LPS" if upright else None)
    spacing = (1.0,) * (3 - len(data.grid.shape)) + turned.grid.spacing

    def solid(array: NDArray[Any]) -> NDArray[Any]:
        """Turn an array; an image becomes one slice."""
        return turn.forward(array).reshape((1, *turned.grid.shape)[-3:])

    votes, predicted = solid(counted.array), {name: solid(one) for name, one in maps.items()}
    box = _box([votes, *(one >= SEEN for one in predicted.values())], spacing)
    step = tuple(math.ceil((part.stop - part.start) / most) for part, most in zip(box, LARGEST, strict=True))
    kept = tuple(slice(part.start, part.stop, every) for part, every in zip(box, step, strict=True))
    part = None if ct is None else solid(ct)[kept].astype(np.float32)
    window = None if part is None else LUNG if np.percentile(part, _SHARE_OF_AIR) < _AIR else ABDOMEN
    about = PictureAbout(
        case=data.id,
        roles=chosen.roles,
        score=chosen.score,
        prediction=chosen.prediction,
        value=chosen.value,
        raters=len(data.raters),
        shape=votes[kept].shape,
        step=step,
        first_slice=box[0].start + 1,
        n_slices=votes.shape[0],
        pixel=(spacing[1] * step[1], spacing[2] * step[2]),
        upright=upright,
        window=window,
        no_ct=no_ct,
    )
    return Picture(
        about,
        np.array(votes[kept], np.uint8),
        {name: _bytes(one[kept]) for name, one in predicted.items()},
        None if part is None or window is None else _bytes((part - window[0]) / (window[1] - window[0])),
    )


def _box(seen: Sequence[NDArray[Any]], spacing: Sequence[float]) -> tuple[slice, ...]:
    """Give the part to show; where nobody drew anything and nothing is predicted, all of it."""
    margin = [MARGIN_SLICES, *(math.ceil(MARGIN / step) for step in spacing[1:])]
    return bounding_box(seen, margin=margin) or tuple(slice(0, size) for size in seen[0].shape)


def _bytes(shares: NDArray[Any]) -> NDArray[np.uint8]:
    return np.asarray(np.rint(np.clip(shares, 0, 1) * 255), np.uint8)
