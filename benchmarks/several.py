"""Processor seconds of scoring three calibrations in one pass, beside three passes, for a case in files.

Run: python -m benchmarks.several [--protocol response --protocol pdacvi-corrected]
"""

from __future__ import annotations

import argparse
import tempfile
import warnings
from pathlib import Path

import numpy as np
from benchmarks.speed import data
from benchmarks.speed.harness import Timings

import twintrack as tt

SHAPE = (40, 256, 256)
METHODS = ("isotonic", "temperature", "beta")
TOGETHER, APART = "together", "apart"


def cohort(folder: Path) -> tt.Cohort:
    """Write a case with three members, five raters and two vessels."""
    grid = tt.Grid.plain(SHAPE, spacing=(1.0, 0.7, 0.7))
    members = [folder / f"member_{seed}" for seed in range(3)]
    for seed, member in enumerate(members):
        member.mkdir()
        tt.write_volume(member / "c1.nii.gz", tt.Volume(data.member(SHAPE, seed=seed), grid))
    (folder / "raters" / "c1").mkdir(parents=True)
    for seed in range(5):
        mask = tt.Volume(data.rater(SHAPE, seed=seed), grid)
        tt.write_volume(folder / "raters" / "c1" / f"annotation_{seed + 1}.nii.gz", mask)
    vessels = np.zeros(SHAPE, np.uint8)
    vessels[:, 110:130, 150:170], vessels[:, 100:110, 150:165] = 1, 2
    (folder / "vessels").mkdir()
    tt.write_volume(folder / "vessels" / "c1.nii.gz", tt.Volume(vessels, grid))
    return tt.find_cohort(raters=folder / "raters", members=members, vessels=folder / "vessels")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--protocol", action="append")
    protocols = parser.parse_args().protocol or ["response", "pdacvi-corrected"]
    warnings.simplefilter("ignore")  # the calibrations are fitted to one small case: all is unlike it
    small = [data.case((16, 40, 40), members=3)]
    fitted = {method: tt.fit(small, method=method) for method in METHODS}
    with tempfile.TemporaryDirectory() as name:
        cases = cohort(Path(name))
        for protocol in protocols:
            how = {"protocol": protocol, "repeats": 10}
            calls = {
                TOGETHER: lambda how=how: tt.evaluate(cases, calibration=fitted, **how),
                APART: lambda how=how: [tt.evaluate(cases, calibration=one, **how) for one in fitted.values()],
            }
            calls[TOGETHER]()  # compiles and loads
            row = Timings.of(calls, repeats=3).faster(protocol, TOGETHER, APART, bar=None)
            print(f"{protocol}: apart takes {row.cpu:.2f} times the processor seconds of together")


if __name__ == "__main__":
    main()
