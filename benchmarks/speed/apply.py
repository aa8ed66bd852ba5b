"""Applying an isotonic map to a volume: beside scikit-learn, numpy.interp and a memory copy."""

from __future__ import annotations

import numpy as np
from benchmarks.speed import data
from benchmarks.speed.harness import Row, Timings
from numpy.typing import NDArray
from scipy.special import expit
from sklearn.isotonic import IsotonicRegression

import twintrack as tt
from twintrack.calibration.methods.isotonic import IsotonicMap
from twintrack.calibration.respond import respond_in_place

SHAPE = (300, 512, 512)
LEARNT = 10_000_000
REPEATS = 5
OURS, SKLEARN, INTERP, COPY = "in place", "scikit-learn, `predict`", "`numpy.interp`, float64", "memory copy"


def rows(*, large: bool) -> list[Row]:  # noqa: ARG001  (one size)
    """Measure on a made-up member, and on numbers in random order, which no table and no search likes."""
    fitted, peer = learnt()
    rng = np.random.default_rng(0)
    spread = expit(3 * rng.standard_normal(SHAPE, np.float32) - 3)
    given = {"a member": data.member(SHAPE, seed=7), "logits N(−3, 3) in random order": spread}
    return [row for what, p in given.items() for row in of_volume(what, p, fitted, peer)]


def of_volume(what: str, p: NDArray[np.float32], fitted: IsotonicMap, peer: IsotonicRegression) -> list[Row]:
    """Measure one volume."""
    flat, work = p.reshape(-1), p.copy()
    respond_in_place(work, fitted, pin_zero=False, roi=None)
    wanted = np.interp(flat, fitted.probability, fitted.response)
    error = float(np.abs(work.reshape(-1) - wanted).max())
    del wanted
    calls = {
        COPY: lambda: np.copyto(work, p),  # comes first: it gives back what is then overwritten
        OURS: lambda: respond_in_place(work, fitted, pin_zero=True, roi=None),
        INTERP: lambda: np.interp(flat, fitted.probability, fitted.response),
        SKLEARN: lambda: peer.predict(flat),
    }
    timings = Timings.of(calls, repeats=REPEATS)
    claim = f"apply, 512×512×300, {len(fitted.probability)} knots, {what}"
    return [
        Row(f"{claim}: largest error", OURS, INTERP, error, bar=1e-7, at_least=False, unit=""),
        timings.faster(claim, OURS, SKLEARN, bar=25),
        timings.faster(claim, OURS, INTERP, bar=None),
        timings.costs(claim, OURS, COPY, bar=4),
    ]


def learnt() -> tuple[IsotonicMap, IsotonicRegression]:
    """Fit both to the same voxels."""
    case = data.case(data.cube(LEARNT), members=1)
    fitted = tt.fit([case], method="isotonic").map
    assert isinstance(fitted, IsotonicMap)
    read = case.read()
    response = np.mean([mask.reshape(-1) for mask in read.raters.values()], axis=0)
    return fitted, IsotonicRegression(out_of_bounds="clip").fit(read.probability().reshape(-1), response)
