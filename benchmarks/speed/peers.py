"""Calibration packages: beta beside betacal and netcal, isotonic beside netcal, ECE beside netcal and torchmetrics.

They know labels of 0 and 1, so all get the probability and one rater's mask, flat. torchmetrics and netcal
measure what `mhr_calibration_error` does where the response is one rater's.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable

import numpy as np
import torch
from benchmarks.speed import data
from benchmarks.speed.harness import Row, Timings
from betacal import BetaCalibration
from netcal.binning import IsotonicRegression as NetcalIsotonic
from netcal.metrics import ECE
from netcal.scaling import BetaCalibration as NetcalBeta
from numpy.typing import NDArray
from torchmetrics.functional.classification import binary_calibration_error

import twintrack as tt
from twintrack.calibration.methods.beta import BetaMap
from twintrack.calibration.methods.isotonic import IsotonicMap
from twintrack.calibration.table import ResponseTable, count_votes
from twintrack.cohort import CaseData
from twintrack.evaluation.scores.reliability import mhr_calibration_error

SIZES = {1_000_000: 5, 10_000_000: 3}
"""Voxels, and how often everything is repeated."""

BINS = 20
BETA, ISOTONIC, ERROR = "table and `beta`", "table and `isotonic`", "`mhr_calibration_error`"
KINDS = {BETA: "beta", ISOTONIC: "isotonic", ERROR: f"ECE, {BINS} bins"}
CLIP = 1e-12
"""How near to 0 and 1 what is fitted may come in the cross-entropy."""


def rows(*, large: bool) -> list[Row]:  # noqa: ARG001  (two sizes)
    """Measure all sizes."""
    warnings.filterwarnings("ignore", module=r"netcal|betacal|sklearn")
    small = _Given(10_000)
    for call in (small.our_beta, small.our_isotonic, small.our_error):
        call()
    return [row for voxels, repeats in SIZES.items() for row in _Given(voxels).rows(repeats=repeats)]


class _Given:
    """What all of them get."""

    def __init__(self, voxels: int) -> None:
        shape = data.cube(voxels)
        inside = (
            p := data.member(shape, seed=0)
        ) > 0  # what is exactly 0 is fitted by none, and clipped by each its way
        case = tt.Case("made-up", members=[p[inside][None]], raters=[data.rater(shape, seed=0)[inside][None]])
        self.what = f"{voxels:.0e} voxels, those above 0, 1 rater".replace("e+0", "e")
        self.read: CaseData = case.read()
        self.mask = next(iter(self.read.raters.values())).reshape(-1)
        self.p = self.read.probability().reshape(-1)
        self.response = self.mask.astype(np.float32)

    def table(self) -> ResponseTable:
        return ResponseTable({1: count_votes(self.read, [self.mask])})

    def our_beta(self) -> BetaMap:
        return BetaMap.fit(self.table().curve())

    def our_isotonic(self) -> IsotonicMap:
        return IsotonicMap.fit(self.table().curve())

    def our_error(self) -> float:
        return mhr_calibration_error(self.p, self.response, bins=BINS)

    def betacal(self) -> BetaCalibration:
        return BetaCalibration(parameters="abm").fit(self.p, self.mask)

    def netcal_beta(self) -> NetcalBeta:
        return NetcalBeta().fit(self.p, self.mask)

    def netcal_isotonic(self) -> NetcalIsotonic:
        return NetcalIsotonic().fit(self.p, self.mask)

    def netcal_error(self) -> float:
        return float(ECE(BINS).measure(self.p, self.mask))

    def torchmetrics_error(self) -> float:
        p, labels = torch.from_numpy(self.p), torch.from_numpy(self.mask)
        return float(binary_calibration_error(p, labels, n_bins=BINS))

    def rows(self, *, repeats: int) -> list[Row]:
        """Compare times, and what comes of them."""
        calls: dict[str, Callable[[], object]] = {
            BETA: self.our_beta,
            "betacal": self.betacal,
            "netcal, `BetaCalibration`": self.netcal_beta,
            ISOTONIC: self.our_isotonic,
            "netcal, `IsotonicRegression`": self.netcal_isotonic,
            ERROR: self.our_error,
            "netcal, `ECE`": self.netcal_error,
            "torchmetrics": self.torchmetrics_error,
        }
        timings = Timings.of(calls, repeats=repeats)
        error, beta = self.our_error(), self.cross_entropy(self.our_beta())
        isotonic = self.cross_entropy(self.our_isotonic())
        # Of fits what the peer's costs more (a negative figure: less), of errors how far they are apart.
        more = "cross-entropy, the peer's less ours"
        compared = [
            (BETA, "betacal", more, self.cross_entropy(self.betacal().predict) - beta),
            (BETA, "netcal, `BetaCalibration`", more, self.cross_entropy(self.netcal_beta().transform) - beta),
            (ISOTONIC, "netcal, `IsotonicRegression`", more,
             self.cross_entropy(self.netcal_isotonic().transform) - isotonic),
            (ERROR, "netcal, `ECE`", "difference", abs(self.netcal_error() - error)),
            (ERROR, "torchmetrics", "difference", abs(self.torchmetrics_error() - error)),
        ]  # fmt: skip
        found = []
        for ours, peer, what, apart in compared:
            claim = f"{KINDS[ours]}, {self.what}"
            found += [timings.faster(claim, ours, peer, bar=None), Row(f"{claim}: {what}", ours, peer, apart, unit="")]
        return found

    def cross_entropy(self, fitted: Callable[[NDArray[np.float32]], NDArray[np.floating]]) -> float:
        """Give the cross-entropy of what a fit makes of the probabilities it was fitted to."""
        q = np.clip(np.asarray(fitted(self.p), np.float64), CLIP, 1 - CLIP)
        return float(-np.mean(np.where(self.mask, np.log(q), np.log1p(-q))))
