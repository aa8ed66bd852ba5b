"""Where tumour touches vessel: edge and contact pixels, by slice in three planes, for all masks at once.

In a slice, the edge of a vessel is the vessel minus its erosion by a 2-D cross, outside counting as
background. Edges depend on the vessels alone: they are counted in one pass for the three planes, and shared
by all masks. A mask's *reach* is its dilation by a 2-D cross; its *near side* is its reach without the
vessel's edge. The codes of `tally` hold one bit per mask, so that one OR dilates all masks together.

Two definitions of contact:

- one-sided (`official`): an edge pixel within reach counts once. One outside reach counts once for each of
  four 2-pixel kernels that find the near side: right; below; right-below; right or below. An even-sized
  kernel has no centre, so neighbours to the left and above are never looked at, and a pixel counts up to four
  times.
- symmetric (`corrected`): an edge pixel counts once, if it is within reach or any of its 8 neighbours is on
  the near side.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from twintrack.compute.jit import njit
from twintrack.errors import InputError
from twintrack.evaluation.pdacvi import without_numba
from twintrack.evaluation.pdacvi.drawn import FIRST_RATER
from twintrack.evaluation.pdacvi.tally import Tally, union

_MARGIN = 4
"""Reach is 1 pixel and the neighbours looked at 1 more, so only edge pixels up to 2 from the masks can be
touched; to know a neighbour's edge and reach takes 2 more."""

_UNNAMED = -1

_CHUNK = 64
"""Voxels of a row that are skipped together where they hold no vessel."""


def edge_pixels(vessels: NDArray[np.uint8], labels: list[int]) -> NDArray[np.int64]:
    """Count the edge pixels of each vessel in each slice.

    Args:
        vessels: Labels (z, y, x); 0 is background.
        labels: The V labels to look for, from 1 to 255.

    Returns:
        Counts (3, n, V) by plane, slice (n is the longest axis) and vessel.

    Raises:
        InputError: If `vessels` holds a label that is not among `labels`.
    """
    table = np.full(256, _UNNAMED, dtype=np.int16)
    table[labels] = np.arange(len(labels))
    counts = np.zeros((3, max(vessels.shape), len(labels)), dtype=np.int64)
    stranger = _count_edges(vessels, table, np.zeros(vessels.shape[2], dtype=np.uint8), counts)
    if stranger:
        raise InputError(
            f"vessels holds label {stranger}, which has no name (named: {', '.join(map(str, labels))}): "
            "name it in vessel_names or set it to 0"
        )
    return counts


def contact_pixels(
    vessels: NDArray[np.uint8], labels: list[int], found: Tally, *, symmetric: bool
) -> NDArray[np.int64]:
    """Count the edge pixels of each vessel that each mask touches, in each slice.

    Args:
        vessels: Labels (z, y, x), all of them among `labels` or 0.
        labels: The V labels, from 1 to 255.
        found: The tally of the masks.
        symmetric: True for the `corrected` definition, False for the `official` one (see the head of this
            file).

    Returns:
        Counts (3, n, V, 6 + K) by plane, slice (n is the longest axis), vessel and mask: six thresholds, K
        raters.
    """
    n_masks = FIRST_RATER + found.n_raters
    box = union(found.rater_box, found.prediction_box)
    if box is None:
        return np.zeros((3, max(vessels.shape), len(labels), n_masks), dtype=np.int64)
    codes = found.codes[tuple(slice(low, high + 1) for low, high in box)]
    start = [low for low, _ in box]
    return contact_in_box(vessels, labels, codes, start=start, n_masks=n_masks, symmetric=symmetric)


def contact_in_box(
    vessels: NDArray[np.uint8],
    labels: list[int],
    codes: NDArray[np.unsignedinteger[Any]],
    *,
    start: Sequence[int],
    n_masks: int,
    symmetric: bool,
) -> NDArray[np.int64]:
    """Count the edge pixels of each vessel that masks touch, where all masks lie within a box.

    Args:
        vessels: Labels (z, y, x), all of them among `labels` or 0.
        labels: The V labels, from 1 to 255.
        codes: One bit for each of M masks, the lowest first; the box alone.
        start: Where the box begins in the volume.
        n_masks: M, at most 64; higher bits are not looked at.
        symmetric: Which definition (see the head of this file).

    Returns:
        Counts (3, n, V, M) by plane, slice (n is the longest axis), vessel and mask.
    """
    counts = np.zeros((3, max(vessels.shape), len(labels), n_masks), dtype=np.int64)
    table = np.zeros(256, dtype=np.uint8)
    table[labels] = np.arange(len(labels))
    begin = np.array(start, dtype=np.int64) - _MARGIN
    around = _crop(vessels, begin, tuple(size + 2 * _MARGIN for size in codes.shape))
    masks = codes.dtype.type((1 << n_masks) - 1)
    _count_contact(around, np.pad(codes, _MARGIN), table, begin, masks, symmetric, counts)
    return counts


def _crop(array: NDArray[Any], start: NDArray[np.int64], shape: tuple[int, ...]) -> NDArray[Any]:
    """Copy a part of a volume that may reach beyond it; 0 there."""
    part = np.zeros(shape, dtype=array.dtype)
    into, of = [], []
    for first, length, size in zip(start, shape, array.shape, strict=True):
        low, high = max(first, 0), min(first + length, size)
        into.append(slice(low - first, high - first))
        of.append(slice(low, high))
    part[tuple(into)] = array[tuple(of)]
    return part


