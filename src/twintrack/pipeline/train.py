"""From outlined CTs to a bundle: networks are trained, run on the calibration cases, calibrated and bundled."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from twintrack.calibration import Calibration, fit
from twintrack.calibration.fit import ALL_METHODS
from twintrack.calibration.selection.selected import CASE_AWARE
from twintrack.cohort import Case, Cohort
from twintrack.cohort.sources import ImageSource
from twintrack.errors import CalibrationError, CohortError, OutputError
from twintrack.images.atomic import make_folder
from twintrack.images.folders import images_in, subfolders
from twintrack.segmentation.bundle import Bundle
from twintrack.segmentation.bundle_files import load_bundle
from twintrack.segmentation.create import create_bundle
from twintrack.segmentation.cts import Ct
from twintrack.segmentation.segmenter import Segmenter
from twintrack.segmentation.stream import CtProgress, OnStage, segment_cts
from twintrack.segmentation.training.cases import ORIENTATION, TrainingCase
from twintrack.segmentation.training.datasets import REGION, CaseProgress
from twintrack.segmentation.training.train import Settings, TrainedNetworks, train_networks

if TYPE_CHECKING:
    from twintrack.segmentation.training.crew import OnEvent

INTENDED_USE = (
    "Trained by `twintrack train` and judged on a few held-out cases only. For research; not for diagnosis or "
    "treatment."
)

_REGION_FILE = "region"
_ENDING = ".nii.gz"

_NETWORKS, _DRAFT, _SEGMENTED, _FITTED = "networks", "bundle", "calibration", "calibration.json"
_PARTS = (_NETWORKS, _DRAFT, _SEGMENTED, _FITTED)
"""All there is in a work folder."""


@dataclass(frozen=True)
class Watching:
    """Whom to tell what; all may be left out.

    Attributes:
        say: Told in words what begins.
        on_event: Told what the child processes say.
        cases: Wraps the training cases while they are read.
        on_stage: Told what is done next with a calibration case.
        cts: Wraps the calibration cases.
    """

    say: Callable[[str], None] = lambda _: None
    on_event: OnEvent | None = None
    cases: CaseProgress | None = None
    on_stage: OnStage | None = None
    cts: CtProgress | None = None


@dataclass(frozen=True)
class TrainedBundle:
    """What `train_bundle` made.

    Attributes:
        bundle: The bundle's description.
        networks: The networks, with what was measured of them.
        calibration: The calibration; None where there were no calibration cases.
    """

    bundle: Bundle
    networks: TrainedNetworks
    calibration: Calibration | None


def training_cases(
    cohort: Cohort, *, images: Mapping[str, Ct] | None = None, regions: Mapping[str, Path] | None = None
) -> list[TrainingCase]:
    """Bring together what networks learn from.

    Args:
        cohort: Cases with raters, and with images where `images` is not given.
        images: The CT of each case.
        regions: Mask of the region to localise of each case.

    Returns:
        The cases in the cohort's order.

    Raises:
        CohortError: If a case has no CT or, where regions are given, no region.
    """
    found = []
    for case in cohort:
        if regions is not None and case.id not in regions:
            raise CohortError(f"case {case.id}: there is no region of it; expected {case.id}{_ENDING} in --regions")
        found.append(
            TrainingCase(
                id=case.id,
                image=_ct(case, images),
                raters=dict(case.raters),
                region=None if regions is None else regions[case.id],
                patient=case.patient,
            )
        )
    return found


def find_regions(folder: Path) -> dict[str, Path]:
    """Find masks of regions on disk.

    Args:
        folder: With ``<case>.nii.gz`` or ``<case>/region.nii.gz`` (or another image format).

    Returns:
        The mask of each case.

    Raises:
        CohortError: If there is none.
    """
    if not folder.is_dir():
        raise CohortError(f"{folder}: there is no such folder")
    found = images_in(folder)
    for sub in subfolders(folder):
        path = images_in(sub).get(_REGION_FILE)
        if path is not None:
            found[sub.name] = path
    if not found:
        raise CohortError(f"{folder}: no region found; expected <case>{_ENDING} or <case>/{_REGION_FILE}{_ENDING}")
    return found


def train_bundle(
    out: Path,
    cases: Sequence[TrainingCase],
    settings: Settings,
    *,
    calibration: Cohort | None = None,
    images: Mapping[str, Ct] | None = None,
    method: str = "auto",
    work: Path,
    name: str | None = None,
    intended_use: str = INTENDED_USE,
    extra_files: Mapping[str, Path] | None = None,
    watching: Watching | None = None,
) -> TrainedBundle:
    """Train networks, calibrate them, and write the bundle, which appears when it is whole.

    Args:
        out: The bundle's folder; must not exist, or be empty.
        cases: What networks learn from.
        settings: How.
        calibration: The calibration cases, of other patients; None: the bundle gets no calibration.
        images: The CTs of the calibration cases, where the cohort itself does not know them.
        method: Method of the calibration.
        work: Folder for everything on the way; a later call with the same input goes on from what is there. It holds
            nothing else, so that it can be removed, and neither it nor `out` lies in the other.
        name: What to call the bundle.
        intended_use: What it is for, and what not.
        extra_files: Further files to put into it, by name.
        watching: Whom to tell what.

    Returns:
        What was made.

    Raises:
        OutputError: If `out` is not empty, `work` holds other files or lies in `out` (or the other way round), or
            something cannot be written.
        CohortError: If a patient is in both sets, or a case has no CT.
        CalibrationError: If there is no such method, it needs more patients, or there is nothing to fit.
        ModelError: If networks are not good enough, or a training fails.
        MissingExtraError: If torch or nnU-Net is not installed.
    """
    _require_places(out, work)
    if method not in ALL_METHODS:
        raise CalibrationError(f"unknown method {method!r}; known are {', '.join(ALL_METHODS)}")
    require_other_patients(cases, calibration or [])
    if method in CASE_AWARE and calibration is not None and len({case.patient for case in calibration}) == 1:
        raise CalibrationError(
            f"{method} leaves patients out, but the calibration cases are of one patient only; name another method "
            "(--method isotonic), or give cases of more patients"
        )
    told = watching or Watching()
    cts = [] if calibration is None else [_ct(case, images) for case in calibration]
    networks = train_networks(
        cases, settings, work=work / _NETWORKS, on_event=told.on_event, say=told.say, progress=told.cases
    )
    common: dict[str, Any] = {
        "members": list(networks.members.values()),
        "names": list(networks.members),
        "foreground": [settings.structure],
        "coarse": networks.coarse,
        "coarse_labels": [REGION] if networks.coarse else [],
        "name": name or out.resolve().name,
        "orientation": ORIENTATION,
        "roi": settings.roi,
        "mirroring": settings.preset.mirroring,
        "intended_use": intended_use,
    }
    fitted, file = None, None
    if calibration is not None:
        told.say(f"running the networks on {len(cts)} calibration cases")
        draft = work / _DRAFT
        shutil.rmtree(draft, ignore_errors=True)
        make_folder(work)
        create_bundle(draft, **common)
        members = _segmented(draft, cts, calibration, settings, work / _SEGMENTED, told)
        told.say(f"calibrating: {method}")
        fitted, file = fit(members, method=method), work / _FITTED
        fitted.save(file)
    bundle = create_bundle(out, **common, calibration=file, training=networks.report, extra_files=extra_files)
    return TrainedBundle(bundle, networks, fitted)


def require_other_patients(cases: Sequence[TrainingCase], calibration: Cohort | Sequence[Case]) -> None:
    """Refuse to calibrate on patients the networks learnt from: they are too sure of those.

    Raises:
        CohortError: If a patient is in both sets.
    """
    learnt = {case.who for case in cases}
    both = [case.id for case in calibration if (case.patient or case.id) in learnt]
    if both:
        raise CohortError(
            f"calibration case {both[0]} is of a patient the networks learn from ({len(both)} in all); calibrate on "
            "other patients"
        )


def _require_places(out: Path, work: Path) -> None:
    """Refuse, before any work is done, places where the bundle or somebody's files would be lost.

    Raises:
        OutputError: If `out` is not empty, one folder lies in the other, or `work` holds other files.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise OutputError(f"cannot make the bundle {out}: it exists and is not an empty folder; name a new one")
    bundle, folder = out.resolve(), work.resolve()
    if bundle.is_relative_to(folder) or folder.is_relative_to(bundle):
        raise OutputError(
            f"cannot make the bundle {out}: the bundle and the work folder {work} must not lie in one another; name "
            "another work folder (--work)"
        )
    there = work.iterdir() if work.is_dir() else ()
    others = sorted(path.name for path in there if path.name[0] != "." and path.name not in _PARTS)
    if others:
        raise OutputError(
            f"{work} is no work folder of a training: it holds {others[0]}; name a new folder, or that of an earlier "
            "run (--work)"
        )


