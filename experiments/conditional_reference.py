"""Makes the reference of the case-aware calibration: a map to be drawn to, and what a case tells of its coefficients.

From lung nodules of which none is used to score anything: the train split, as networks see it that did not see the
case's patient (experiments/lidc2d_crossfit.py); those that four radiologists drew.

Adding the sixteen CT phantoms that the embedded networks are calibrated on was tried for the information: fits to eight
cases became worse on the nodules' calibration split and on other phantoms alike.

Run: python experiments/conditional_reference.py --crossfit lidc2d-crossfit [--data DIR]
after experiments/lidc2d_crossfit.py, whose work folder that is.
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Annotated

import lidc2d
import numpy as np
import typer
from lidc2d_crossfit import MEMBERS
from numpy.typing import NDArray

import twintrack as tt
from twintrack.calibration.conditional.fit import Terms, fit_coefficients
from twintrack.calibration.conditional.reference import N_COEFFICIENTS, Reference, Units
from twintrack.calibration.sample import CaseSample
from twintrack.errors import TwinTrackWarning
from twintrack.images.atomic import write_text

ROOT = Path(__file__).resolve().parents[1]
OUT = ROOT / "src" / "twintrack" / "calibration" / "conditional" / "reference.json"
RATERS = 4
RIDGE = 0.1
"""Added to the information where the map is fitted: there are enough cases to need no more."""
LEAST = 1e-3
"""And to the information that is kept, so that no direction is free."""


def main(
    crossfit: Annotated[Path, typer.Option(help="Work folder of lidc2d_crossfit.py.")],
    data: Annotated[Path, typer.Option(help="Folder with lidc2d.")] = lidc2d.DEFAULT_DATA,
    out: Annotated[Path, typer.Option(help="The file to write.")] = OUT,
) -> None:
    """Describe the cases, fit the map, and write the reference."""
    warnings.simplefilter("ignore", TwinTrackWarning)
    samples = samples_of(cohort(crossfit, data))
    units = units_of(samples)
    terms = [term for sample in samples if (term := Terms.of(sample, units)) is not None]
    fitted = fit_coefficients(terms, RIDGE * np.eye(N_COEFFICIENTS))
    information = np.mean([term.derivatives(fitted)[1] for term in terms], axis=0) + LEAST * np.eye(N_COEFFICIENTS)
    reference = Reference(
        units=units,
        coefficients=tuple(rounded(fitted).tolist()),
        information=tuple(tuple(row) for row in rounded(information).tolist()),
        about=f"{len(samples)} lung nodules in 2-D (LIDC-IDRI; small U-Nets); experiments/conditional_reference.py",
    )
    write_text(out, reference.model_dump_json(indent=1) + "\n")
    print(reference.about)


def cohort(crossfit: Path, data: Path) -> tt.Cohort:
    """Find the nodules of the train split that four radiologists drew."""
    found = tt.find_cohort(
        raters=[data / "lidc2d"],
        members=[crossfit / f"member_{k + 1}" for k in range(MEMBERS)],
        cases=data / "lidc2d" / "cases.csv",
        split="train",
    )
    return tt.Cohort(case for case in found if len(case.raters) == RATERS)


def samples_of(cohort: tt.Cohort) -> list[CaseSample]:
    """Read every case once; those in which nothing was predicted tell nothing."""
    found = [CaseSample.of(case, case.read()) for case in cohort]
    return [sample for sample in found if sample.traits is not None]


def units_of(samples: list[CaseSample]) -> Units:
    """Measure features by their standard deviation over voxels, and over cases."""
    voxels = np.concatenate([sample.voxel for sample in samples])
    cases = np.array([sample.traits.features for sample in samples if sample.traits])
    return Units(
        voxel=tuple(rounded(voxels.std(axis=0)).tolist()),
        case_centre=tuple(rounded(cases.mean(axis=0)).tolist()),
        case=tuple(rounded(cases.std(axis=0)).tolist()),
    )


def rounded(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Keep six digits, symmetrically."""
    return np.array([float(f"{value:.6g}") for value in values.ravel()]).reshape(values.shape)


if __name__ == "__main__":
    typer.run(main)
