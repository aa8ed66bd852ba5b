"""Makes the reference of the case-aware calibration: units of its features, and what a case tells of its coefficients.

From lung nodules of which none is used to score anything: the cases of the train split that were held out to judge the
nnU-Nets of lidc2d_nnunet.py. The map is fitted to them; the reference keeps the information there, not the map.

Adding the sixteen CT phantoms that the embedded networks are calibrated on was tried: fits to eight cases became worse
on the nodules' calibration split and on other phantoms alike.

Run: python experiments/conditional_reference.py --nodules lidc2d-nnunet [--data DIR]
after experiments/lidc2d_nnunet.py, whose work folder that is.
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Annotated

import lidc2d
import lidc2d_nnunet
import numpy as np
import typer
from numpy.typing import NDArray

import twintrack as tt
from twintrack.calibration.conditional.fit import Terms, fit_coefficients
from twintrack.calibration.conditional.reference import N_COEFFICIENTS, Reference, Units
from twintrack.calibration.sample import CaseSample
from twintrack.errors import TwinTrackWarning
from twintrack.images.atomic import write_text
from twintrack.segmentation.bundle_files import load_bundle
from twintrack.segmentation.cts import find_cts
from twintrack.segmentation.segmenter import Segmenter
from twintrack.segmentation.stream import segment_cts

ROOT = Path(__file__).resolve().parents[1]
OUT = ROOT / "src" / "twintrack" / "calibration" / "conditional" / "reference.json"
RIDGE = 0.1
"""Added to the information where the map is fitted: there are enough cases to need no more."""
LEAST = 1e-3
"""And to the information that is kept, so that no direction is free."""


def main(
    nodules: Annotated[Path, typer.Option(help="Work folder of lidc2d_nnunet.py.")],
    data: Annotated[Path, typer.Option(help="Folder with lidc2d.")] = lidc2d.DEFAULT_DATA,
    out: Annotated[Path, typer.Option(help="The file to write.")] = OUT,
) -> None:
    """Describe the cases, fit the map, and write the reference."""
    warnings.simplefilter("ignore", TwinTrackWarning)
    samples = samples_of(held_out_nodules(nodules, data))
    units = units_of(samples)
    information = information_of(samples, units) + LEAST * np.eye(N_COEFFICIENTS)
    reference = Reference(
        units=units,
        information=tuple(tuple(row) for row in rounded(information).tolist()),
        about=f"{len(samples)} lung nodules in 2-D (LIDC-IDRI; three nnU-Nets); experiments/conditional_reference.py",
    )
    write_text(out, reference.model_dump_json(indent=1) + "\n")
    print(reference.about)


def held_out_nodules(work: Path, data: Path) -> tt.Cohort:
    """Predict the nodules that were held out from training."""
    bundle = load_bundle(work / "bundle")
    held_out = set((bundle.bundle.training or {})["held_out_cases"])
    cts = [ct for ct in find_cts([data / "lidc2d"]) if ct.case_id in held_out]
    segment_cts(cts, segmenter=Segmenter(bundle, threads=1), folder=work / "held-out")
    cohort = lidc2d_nnunet.cohort(data, "train", members=work / "held-out" / "members")
    return tt.Cohort(case for case in cohort if case.id in held_out)


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


def information_of(samples: list[CaseSample], units: Units) -> NDArray[np.float64]:
    """Give the mean Hessian of the cases' losses at the map that fits them."""
    terms = [term for sample in samples if (term := Terms.of(sample, units)) is not None]
    at = fit_coefficients(terms, RIDGE * np.eye(N_COEFFICIENTS))
    return np.mean([term.derivatives(at)[1] for term in terms], axis=0)


def rounded(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Keep six digits, symmetrically."""
    return np.array([float(f"{value:.6g}") for value in values.ravel()]).reshape(values.shape)


if __name__ == "__main__":
    typer.run(main)
