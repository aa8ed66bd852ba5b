"""Makes the reference of the case-aware calibration: units of its features, and what a case tells of its coefficients.

Two cohorts, of which no case is used to score anything else: lung nodules in 2-D that the nnU-Nets of lidc2d_nnunet.py
did not learn from (the cases of the train split that were held out to judge them), and CT phantoms in 3-D that the
embedded networks did not learn from (those they are calibrated on). The map is fitted to each cohort in common units;
the reference keeps the mean of the two cohorts' information there, not the maps.

Run: python experiments/conditional_reference.py --nodules lidc2d-nnunet --phantoms build/embedded [--data DIR]
after experiments/lidc2d_nnunet.py and experiments/embedded_bundle.py, whose work folders these are.
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Annotated, Any

import lidc2d
import lidc2d_nnunet
import numpy as np
import typer
from numpy.typing import NDArray

import twintrack as tt
from twintrack.calibration.conditional.fit import Terms, fit_coefficients
from twintrack.calibration.conditional.reference import N_COEFFICIENTS, Reference, Units
from twintrack.calibration.sample import CaseSample
from twintrack.cohort.sources import ImageSource
from twintrack.errors import TwinTrackWarning
from twintrack.images.atomic import write_text
from twintrack.segmentation.bundle_files import load_bundle
from twintrack.segmentation.cts import find_cts
from twintrack.segmentation.segmenter import Segmenter
from twintrack.segmentation.stream import segment_cts

ROOT = Path(__file__).resolve().parents[1]
OUT = ROOT / "src" / "twintrack" / "calibration" / "conditional" / "reference.json"
RIDGE = 0.1
"""Added to the information where the cohorts' own maps are fitted; they have enough cases to need no more."""
LEAST = 1e-3
"""And to the information that is kept, so that no direction is free."""


def main(
    nodules: Annotated[Path, typer.Option(help="Work folder of lidc2d_nnunet.py.")],
    phantoms: Annotated[Path, typer.Option(help="Work folder of embedded_bundle.py.")],
    data: Annotated[Path, typer.Option(help="Folder with lidc2d.")] = lidc2d.DEFAULT_DATA,
    out: Annotated[Path, typer.Option(help="The file to write.")] = OUT,
) -> None:
    """Describe both cohorts, fit each, and write the reference."""
    warnings.simplefilter("ignore", TwinTrackWarning)
    cohorts = [samples_of(held_out_nodules(nodules, data)), samples_of(calibration_phantoms(phantoms))]
    units = common_units(cohorts)
    information = np.mean([information_of(cohort, units) for cohort in cohorts], axis=0)
    reference = Reference(
        units=units,
        information=tuple(tuple(row) for row in rounded(information + LEAST * np.eye(N_COEFFICIENTS)).tolist()),
        about=f"{len(cohorts[0])} lung nodules in 2-D (LIDC-IDRI; three nnU-Nets) and {len(cohorts[1])} CT phantoms in "
        "3-D (the embedded networks); experiments/conditional_reference.py",
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


def calibration_phantoms(work: Path) -> tt.Cohort:
    """Find the phantoms that the embedded networks were calibrated on, as they were predicted for that."""
    folder = work / "training" / "calibration"
    drawn = tt.find_cohort(raters=work / "phantoms" / "calibration")
    return tt.Cohort(
        tt.Case(
            case.id,
            members=[ImageSource(member / f"{case.id}.nii.gz") for member in sorted((folder / "members").iterdir())],
            raters=case.raters,
            roi=ImageSource(folder / "rois" / f"{case.id}.nii.gz"),
        )
        for case in drawn
    )


def samples_of(cohort: tt.Cohort) -> list[CaseSample]:
    """Read every case once; those in which nothing was predicted tell nothing."""
    found = [CaseSample.of(case, case.read()) for case in cohort]
    return [sample for sample in found if sample.traits is not None]


def common_units(cohorts: list[list[CaseSample]]) -> Units:
    """Measure features by their spread: the mean over the cohorts of each one's own."""

    def spread(arrays: list[NDArray[Any]]) -> NDArray[np.float64]:
        return np.mean([array.std(axis=0) for array in arrays], axis=0)

    voxels = [np.concatenate([sample.voxel for sample in cohort]) for cohort in cohorts]
    cases = [np.array([sample.traits.features for sample in cohort if sample.traits]) for cohort in cohorts]
    centre = np.mean([array.mean(axis=0) for array in cases], axis=0)
    return Units(
        voxel=tuple(rounded(spread(voxels)).tolist()),
        case_centre=tuple(rounded(centre).tolist()),
        case=tuple(rounded(spread(cases)).tolist()),
    )


def information_of(cohort: list[CaseSample], units: Units) -> NDArray[np.float64]:
    """Give the mean Hessian of the cases' losses at the map that fits them."""
    terms = [term for sample in cohort if (term := Terms.of(sample, units)) is not None]
    at = fit_coefficients(terms, RIDGE * np.eye(N_COEFFICIENTS))
    return np.mean([term.derivatives(at)[1] for term in terms], axis=0)


def rounded(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Keep six digits, symmetrically."""
    return np.array([float(f"{value:.6g}") for value in values.ravel()]).reshape(values.shape)


if __name__ == "__main__":
    typer.run(main)
