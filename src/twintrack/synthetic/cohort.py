"""Simulated cases and cohorts, in memory or on disk in the layouts that real users have."""

from __future__ import annotations

import csv
import io
import json
import zipfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib import format as npy_format
from numpy.typing import NDArray

from twintrack.cohort import Case
from twintrack.errors import InputError, OutputError
from twintrack.images import Volume, write_volume
from twintrack.images.atomic import replacing, write_text
from twintrack.synthetic.members import region_of_interest, simulate_members
from twintrack.synthetic.phantom import SHAPE, SPACING, Phantom, make_phantom, phantom_grid
from twintrack.synthetic.raters import simulate_raters
from twintrack.synthetic.seeds import require_count, seed_sequence

LABEL = "tumour"
"""The foreground label in the members' ``dataset.json``."""

_MISSING = 0.2  # fraction of the cases in which one rater is missing


@dataclass(frozen=True, eq=False)
class _Simulated:
    """One case with everything that was simulated of it; a missing rater is None."""

    phantom: Phantom
    raters: list[NDArray[np.uint8] | None]
    members: list[NDArray[np.float32]]
    roi: NDArray[np.uint8]


@dataclass(frozen=True)
class _Plan:
    """One case of a cohort to be."""

    id: str
    patient: str
    split: str
    seed: int
    missing: int | None


def phantom_case(
    seed: int,
    *,
    n_raters: int = 5,
    n_members: int = 3,
    shape: Sequence[int] = SHAPE,
    spacing: Sequence[float] = SPACING,
    personality_seed: int | None = None,
) -> Case:
    """Simulate a case in memory.

    Args:
        seed: Chooses patient, outlines and predictions.
        n_raters: How many raters drew it.
        n_members: How many members predicted it.
        shape: Voxels along (z, y, x).
        spacing: Voxel size in mm along (z, y, x).
        personality_seed: Chooses who the raters are; the same number for all cases of a cohort keeps the same persons.
            None: other persons for each seed.

    Returns:
        The case ``phantom_<seed>`` with members, raters, ROI, vessels and CT.

    Raises:
        InputError: If a number cannot be used, or the field of view is too small.
    """
    case = _simulate(
        seed, n_raters=n_raters, n_members=n_members, shape=shape, spacing=spacing, personality_seed=personality_seed
    )
    return Case(
        f"phantom_{seed:04d}",
        members=case.members,
        raters=case.raters,
        roi=case.roi,
        vessels=case.phantom.vessels,
        image=case.phantom.ct,
        grid=case.phantom.grid,
    )


def write_cohort(
    folder: Path,
    *,
    n_cases: int,
    seed: int,
    n_raters: int = 5,
    n_members: int = 3,
    shape: Sequence[int] = SHAPE,
    spacing: Sequence[float] = SPACING,
    calibration_fraction: float = 0.5,
    on_case: Callable[[str], None] | None = None,
) -> None:
    """Simulate a cohort and write it as a study of several raters and an nnU-Net ensemble would lie on disk.

    Written are::

        raters/<case>/image.nii.gz, annotation_1.nii.gz …, vessels.nii.gz               as CURVAS gives them
        raters/<case>/roi.nii.gz, region.nii.gz                                         where to look; the pancreas
        members/member_1 …/<case>.npz, <case>.nii.gz, dataset.json                      as nnU-Net v2 predicts
        cases.csv                                                                       case, patient, raters, split

    The raters are the same persons throughout; in about one case of five, one of them is missing. ``cases.csv`` is
    written last: where it is, the cohort is complete.

    Args:
        folder: Where to; made if it does not exist, else it must be empty.
        n_cases: How many cases, each of another patient.
        seed: Chooses them; the same seed gives the same files.
        n_raters: How many raters there are.
        n_members: How many members the ensemble has.
        shape: Voxels along (z, y, x).
        spacing: Voxel size in mm along (z, y, x).
        calibration_fraction: Fraction of the cases whose split is "calibration"; that of the others is "test".
        on_case: Called with each case's id when its files are written.

    Raises:
        InputError: If a number cannot be used, or the field of view is too small.
        OutputError: If the folder is not empty or cannot be written.
    """
    require_count(n_cases, "cases")
    require_count(n_raters, "raters")
    require_count(n_members, "members")
    if not 0 <= calibration_fraction <= 1:
        raise InputError(f"the calibration fraction lies in [0, 1]; got {calibration_fraction}")
    phantom_grid(shape, spacing)
    plans = _plans(n_cases, seed, n_raters, calibration_fraction)
    _make_folders(folder, n_members)
    for plan in plans:
        case = _simulate(
            plan.seed, n_raters=n_raters, n_members=n_members, shape=shape, spacing=spacing, personality_seed=seed
        )
        if plan.missing is not None:
            case.raters[plan.missing] = None
        _write_rater_files(folder / "raters" / plan.id, case)
        for member, probability in zip(_member_folders(folder, n_members), case.members, strict=True):
            _write_prediction(member, plan.id, Volume(probability, case.phantom.grid, plan.id))
        if on_case is not None:
            on_case(plan.id)
    write_text(folder / "cases.csv", _case_list(plans, n_raters))


