"""Simulated members: what networks trained on one rater's outlines would say, sure of themselves and wrong together.

Source: our own model. Each member draws its own outline, as that rater would, with errors that all members share (they
saw the same data) and smaller ones of its own. Its logit is the signed distance to that outline over a small softness,
far steeper than the raters' disagreement: the overconfidence of modern networks, Guo, Pleiss, Sun and Weinberger, "On
calibration of modern neural networks", ICML 2017.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt, gaussian_filter
from scipy.special import expit

from twintrack.errors import InputError
from twintrack.synthetic.belief import Box, box_of, lattice, tumour_box, tumour_logit
from twintrack.synthetic.fields import smooth_field
from twintrack.synthetic.phantom import Phantom
from twintrack.synthetic.raters import N_CHOICES, Personality, decide_doubtful, personalities
from twintrack.synthetic.seeds import require_count, seed_sequence

# Logit units of `Phantom.fuzzy`: shared by all members, and of each alone.
_SHARED_BIAS, _OWN_BIAS = 0.2, 0.2
_SHARED_UNEVEN, _OWN_UNEVEN = 0.8, 0.35
_LENGTH = 10.0  # mm
_SOFTNESS = (0.3, 0.5)  # mm per logit unit: steeper than the disagreement of the raters by several times
_MISSED, _MISSED_DEPTH = 0.2, 4.0  # how often a part is missed by all, and how far its logit falls
_FALSE_ALARM = 0.15  # how often a member sees a second tumour in the gland
_TAIL = 13.0  # minus the logit of background: probabilities of about 1e-6


@dataclass(frozen=True, eq=False)
class _Shared:
    """What all members of an ensemble believe of a case."""

    box: Box
    belief: NDArray[np.float32]
    softness: float


def simulate_members(
    phantom: Phantom, *, n_members: int = 3, seed: int, personality_seed: int | None = None
) -> list[NDArray[np.float32]]:
    """Simulate the probability maps of an ensemble trained on the outlines of the first rater alone.

    Args:
        phantom: What they look at.
        n_members: How many members.
        seed: Chooses their errors in this case.
        personality_seed: Chooses the raters of whom the first taught them, as in `simulate_raters`.

    Returns:
        One float32 map in [0, 1] per member, (z, y, x) on the phantom's grid: above 0 within `region_of_interest`,
        exactly 0 outside.

    Raises:
        InputError: If the number of members is below 1 or a seed below 0.
    """
    require_count(n_members, "members")
    teacher = personalities(1, seed=seed if personality_seed is None else personality_seed)[0]
    shared = _shared(phantom, teacher, np.random.default_rng(seed_sequence(seed, 2)))
    roi = region_of_interest(phantom)
    rngs = (np.random.default_rng(child) for child in seed_sequence(seed, 3).spawn(n_members))
    return [_member(phantom, shared, roi, rng) for rng in rngs]


def region_of_interest(phantom: Phantom, *, margin: float = 15.0) -> NDArray[np.uint8]:
    """Dilate the pancreas, as the coarse network's localisation of it is dilated in TwinTrack (arXiv 2604.15950).

    Args:
        phantom: The phantom.
        margin: By how many mm.

    Returns:
        uint8 mask of 0 and 1, (z, y, x): voxels whose centre is at most `margin` from that of a voxel of the pancreas.

    Raises:
        InputError: If the margin is negative or not finite.
    """
    if not 0 <= margin < np.inf:
        raise InputError(f"the margin of a region of interest is a distance in mm from 0; got {margin}")
    roi = np.zeros(phantom.pancreas.shape, np.uint8)
    tight = zip(box_of(phantom.pancreas > 0), phantom.grid.spacing, strict=True)
    z, y, x = (
        slice(max(part.start - int(margin / step) - 1, 0), part.stop + int(margin / step) + 1) for part, step in tight
    )
    box = z, y, x
    roi[box] = distance_transform_edt(phantom.pancreas[box] == 0, sampling=phantom.grid.spacing) <= margin
    return roi


def _shared(phantom: Phantom, teacher: Personality, rng: np.random.Generator) -> _Shared:
    bias = teacher.bias + rng.normal(0, _SHARED_BIAS)
    field, choices = smooth_field(rng, length=_LENGTH), rng.random(N_CHOICES)
    misses, place, reach = rng.random() < _MISSED, rng.random(), rng.uniform(0.5, 0.9)
    softness = rng.uniform(*_SOFTNESS)
    box = tumour_box(phantom)
    belief = (
        tumour_logit(phantom, box) + np.float32(bias) + np.float32(_SHARED_UNEVEN) * field.on(lattice(phantom, box))
    )
    decide_doubtful(belief, phantom, box, choices=choices, bias=bias)
    if misses:
        belief -= np.float32(_MISSED_DEPTH) * _bump(phantom, box, place, reach)
    return _Shared(box, belief, softness)


def _bump(phantom: Phantom, box: Box, place: float, reach: float) -> NDArray[np.float32]:
    """A smooth hill of height 1 around one voxel of the tumour, as wide as `reach` times the tumour's radius."""
    inside = np.argwhere(phantom.tumour[box])
    radius = np.cbrt(len(inside) * phantom.grid.voxel_volume * 3 / (4 * np.pi))
    gap = _gap(lattice(phantom, box), inside[int(place * len(inside))])
    hill: NDArray[np.float32] = np.exp(-((gap / np.float32(reach * radius)) ** 2))
    return hill


