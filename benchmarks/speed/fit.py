"""Fitting: the response table and its isotonic map beside scikit-learn's IsotonicRegression, and beside mere reading.

scikit-learn gets the mean probability and the mean response ready-made; the package gets members and masks.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
from benchmarks.speed import data
from benchmarks.speed.harness import Row, Timings
from numpy.typing import NDArray
from sklearn.isotonic import IsotonicRegression

import twintrack as tt
from twintrack.calibration.curve import Curve
from twintrack.calibration.exact import exact_curve
from twintrack.calibration.methods.isotonic import IsotonicMap
from twintrack.calibration.table import ResponseTable, count_votes

SIZES = {1_000_000: 9, 10_000_000: 5, 50_000_000: 3}
"""Voxels, and how often everything is repeated."""

LARGE = {200_000_000: 3}
AIMED_AT = 10_000_000
"""From so many voxels on the aims hold."""

CHECKED = 1_000_000
"""Voxels of the case on which blocks are compared with those of a full sort."""

TABLE, EXACT, WHOLE = "table and map", "`exact_curve` and map", "`tt.fit`, all it keeps"
SKLEARN, READING = "scikit-learn", "largest value of each array"
LOADING = "`numpy.load` of the arrays, files in memory"


def rows(*, large: bool) -> list[Row]:
    """Measure all sizes, with one member and with three."""
    warm_up()
    found = [equal_blocks()]
    for voxels, repeats in (SIZES | (LARGE if large else {})).items():
        found += of_size(voxels, repeats=repeats)
    return found


def warm_up() -> None:
    """Compile and load what is used."""
    for members in (1, 3):
        small = data.case(data.cube(8000), members=members)
        tt.fit([small], method="isotonic")
        tt.fit([small], method="isotonic", exact=True)


def of_size(voxels: int, *, repeats: int) -> list[Row]:
    """Measure one number of voxels."""
    case = data.case(data.cube(voxels), members=3)
    voxels_read = case.read()
    one = tt.Case("one", members=[voxels_read.members[0]], raters=voxels_read.raters, spacing=(1.0, 0.7, 0.7))
    found = []
    for members, given in ((1, one), (3, case)):
        what = f"{voxels:.0e} voxels, {members} member{'s' if members > 1 else ''}, 5 raters".replace("e+0", "e")
        timings = timed(given, repeats=repeats)
        fast, costly, exact_fast = (200, 1.5, 40) if voxels >= AIMED_AT else (None, None, None)
        found += [
            timings.faster(f"fit, {what}", TABLE, SKLEARN, bar=fast),
            timings.costs(f"fit, {what}", TABLE, READING, bar=costly),
            timings.costs(f"fit, {what}", TABLE, LOADING, bar=costly),
            timings.faster(f"exact fit, {what}", EXACT, SKLEARN, bar=exact_fast),
            timings.faster(f"fit, {what}", WHOLE, SKLEARN, bar=None),
        ]
    return found


def timed(case: tt.Case, *, repeats: int) -> Timings:
    """Time the fits of one case and their peers in turn."""
    with tempfile.TemporaryDirectory() as name:
        return timed_beside_files(case, Path(name), repeats=repeats)


def timed_beside_files(case: tt.Case, folder: Path, *, repeats: int) -> Timings:
    """Time them, with the arrays in a folder too."""
    read = case.read()
    arrays = [*read.members, *read.raters.values()]
    masks = [mask.reshape(-1) for mask in read.raters.values()]
    probability = read.probability().reshape(-1)
    response = np.zeros(probability.size, np.float32)
    for mask in masks:
        response += mask
    response /= len(masks)

    for k, array in enumerate(arrays):
        np.save(folder / f"{k}.npy", array)

    def fit() -> None:
        counts = count_votes(read, masks)
        IsotonicMap.fit(ResponseTable({len(masks): counts}).curve())

    calls = {
        TABLE: fit,
        READING: lambda: [array.max() for array in arrays],
        LOADING: lambda: [np.load(folder / f"{k}.npy") for k in range(len(arrays))],
        EXACT: lambda: exact(case),
        WHOLE: lambda: tt.fit([case], method="isotonic"),
        SKLEARN: lambda: IsotonicRegression(out_of_bounds="clip").fit(probability, response),
    }
    return Timings.of(calls, repeats=repeats)


def exact(case: tt.Case) -> IsotonicMap:
    """Fit without quantisation: both passes."""
    read = case.read()
    masks = [mask.reshape(-1) for mask in read.raters.values()]
    table = ResponseTable({len(masks): count_votes(read, masks)})
    return IsotonicMap.fit(exact_curve(table, [case], target="response"))


def equal_blocks() -> Row:
    """Compare the knots of the exact fit with those of all voxels sorted."""
    case = data.case(data.cube(CHECKED), members=3)
    read = case.read()
    full = IsotonicMap.fit(sorted_curve(read.probability().reshape(-1), list(read.raters.values())))
    found = exact(case)
    same = found.probability == full.probability
    apart = float(np.abs(np.subtract(found.response, full.response)).max()) if same else np.inf
    return Row(
        f"exact fit: largest difference of a response, {len(full.probability)} knots at the same probabilities",
        EXACT,
        "all voxels sorted",
        apart,
        bar=1e-12,
        at_least=False,
        unit="",
    )


def sorted_curve(p: NDArray[np.float32], masks: list[NDArray[np.uint8]]) -> Curve:
    """Sort all voxels above 0 and pool equal probabilities."""
    votes = np.sum([mask.reshape(-1) for mask in masks], axis=0)
    values, where = np.unique(p[p > 0], return_inverse=True)
    weight = np.bincount(where).astype(np.float64)
    return Curve(values.astype(np.float64), weight, np.bincount(where, votes[p > 0] / len(masks)) / weight)
