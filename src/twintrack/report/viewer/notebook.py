"""One case in a notebook: a page of its own inside the output, which needs no server, no network and no file."""

from __future__ import annotations

import base64
import html
import json
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from twintrack.cohort import Case
from twintrack.cohort.checks import probability_array
from twintrack.cohort.sources import AnySource, as_source
from twintrack.errors import InputError
from twintrack.images import Grid, Volume
from twintrack.raters.response import response as response_of
from twintrack.report.sections import MARGIN
from twintrack.report.viewer.describe import levels
from twintrack.report.viewer.maps import NAMES, raised
from twintrack.segmentation.orientation import oriented

_STATIC = Path(__file__).parent / "static"
_HEIGHT = 560  # CSS pixels of the output
_SHOWN = 0.05  # what a map must reach for a voxel to be worth showing, as in the viewer
_EMPTY = 40.0  # mm around the middle that are shown where no map reaches it
_AIR = -200.0  # HU: a CT holds values below, images of other kinds hardly
_MOST = 64_000_000  # bytes of voxels: what a notebook can keep and a browser opens without delay


@dataclass(frozen=True)
class CaseView:
    """A case as a notebook shows it. Evaluated as the last line of a cell, it is drawn.

    Attributes:
        title: What it is called.
        page: The whole page, HTML.
    """

    title: str
    page: str = field(repr=False)

    def _repr_html_(self) -> str:
        """Give the page in a frame of its own, whose scripts reach nothing outside it."""
        return (
            f'<iframe title="{html.escape(self.title)}" sandbox="allow-scripts" srcdoc="{html.escape(self.page)}" '
            f'style="width: 100%; height: {_HEIGHT}px; border: 0"></iframe>'
        )


def show(case: Case, *, response: AnySource | None = None, n_raters: int | None = None) -> CaseView:
    """Show a case in a notebook: planes of the CT, maps over it, and contours "at least k of K experts".

    The part around the structure is shown, voxel by voxel. The output holds it: the notebook shows it wherever it is
    opened, and nothing is asked from anywhere. For whole CTs there is `twintrack view`.

    Args:
        case: A case with any of a CT, raters and members.
        response: Its calibrated response (`Calibration.apply`): an array on the case's grid, a volume or a file.
        n_raters: K of the contours; None takes the number of the case's raters, or moves the contour by the response.

    Returns:
        The view.

    Raises:
        InputError: If a file cannot be read, or the structure is too large to be kept in a notebook.
        GeometryError: If the volumes do not lie on one grid.
        CohortError: If the case has a known problem.

    Examples:
        >>> import numpy as np
        >>> mask = np.ones((2, 4, 4), np.uint8)
        >>> show(Case("c1", raters=[mask], spacing=(3.0, 0.7, 0.7)))
        CaseView(title='case c1')
    """
    grid, maps = _maps(case, response)
    ct = case.read_image()
    if ct is not None:
        grid.require_same(ct.grid, name=f"the maps of case {case.id}", other_name=ct.name)
        grid = grid if grid.known else ct.grid
    upright = grid.known and len(grid.shape) == 3
    volumes = maps if ct is None else {"ct": ct.array, **maps}
    turned = {name: _turned(array, grid, upright=upright) for name, array in volumes.items()}
    box = _box([turned[name] for name in maps])
    parts = {name: volume.array[box] for name, volume in turned.items()}
    if (size := sum(4 * part.size for part in parts.values())) > _MOST:
        raise InputError(
            f"case {case.id}: what there is to show takes {size / 1e6:.0f} MB, too much for a notebook (at most "
            f"{_MOST / 1e6:.0f}); look at it with `twintrack view`"
        )
    whole = next(iter(turned.values())).grid
    content = {
        "title": f"case {case.id}",
        "shape": [part.stop - part.start for part in box],
        "first": [part.start for part in box],
        "whole": list(whole.shape),
        "spacing": list(whole.spacing),
        "upright": upright,
        "hounsfield": ct is not None and float(ct.array.min()) < _AIR,
        "names": {name: NAMES[name] for name in maps},
        "levels": levels(n_raters or len(case.raters) or None),
        "volumes": {name: _packed(part) for name, part in parts.items()},
    }
    return CaseView(f"case {case.id}", _page(content))


def _maps(case: Case, response: AnySource | None) -> tuple[Grid, dict[str, NDArray[np.float32]]]:
    """Read what can be drawn over the CT, by the names of `NAMES`, and the grid it lies on."""
    found: dict[str, NDArray[np.float32]] = {}
    data = case.read(members=bool(case.members), raters=bool(case.raters))
    if response is not None:
        given = as_source(response, name=f"response of case {case.id}", grid=data.grid, spacing=None).read()
        data.grid.require_same(given.grid, name=f"case {case.id}", other_name=given.name)
        found["response"] = probability_array(given)
    if data.members:
        found["probability"] = data.probability()
    if data.raters:
        found["raters"] = response_of(list(data.raters.values()))
    return data.grid, found


def _turned(array: NDArray[Any], grid: Grid, *, upright: bool) -> Volume:
    """Turn an array so that its axes run towards head, back and left, where it is known how the patient lies."""
    volume = Volume(array, grid)
    if array.ndim == 2:
        return raised(volume)
    return oriented(volume, "LPS" if upright else None)[0]


def _box(maps: list[Volume]) -> tuple[slice, ...]:
    """Give the box around what any map shows, with a margin; around the middle where there is nothing."""
    grid = maps[0].grid
    box = []
    for axis, (size, step) in enumerate(zip(grid.shape, grid.spacing, strict=True)):
        others = tuple(k for k in range(3) if k != axis)
        seen = np.any([(one.array >= _SHOWN).any(axis=others) for one in maps], axis=0)
        filled = np.flatnonzero(seen) if seen.any() else np.array([size // 2])
        margin = int(np.ceil((MARGIN if seen.any() else _EMPTY) / step))
        box.append(slice(max(int(filled[0]) - margin, 0), min(int(filled[-1]) + margin + 1, size)))
    return tuple(box)


def _packed(part: NDArray[Any]) -> dict[str, str]:
    """Pack voxels for the page: float32, or int16 where that holds them all."""
    limits = np.iinfo(np.int16)
    whole = part.dtype.kind in "biu" and limits.min <= part.min() and part.max() <= limits.max
    plain = np.ascontiguousarray(part, "<i2" if whole else "<f4")
    return {
        "type": "int16" if whole else "float32",
        "data": base64.b64encode(zlib.compress(plain.tobytes(), 6)).decode("ascii"),
    }


def _page(content: Mapping[str, Any]) -> str:
    """Put the page together; names in the data cannot end the element that holds it."""
    data = json.dumps(content).replace("<", "\\u003c")
    page = (_STATIC / "notebook.html").read_text(encoding="utf-8")
    for name in ("contours.js", "notebook.js"):
        page = page.replace(f"/* {name} */", (_STATIC / name).read_text(encoding="utf-8"))
    return page.replace("/* data */", data)