def _gap(axes: list[NDArray[np.float64]], voxel: NDArray[np.int64]) -> NDArray[np.float32]:
    """Distance in mm of every voxel of a box from one of them."""
    z, y, x = (axis - axis[at] for axis, at in zip(axes, voxel, strict=True))
    gap: NDArray[np.float32] = np.sqrt(z[:, None, None] ** 2 + y[:, None] ** 2 + x**2).astype(np.float32)
    return gap


def _member(phantom: Phantom, shared: _Shared, roi: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.float32]:
    bias = np.float32(rng.normal(0, _OWN_BIAS))
    uneven, wobble, tail = (smooth_field(rng, length=length) for length in (_LENGTH, 5.0, 20.0))
    alarm, place, size = rng.random() < _FALSE_ALARM, rng.random(), rng.uniform(4, 7)
    mask = np.zeros(roi.shape, np.bool_)
    mask[shared.box] = shared.belief + bias + np.float32(_OWN_UNEVEN) * uneven.on(lattice(phantom, shared.box)) > 0
    box = box_of(roi > 0)
    axes = lattice(phantom, box)
    distance = _signed_distance(mask[box], phantom.grid.spacing)
    if alarm:
        distance = np.maximum(distance, _false_alarm(phantom, box, axes, place, size))
    sure = (distance + np.float32(0.4) * wobble.on(axes)) / np.float32(shared.softness)
    # Soft limits: a network is never quite certain, and its background is not of one value.
    low = np.float32(0.7) * tail.on(axes) - np.float32(_TAIL)
    sure = -np.logaddexp(-np.logaddexp(sure, low), np.float32(-_TAIL))
    out = np.zeros(roi.shape, np.float32)
    out[box] = expit(sure.astype(np.float32)) * roi[box]
    return out


def _signed_distance(mask: NDArray[np.bool_], spacing: tuple[float, ...]) -> NDArray[np.float32]:
    """Distance in mm from a mask's border, positive inside; far outside everywhere where the mask is empty."""
    if not mask.any():
        return np.full(mask.shape, -100, np.float32)
    inside, outside = (distance_transform_edt(part, sampling=spacing) for part in (mask, ~mask))
    # The transform measures to the centre of the next voxel across; the border lies half-way.
    half = float(np.mean(spacing)) / 2
    distance = np.where(mask, inside - half, half - outside)
    smooth: NDArray[np.float32] = gaussian_filter(distance, 0.6).astype(np.float32)
    return smooth


def _false_alarm(
    phantom: Phantom, box: Box, axes: list[NDArray[np.float64]], place: float, size: float
) -> NDArray[np.float32]:
    """Signed distance to a ball in the gland where there is no tumour."""
    healthy = np.argwhere((phantom.pancreas[box] > 0) & (phantom.fuzzy[box] < 0.01))
    if not len(healthy):
        return np.full([len(axis) for axis in axes], -100, np.float32)
    return np.float32(size) - _gap(axes, healthy[int(place * len(healthy))])
