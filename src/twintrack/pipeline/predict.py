"""Predicting several CTs: each is read, segmented, calibrated and written; what is done already is passed over."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass
from pathlib import Path
from typing import Any

from twintrack.calibration import Calibration, load_calibration
from twintrack.calibration.agreement import require_countable
from twintrack.compute.executors import Executor
from twintrack.errors import CalibrationError, OutputError
from twintrack.images import read_volume
from twintrack.images.atomic import make_folder, require_seen
from twintrack.pipeline.clock import StageClock
from twintrack.pipeline.prediction import OnStage, predict_case, raters_of
from twintrack.pipeline.summary import PACKAGES, describe_calibration, summarise
from twintrack.pipeline.write import FOLDERS, summary_of, write_prediction
from twintrack.segmentation.bundle_files import LoadedBundle
from twintrack.segmentation.cts import Ct
from twintrack.segmentation.records import read_finished
from twintrack.segmentation.segmenter import Segmenter
from twintrack.segmentation.stream import CtProgress, OnBadCt, each_ct, fingerprint_of, input_hashes
from twintrack.software import versions


def predict(
    cts: Sequence[Ct],
    *,
    segmenter: Segmenter,
    calibration: Calibration,
    folder: Path,
    rois: Mapping[str, Path] | None = None,
    n_raters: int | None = None,
    band: bool = False,
    ending: str = ".nii.gz",
    resume: bool = True,
    executor: Executor | None = None,
    on_stage: OnStage | None = None,
    on_bad: OnBadCt | None = None,
    progress: CtProgress | None = None,
) -> list[dict[str, Any]]:
    """Predict CTs and write response maps, agreement levels, ROIs and summaries.

    One CT is in memory at a time in every process; the networks are loaded once in each.

    Args:
        cts: The CTs.
        segmenter: What predicts the members.
        calibration: The map from probability to response.
        folder: Where to write (`twintrack.pipeline.write`).
        rois: The ROI of each case, instead of the coarse network's.
        n_raters: K of the agreement levels; None takes the most raters that a calibration case had.
        band: Whether lower and upper response maps are written too.
        ending: File format of the maps.
        resume: Whether a case that an earlier run finished with the same CT, bundle, calibration and settings is passed
            over.
        executor: Who does the work; None: this process. Workers load the networks once each and use one thread where
            the segmenter was not told how many; maps do not depend on who did it, but for this number of threads.
        on_stage: Told what is done next, by this process only.
        on_bad: Called with a CT that cannot be used; None: raise.
        progress: Wraps the CTs to show progress.

    Returns:
        The summary of each case that is done, also of those passed over, in the order of the CTs.

    Raises:
        CalibrationError: If the calibration was fitted for another foreground, or the band is wanted and it does not
            know how sure it is, before anything is predicted.
        OutputError: If a file cannot be written, or would replace a CT.
        TwinTrackError: Without `on_bad`, whatever is wrong with the first unusable CT.
    """
    bundle = segmenter.bundle
    calibration.check_foreground(bundle.bundle.foreground, name=f"the bundle {bundle.folder}")
    if band:
        calibration.require_uncertainty()
    experts = require_countable(raters_of(calibration) if n_raters is None else n_raters)
    make_folder(folder)
    require_elsewhere(cts, folder)
    one = _PredictCt(
        segmenter if executor is None else segmenter.apart(),
        calibration,
        used={
            "bundle": {"name": bundle.bundle.name, "sha256": bundle.sha256},
            "calibration": describe_calibration(calibration),
        },
        folder=folder.absolute(),
        rois=rois,
        n_raters=experts,
        band=band,
        ending=f".{ending.lstrip('.')}",
        resume=resume,
        on_stage=on_stage if executor is None else None,
    )
    return list(each_ct(one, cts, executor=executor, on_bad=on_bad, progress=progress))


@dataclass(frozen=True, eq=False)
class _PredictCt:
    """Predicts one CT and writes its maps and summary, if that is not done already."""

    segmenter: Segmenter
    calibration: Calibration
    _: KW_ONLY
    used: Mapping[str, Any]
    folder: Path
    rois: Mapping[str, Path] | None
    n_raters: int
    band: bool
    ending: str
    resume: bool
    on_stage: OnStage | None

    def __call__(self, ct: Ct) -> dict[str, Any]:
        require_seen(self.folder)
        clock = StageClock(self.on_stage)
        clock("checking what is done")
        roi = None if self.rois is None else self.rois[ct.case_id]
        inputs = input_hashes(ct, segmenter=self.segmenter, roi=roi)
        fingerprint = fingerprint_of(inputs, **self.used, n_raters=self.n_raters, band=self.band, ending=self.ending)
        done = read_finished(summary_of(self.folder, ct.case_id), fingerprint=fingerprint) if self.resume else None
        if done is not None:
            return done
        clock("reading")
        prediction = predict_case(
            self.segmenter,
            self.calibration,
            ct.read(),
            case_id=ct.case_id,
            roi=None if roi is None else read_volume(roi),
            n_raters=self.n_raters,
            band=self.band,
            on_stage=clock,
        )
        clock("writing")
        summary = {
            **summarise(prediction),
            **self.used,
            "input": {"name": ct.path.name, "sha256": inputs["ct"]},
            "margin_mm": self.segmenter.settings.margin,
            "software": versions(*PACKAGES),
            "fingerprint": fingerprint,
        }
        return write_prediction(prediction, summary, self.folder, ending=self.ending, clock=clock)


def load_calibration_of(bundle: LoadedBundle, given: Path | None = None) -> Calibration:
    """Read the calibration of a run.

    Args:
        bundle: The bundle.
        given: Another calibration to use instead of the bundle's own.

    Returns:
        The calibration.

    Raises:
        CalibrationError: If there is none, or it cannot be used.
    """
    path = given or bundle.calibration_path
    if path is None:
        raise CalibrationError(
            f"the bundle {bundle.folder} has no calibration; give one (--calibration FILE, from `twintrack fit`)"
        )
    return load_calibration(path)


def require_elsewhere(cts: Sequence[Ct], folder: Path) -> None:
    """Refuse an output folder in which results would replace the CTs themselves.

    Raises:
        OutputError: If a CT lies where results are written.
    """
    places = [(folder / name).resolve() for name in FOLDERS]
    for ct in cts:
        if any(ct.path.resolve().is_relative_to(place) for place in places):
            raise OutputError(f"{ct.path} lies where results are written; choose another folder than {folder}")