@njit(nogil=True, twin=without_numba.count_edges)
def _count_edges(vessels: Any, table: Any, nothing: Any, counts: Any) -> Any:
    """Add up edge pixels; give the first label without a name, else 0."""
    depth, height, width = vessels.shape
    for z in range(depth):
        for y in range(height):
            for first in range(0, width, _CHUNK):
                last = min(first + _CHUNK, width)
                if _empty(vessels[z, y, first:last]):
                    continue
                stranger = _count_row_edges(
                    vessels[z, y],
                    vessels[z - 1, y] if z > 0 else nothing,
                    vessels[z + 1, y] if z + 1 < depth else nothing,
                    vessels[z, y - 1] if y > 0 else nothing,
                    vessels[z, y + 1] if y + 1 < height else nothing,
                    (z, y, first, last),
                    table,
                    counts,
                )
                if stranger:
                    return stranger
    return 0


@njit(nogil=True)
def _empty(row: Any) -> Any:
    seen = np.uint8(0)
    for x in range(row.size):
        seen |= row[x]
    return seen == 0


@njit(nogil=True)
def _count_row_edges(
    row: Any, before: Any, behind: Any, above: Any, below: Any, place: Any, table: Any, counts: Any
) -> Any:
    z, y, first, last = place
    for x in range(first, last):
        label = row[x]
        if label == 0:
            continue
        vessel = table[label]
        if vessel == _UNNAMED:
            return int(label)
        inside_z = before[x] == label and behind[x] == label
        inside_y = above[x] == label and below[x] == label
        inside_x = 0 < x < row.size - 1 and row[x - 1] == label and row[x + 1] == label
        counts[0, z, vessel] += not (inside_y and inside_x)
        counts[1, y, vessel] += not (inside_z and inside_x)
        counts[2, x, vessel] += not (inside_z and inside_y)
    return 0


@njit(nogil=True, twin=without_numba.count_contact)
def _count_contact(vessels: Any, codes: Any, table: Any, start: Any, masks: Any, symmetric: Any, counts: Any) -> None:
    """Add up contact pixels of a crop; `start` is where the crop begins in the volume."""
    depth, height, width = vessels.shape
    flat_vessels, flat_codes = vessels.ravel(), codes.ravel()
    steps = (height * width, width, 1)
    for z in range(2, depth - 2):
        for y in range(2, height - 2):
            for x in range(2, width - 2):
                here = z * steps[0] + y * steps[1] + x
                label = flat_vessels[here]
                if label:
                    vessel = table[label]
                    # Rows and columns of a slice are the axes left, in the order numpy.take leaves them.
                    for plane, row, column, at in ((0, 1, 2, z), (1, 0, 2, y), (2, 0, 1, x)):
                        out = counts[plane, at + start[plane], vessel]
                        _add_contact(flat_vessels, flat_codes, here, steps[row], steps[column], masks, symmetric, out)


@njit(nogil=True)
def _add_contact(
    vessels: Any, codes: Any, here: Any, down: Any, right: Any, masks: Any, symmetric: Any, out: Any
) -> None:
    label = vessels[here]
    if not _is_edge(vessels, here, down, right, label):
        return
    if symmetric:
        _add_symmetric(vessels, codes, here, down, right, masks, out)
    else:
        _add_one_sided(vessels, codes, here, down, right, masks, out)


@njit(nogil=True)
def _is_edge(vessels: Any, here: Any, down: Any, right: Any, label: Any) -> Any:
    return vessels[here] == label and not (
        vessels[here - down] == label
        and vessels[here + down] == label
        and vessels[here - right] == label
        and vessels[here + right] == label
    )


@njit(nogil=True)
def _reach(codes: Any, here: Any, down: Any, right: Any) -> Any:
    """Which masks' dilation by a 2-D cross holds a pixel.

    Just outside the slice this should be none, and is not. It makes no difference: a neighbour outside is only reached
    from pixels inside that reach the edge pixel itself, which then counts by its own reach.
    """
    return codes[here] | codes[here - down] | codes[here + down] | codes[here - right] | codes[here + right]


@njit(nogil=True)
def _near_side(vessels: Any, codes: Any, here: Any, down: Any, right: Any, label: Any) -> Any:
    if _is_edge(vessels, here, down, right, label):
        return codes.dtype.type(0)
    return _reach(codes, here, down, right)


@njit(nogil=True)
def _add_one_sided(vessels: Any, codes: Any, here: Any, down: Any, right: Any, masks: Any, out: Any) -> None:
    label = vessels[here]
    reach = _reach(codes, here, down, right)
    beyond = masks & ~reach
    on_right = _near_side(vessels, codes, here + right, down, right, label) & beyond
    on_below = _near_side(vessels, codes, here + down, down, right, label) & beyond
    on_corner = _near_side(vessels, codes, here + down + right, down, right, label) & beyond
    _add_bits(reach & masks, out)
    _add_bits(on_right, out)
    _add_bits(on_below, out)
    _add_bits(on_corner, out)
    _add_bits(on_right | on_below, out)


@njit(nogil=True)
def _add_symmetric(vessels: Any, codes: Any, here: Any, down: Any, right: Any, masks: Any, out: Any) -> None:
    label = vessels[here]
    touching = _reach(codes, here, down, right)
    for i in range(-1, 2):
        for j in range(-1, 2):
            if i != 0 or j != 0:
                touching |= _near_side(vessels, codes, here + i * down + j * right, down, right, label)
    _add_bits(touching & masks, out)


@njit(nogil=True)
def _add_bits(bits: Any, out: Any) -> None:
    rest = np.uint64(bits)
    mask = 0
    while rest:
        out[mask] += rest & np.uint64(1)
        rest >>= np.uint64(1)
        mask += 1
