"""Which sections of a case a figure shows: planes through the tumour as a radiologist sees them, and their field."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

MARGIN = 15.0
"""How far in mm the field of view reaches beyond what was drawn."""

SMALLEST_FIELD = 40.0
"""Smallest side of the field of view in mm."""


class _Plane(NamedTuple):
    """How the sections of one direction are shown; sides of the panel are left, right, bottom and top."""

    name: str
    through: int | None
    rows: int
    columns: int
    downwards: bool
    sides: tuple[str, ...]


_PLANES = (
    _Plane("axial", 0, 1, 2, True, ("R", "L", "P", "A")),
    _Plane("coronal", 1, 0, 2, False, ("R", "L", "I", "S")),
    _Plane("sagittal", 2, 0, 1, False, ("A", "P", "I", "S")),
)
_IMAGE = _Plane("image", None, 0, 1, True, ())


@dataclass(frozen=True)
class Section:
    """One plane of a case, and the part of it that is shown.

    Attributes:
        title: What to call it.
        rows: Array axis along the panel's height.
        columns: Array axis along its width.
        box: The pixels shown, one slice per array axis; across the plane a single voxel.
        field: What the panel shows in mm from the array's first edge: left, right, bottom, top; it may reach beyond the
            box, and bottom is larger than top where rows run downwards.
        spacing: Size of a pixel in mm along rows and columns.
        sides: Letters of the patient's sides at left, right, bottom and top; empty where not known.
    """

    title: str
    rows: int
    columns: int
    box: tuple[slice, ...]
    field: tuple[float, float, float, float]
    spacing: tuple[float, float]
    sides: tuple[str, ...]

    def cut(self, array: NDArray[Any]) -> NDArray[Any]:
        """Give what the section shows of an array.

        Args:
            array: Array of the case, (z, y, x) or (y, x).

        Returns:
            The pixels, (rows, columns).
        """
        return array[self.box].squeeze(tuple({*range(array.ndim)} - {self.rows, self.columns}))

    @property
    def extent(self) -> tuple[float, float, float, float]:
        """Where the box ends in mm: left, right, and the edges of its first and last row."""
        return (*self._ends(self.columns, self.spacing[1]), *self._ends(self.rows, self.spacing[0]))

    def centres(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Give the positions of the pixels' centres in mm, along columns and along rows."""
        across, along = self.box[self.columns], self.box[self.rows]
        return (
            (np.arange(across.start, across.stop) + 0.5) * self.spacing[1],
            (np.arange(along.start, along.stop) + 0.5) * self.spacing[0],
        )

    def _ends(self, axis: int, step: float) -> tuple[float, float]:
        return self.box[axis].start * step, self.box[axis].stop * step


def choose_sections(weight: NDArray[Any], *, spacing: Sequence[float], upright: bool) -> list[Section]:
    """Choose the sections of a case.

    In 3-D: axial, coronal and sagittal, each the plane on which the weight has its largest sum. All fields of view have
    the same size in mm: the longest side of the box around the weight, and `MARGIN` on both sides of it.

    Args:
        weight: What matters at each voxel, such as the number of raters who label it; at least 0, (z, y, x) or
            (y, x). Where it is 0 throughout, the sections pass through the middle and show everything.
        spacing: Voxel size in mm in array order.
        upright: Whether the array's axes run towards the patient's head, back and left, so that sides can be named.

    Returns:
        The sections: three of a volume, one of a 2-D image or of a single slice.
    """
    ends = [(part.start * step, part.stop * step) for part, step in zip(_box_around(weight), spacing, strict=True)]
    sizes = [n * step for n, step in zip(weight.shape, spacing, strict=True)]
    reach = max(last - first for first, last in ends)
    half = min(max(reach + 2 * MARGIN, SMALLEST_FIELD), max(sizes)) / 2
    # Where there is image enough, the field stays inside it.
    middle = [
        min(max(sum(pair) / 2, half), size - half) if size > 2 * half else size / 2
        for pair, size in zip(ends, sizes, strict=True)
    ]
    return [_section(plane, weight, spacing, middle, half, upright=upright) for plane in _planes(weight.shape)]


def _planes(shape: tuple[int, ...]) -> tuple[_Plane, ...]:
    if len(shape) == 2:
        return (_IMAGE,)
    # Across a single slice there is nothing to see.
    return tuple(plane for plane in _PLANES if shape[plane.rows] > 1 < shape[plane.columns]) or _PLANES[:1]


def _section(
    plane: _Plane,
    weight: NDArray[Any],
    spacing: Sequence[float],
    middle: Sequence[float],
    half: float,
    *,
    upright: bool,
) -> Section:
    title, box = plane.name, [slice(0, 1)] * weight.ndim
    if plane.through is not None:
        index = _largest(weight, plane.through)
        box[plane.through] = slice(index, index + 1)
        n_slices = weight.shape[plane.through]
        title += f", slice {index + 1} of {n_slices}" if n_slices > 1 else ""
    for axis in (plane.rows, plane.columns):
        first = int(np.floor((middle[axis] - half) / spacing[axis]))
        last = int(np.ceil((middle[axis] + half) / spacing[axis]))
        # A voxel more on each side: outlines must not end inside the panel.
        box[axis] = slice(max(first - 1, 0), min(last + 1, weight.shape[axis]))
    height = (middle[plane.rows] - half, middle[plane.rows] + half)
    return Section(
        title=title,
        rows=plane.rows,
        columns=plane.columns,
        box=tuple(box),
        field=(
            middle[plane.columns] - half,
            middle[plane.columns] + half,
            *(height[::-1] if plane.downwards else height),
        ),
        spacing=(spacing[plane.rows], spacing[plane.columns]),
        sides=plane.sides if upright else (),
    )


def _box_around(weight: NDArray[Any]) -> tuple[slice, ...]:
    """The tight box of what is not 0; everything where there is nothing."""
    box = []
    for axis, size in enumerate(weight.shape):
        filled = np.flatnonzero(weight.any(axis=_others(weight, axis)))
        box.append(slice(int(filled[0]), int(filled[-1]) + 1) if filled.size else slice(0, size))
    return tuple(box)


def _largest(weight: NDArray[Any], axis: int) -> int:
    sums = weight.sum(axis=_others(weight, axis), dtype=np.float64)
    return int(sums.argmax()) if sums.any() else weight.shape[axis] // 2


def _others(array: NDArray[Any], axis: int) -> tuple[int, ...]:
    return tuple(k for k in range(array.ndim) if k != axis)