def _simulate(
    seed: int,
    *,
    n_raters: int,
    n_members: int,
    shape: Sequence[int],
    spacing: Sequence[float],
    personality_seed: int | None,
) -> _Simulated:
    phantom = make_phantom(seed, shape=shape, spacing=spacing)
    return _Simulated(
        phantom,
        [*simulate_raters(phantom, n_raters=n_raters, seed=seed, personality_seed=personality_seed)],
        simulate_members(phantom, n_members=n_members, seed=seed, personality_seed=personality_seed),
        region_of_interest(phantom),
    )


def _plans(n_cases: int, seed: int, n_raters: int, calibration_fraction: float) -> list[_Plan]:
    sequence = seed_sequence(seed, 4)
    seeds, rng = sequence.generate_state(n_cases).tolist(), np.random.default_rng(sequence)
    n_calibration = round(calibration_fraction * n_cases)
    calibration = set(rng.permutation(n_cases)[:n_calibration].tolist())
    # At least one case shows that raters may be missing, but a case is never left without any.
    n_missing = max(1, round(_MISSING * n_cases)) if n_raters > 1 and n_cases > 1 else 0
    missing = dict(
        zip(rng.permutation(n_cases)[:n_missing].tolist(), rng.integers(n_raters, size=n_missing), strict=True)
    )
    digits = max(3, len(str(n_cases)))
    return [
        _Plan(
            id=f"case_{k + 1:0{digits}d}",
            patient=f"patient_{k + 1:0{digits}d}",
            split="calibration" if k in calibration else "test",
            seed=case_seed,
            missing=int(missing[k]) if k in missing else None,
        )
        for k, case_seed in enumerate(seeds)
    ]


def _make_folders(folder: Path, n_members: int) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if any(folder.iterdir()):
            raise OutputError(
                f"{folder}: not empty; a cohort is written to a new or an empty folder. Delete what an interrupted run "
                "left there, or name another folder."
            )
        for member in _member_folders(folder, n_members):
            member.mkdir(parents=True)
        (folder / "raters").mkdir()
    except OSError as error:
        raise OutputError(f"cannot write {folder}: {error.strerror or error}") from error
    dataset = {
        "channel_names": {"0": "CT"},
        "labels": {"background": 0, LABEL: 1},
        "numTraining": 0,
        "file_ending": ".nii.gz",
    }
    for member in _member_folders(folder, n_members):
        write_text(member / "dataset.json", json.dumps(dataset, indent=4) + "\n")


def _member_folders(folder: Path, n_members: int) -> Iterator[Path]:
    return (folder / "members" / f"member_{k}" for k in range(1, n_members + 1))


def _write_rater_files(folder: Path, case: _Simulated) -> None:
    try:
        folder.mkdir()
    except OSError as error:
        raise OutputError(f"cannot write {folder}: {error.strerror or error}") from error
    phantom = case.phantom
    arrays: dict[str, NDArray[Any]] = {"image": phantom.ct, "vessels": phantom.vessels, "roi": case.roi}
    arrays["region"] = phantom.pancreas
    arrays |= {f"annotation_{k}": mask for k, mask in enumerate(case.raters, start=1) if mask is not None}
    for name, array in arrays.items():
        path = folder / f"{name}.nii.gz"
        write_volume(path, Volume(array, phantom.grid, str(path)))


def _write_prediction(folder: Path, case_id: str, foreground: Volume) -> None:
    probabilities = np.stack([1 - foreground.array, foreground.array])
    segmentation = (probabilities[1] > probabilities[0]).astype(np.uint8)
    write_volume(folder / f"{case_id}.nii.gz", Volume(segmentation, foreground.grid, case_id))
    with (
        replacing(folder / f"{case_id}.npz") as temporary,
        zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive,
        # Opened by name the member holds no time of writing: the same cohort is the same bytes.
        archive.open("probabilities.npy", "w", force_zip64=True) as file,
    ):
        npy_format.write_array(file, probabilities, allow_pickle=False)


def _case_list(plans: list[_Plan], n_raters: int) -> str:
    text = io.StringIO(newline="")
    table = csv.writer(text, lineterminator="\n")
    table.writerow(["case", "patient", "raters", "split"])
    for plan in plans:
        table.writerow([plan.id, plan.patient, n_raters - (plan.missing is not None), plan.split])
    return text.getvalue()
