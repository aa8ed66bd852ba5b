"""How far the raters agree: per case, and over a cohort."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from twintrack.errors import CohortError, InputError
from twintrack.raters.kappa import fleiss_kappa
from twintrack.raters.masks import as_votes
from twintrack.raters.response import vote_count


@dataclass(frozen=True, eq=False, kw_only=True)
class CaseAgreement:
    """Agreement of the K raters of one case.

    Figures that cannot be given are None: those of a pair where there is one rater, and shares of nothing.

    Attributes:
        names: The raters' names, in the order of everything below.
        volumes: Volume of each rater's mask in mm³ (area in mm² for 2-D masks).
        dice: Pairwise Dice coefficients, array of shape (K, K): 2|A ∩ B| / (|A| + |B|); 1 where both masks
            are empty.
        vote_histogram: Number of voxels that j of the K raters label, j = 0 … K.

    Raises:
        InputError: If these do not belong to one number of raters.
    """

    names: tuple[str, ...]
    volumes: tuple[float, ...]
    dice: NDArray[np.float64]
    vote_histogram: tuple[int, ...]

    def __post_init__(self) -> None:
        raters = len(self.names)
        found = (len(self.volumes), self.dice.shape, len(self.vote_histogram))
        if raters < 1 or found != (raters, (raters, raters), raters + 1):
            raise InputError(
                f"{raters} raters need {raters} volumes, a Dice matrix of shape ({raters}, {raters}) and "
                f"{raters + 1} histogram entries; got {found[0]}, {found[1]} and {found[2]}"
            )

    @property
    def mean_dice(self) -> float | None:
        """Mean Dice coefficient over the pairs of raters."""
        pairs = self.dice[np.triu_indices(len(self.names), k=1)]
        return float(pairs.mean()) if pairs.size else None

    @property
    def volume_variation(self) -> float | None:
        """Coefficient of variation of the raters' volumes: sample SD (over K − 1) divided by the mean."""
        mean = float(np.mean(self.volumes))
        if len(self.volumes) < 2 or mean == 0:
            return None
        return float(np.std(self.volumes, ddof=1)) / mean

    @property
    def ambiguous_fraction(self) -> float | None:
        """Of the voxels that any rater labels, the fraction that not all label."""
        labelled = sum(self.vote_histogram[1:])
        if len(self.names) < 2 or labelled == 0:
            return None
        return sum(self.vote_histogram[1:-1]) / labelled


@dataclass(frozen=True, kw_only=True)
class CohortAgreement:
    """Agreement of the raters over a cohort.

    Cases with one rater enter `cases`, `cases_by_raters` and `mean_volume` only. Figures that cannot be given
    are None.

    Attributes:
        cases: Number of cases.
        cases_by_raters: Number of cases (value) with each number of raters (key), ascending.
        mean_volume: Mean over cases of the raters' mean volume, in mm³ (mm² for 2-D masks).
        mean_dice: Mean over pairs of raters, then over cases, of the Dice coefficient; 1 for two empty masks.
        volume_variation: Mean over cases of the coefficient of variation of the raters' volumes, leaving out
            cases where all raters drew nothing.
        ambiguous_fraction: Of the voxels of all cases that any rater labels, the fraction that not all label.
        kappa_image: Fleiss' kappa over all voxels of the images; grows with the background they hold.
        kappa_union: Fleiss' kappa over the voxels that any rater of the case labels; low or negative by
            construction, see `fleiss_kappa`.
    """

    cases: int
    cases_by_raters: Mapping[int, int]
    mean_volume: float
    mean_dice: float | None
    volume_variation: float | None
    ambiguous_fraction: float | None
    kappa_image: float | None
    kappa_union: float | None


def case_agreement(
    masks: Sequence[NDArray[Any]], *, voxel_volume: float, names: Sequence[str] | None = None
) -> CaseAgreement:
    """Measure the agreement of the raters of one case.

    Source of the coefficient: Dice, "Measures of the amount of ecologic association between species", Ecology
    26(3), 1945.

    Args:
        masks: One binary mask (bool, or uint8 with values 0 and 1) per rater, K ≥ 1, all of one shape,
            (z, y, x) or (y, x).
        voxel_volume: Volume of a voxel in mm³ (area in mm² for 2-D masks), `Grid.voxel_volume`.
        names: The raters' names; None for "rater 1" … "rater K".

    Returns:
        Volumes, pairwise Dice coefficients and vote histogram.

    Raises:
        InputError: If the masks are not binary or differ in shape, the voxel volume is not a positive number,
            or the names are not one per rater and all different.
    """
    votes = as_votes(masks)
    if not (np.isfinite(voxel_volume) and voxel_volume > 0):
        raise InputError(f"the voxel volume must be a positive number of mm³; got {voxel_volume}")
    names = _names(names, len(votes))
    count = vote_count(votes)
    union = count > 0
    # All but the number of background voxels is known from the union of the raters, a small part of a CT.
    inside = np.stack([vote[union] for vote in votes]).view(np.bool_)
    histogram = np.bincount(count[union], minlength=len(votes) + 1)
    histogram[0] = count.size - inside.shape[1]
    return CaseAgreement(
        names=names,
        volumes=tuple((inside.sum(axis=1) * float(voxel_volume)).tolist()),
        dice=_pairwise_dice(inside),
        vote_histogram=tuple(histogram.tolist()),
    )


def cohort_agreement(cases: Iterable[CaseAgreement]) -> CohortAgreement:
    """Summarise the agreement of the raters over cases whose number of raters may differ.

    Args:
        cases: What `case_agreement` gave for each case.

    Returns:
        The summary.

    Raises:
        CohortError: If there is no case.
    """
    cases = list(cases)
    if not cases:
        raise CohortError("the agreement of a cohort needs at least one case; got none")
    shared = [case.vote_histogram for case in cases if len(case.names) > 1]
    labelled = sum(sum(histogram[1:]) for histogram in shared)
    ambiguous = sum(sum(histogram[1:-1]) for histogram in shared)
    return CohortAgreement(
        cases=len(cases),
        cases_by_raters=dict(sorted(Counter(len(case.names) for case in cases).items())),
        mean_volume=float(np.mean([np.mean(case.volumes) for case in cases])),
        mean_dice=_mean(case.mean_dice for case in cases),
        volume_variation=_mean(case.volume_variation for case in cases),
        ambiguous_fraction=ambiguous / labelled if labelled else None,
        kappa_image=fleiss_kappa(shared),
        kappa_union=fleiss_kappa([(0, *histogram[1:]) for histogram in shared]),
    )


def _names(names: Sequence[str] | None, raters: int) -> tuple[str, ...]:
    if names is None:
        return tuple(f"rater {number}" for number in range(1, raters + 1))
    if isinstance(names, str) or len(names) != raters or len(set(names)) != raters:
        raise InputError(f"expected {raters} different names of raters; got {names!r}")
    return tuple(names)


def _pairwise_dice(inside: NDArray[np.bool_]) -> NDArray[np.float64]:
    raters = inside.shape[0]
    sizes = inside.sum(axis=1)
    dice = np.ones((raters, raters))
    for first in range(raters):
        for second in range(first + 1, raters):
            total = sizes[first] + sizes[second]
            if total:
                common = np.count_nonzero(inside[first] & inside[second])
                dice[first, second] = dice[second, first] = 2 * common / total
    return dice


def _mean(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None