def _segmented(draft: Path, cts: list[Ct], cohort: Cohort, settings: Settings, folder: Path, told: Watching) -> Cohort:
    """Run the ensemble on the calibration cases; give them with their members."""
    segmenter = Segmenter(load_bundle(draft), device=settings.device)
    segment_cts(cts, segmenter=segmenter, folder=folder, ending=_ENDING, on_stage=told.on_stage, progress=told.cts)
    names = [member.name for member in segmenter.networks.members]
    return Cohort(
        Case(
            case.id,
            members=[ImageSource(folder / "members" / name / f"{case.id}{_ENDING}") for name in names],
            raters=case.raters,
            roi=ImageSource(folder / "rois" / f"{case.id}{_ENDING}"),
            patient=case.patient,
            foreground=segmenter.foreground,
        )
        for case in cohort
    )


def _ct(case: Case, images: Mapping[str, Ct] | None) -> Ct:
    if images is not None:
        if case.id not in images:
            raise CohortError(f"case {case.id}: there is no CT of it; expected {case.id}{_ENDING} in --images")
        return images[case.id]
    files = case.image.files if case.image else ()
    if len(files) != 1:
        raise CohortError(f"case {case.id}: there is no CT beside its raters' masks; say where it is with --images")
    return Ct(case.id, files[0])
