"""Which cases are fitted and which are judged, for each size of a learning curve."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from twintrack.errors import CalibrationError

FOLDS = 5
"""Into so many groups patients are put; one of them is left out of every draw."""

LEAST_PATIENTS = 4
LEAST_SIZE = 2
"""Below, no method could leave a patient out to decide how it fits."""

_FIRST = 4  # the smallest set, where there are enough cases
_RATIO = 1.85  # about so much larger is the next size
_FEWEST, _MOST = 4, 8  # sizes; fewer than four tell nothing of three numbers


@dataclass(frozen=True)
class Draw:
    """A set of cases to fit, and those to judge the fit on.

    Attributes:
        size: How many cases are fitted.
        number: Which draw of its size; draws of the same number are nested, the smaller in the larger.
        fitted: Indices of the cases to fit, increasing, of at least two patients.
        judged: Indices of all cases of the patients of whom no case is fitted.
    """

    size: int
    number: int
    fitted: tuple[int, ...]
    judged: tuple[int, ...]


def largest_size(patients: Sequence[str]) -> int:
    """Give how many cases can be fitted while a fold of the patients is left out.

    Args:
        patients: Of each case.

    Returns:
        The number of cases outside the largest fold: about 80 % of them.

    Raises:
        CalibrationError: If there are fewer than `LEAST_PATIENTS` patients.
    """
    owner = _owners(patients)
    n_patients = int(owner.max(initial=-1)) + 1
    if n_patients < LEAST_PATIENTS:
        raise CalibrationError(
            f"a learning curve needs cases of at least {LEAST_PATIENTS} patients, to fit some and judge on others; "
            f"there {'is' if n_patients == 1 else 'are'} {n_patients}"
        )
    fold = _folds(owner, np.random.default_rng(0))  # how large the folds are does not depend on chance
    return len(patients) - int(np.bincount(fold[owner]).max())


def ladder(largest: int) -> tuple[int, ...]:
    """Give the sizes to measure: in about equal ratios from 4 (or 2, where there are few cases) to the largest.

    Args:
        largest: The largest size.

    Returns:
        At most eight sizes, increasing.

    Examples:
        >>> ladder(84)
        (4, 7, 14, 25, 46, 84)
        >>> ladder(8)
        (4, 5, 6, 8)
        >>> ladder(3)
        (2, 3)
    """
    first = _FIRST if largest >= 2 * _FIRST else LEAST_SIZE
    steps = np.log(largest / first) / np.log(_RATIO)
    sizes = np.geomspace(first, largest, int(np.clip(1 + round(steps), _FEWEST, _MOST)))
    return tuple(np.unique(np.round(sizes).astype(int)).tolist())


def draw_sets(patients: Sequence[str], sizes: Sequence[int], *, repeats: int, seed: int) -> list[Draw]:
    """Draw the sets of cases of every size.

    Patients are dealt into five folds anew for every repeat. For each fold the other patients are put into random
    order, and the first n of their cases are fitted, for every size n: so the sets of one draw are nested, the draws
    differ, and in every repeat each case is left out at least once of every size. A patient whose cases are fitted in
    part is not judged, and none fills a set alone. There are `repeats` repeats of the largest size and one more for
    each halving, since small sets differ more and cost less.

    Args:
        patients: Of each case, at least `LEAST_PATIENTS` different ones.
        sizes: Numbers of cases, each from `LEAST_SIZE` to `largest_size`.
        repeats: Of the largest size.
        seed: Of the random numbers.

    Returns:
        The draws, those of the same number one after the other.
    """
    owner = _owners(patients)
    n_folds = min(FOLDS, int(owner.max()) + 1)
    counts = {size: n_folds * (repeats + int(np.log2(max(sizes) / size))) for size in sizes}
    drawn = []
    for number in range(max(counts.values())):
        order = _order(owner, number, n_folds, seed)
        drawn += [_draw(owner, order, size, number) for size in sizes if number < counts[size]]
    return drawn


def _owners(patients: Sequence[str]) -> NDArray[np.intp]:
    return np.asarray(np.unique(np.asarray(patients, str), return_inverse=True)[1], np.intp)


def _folds(owner: NDArray[np.intp], rng: np.random.Generator) -> NDArray[np.intp]:
    """Deal the patients into folds that hold as equal numbers of cases as may be; give the fold of each patient."""
    counts = np.bincount(owner)
    order = rng.permutation(counts.size)
    sizes = np.zeros(min(FOLDS, counts.size), np.intp)
    fold = np.empty(counts.size, np.intp)
    for patient in order[np.argsort(-counts[order], kind="stable")]:
        fold[patient] = np.argmin(sizes)
        sizes[fold[patient]] += counts[patient]
    return fold


def _order(owner: NDArray[np.intp], number: int, n_folds: int, seed: int) -> NDArray[np.intp]:
    """Put the cases outside the draw's fold into random order, those of a patient together."""
    repeat, left_out = divmod(number, n_folds)
    fold = _folds(owner, np.random.default_rng([seed, repeat]))
    rng = np.random.default_rng([seed, repeat, left_out])
    chosen = rng.permutation(np.flatnonzero(fold != left_out))
    return np.concatenate([rng.permutation(np.flatnonzero(owner == patient)) for patient in chosen])


def _draw(owner: NDArray[np.intp], order: NDArray[np.intp], size: int, number: int) -> Draw:
    first = int(np.count_nonzero(owner[order] == owner[order[0]]))
    at_most = min(first, size - 1)
    fitted = np.concatenate([order[:at_most], order[first:]])[:size]
    judged = np.flatnonzero(~np.isin(owner, owner[fitted]))
    return Draw(size, number, tuple(sorted(fitted.tolist())), tuple(judged.tolist()))
