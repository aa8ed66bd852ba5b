"""`twintrack predict`: from CTs to calibrated response maps, agreement levels and volumes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from twintrack.cli import options, segment_options
from twintrack.cli.display import Skipped, message, show_json, show_table, show_written
from twintrack.cli.flagged import Flagged
from twintrack.errors import CohortError, InputError

if TYPE_CHECKING:
    from twintrack.segmentation.cts import Ct
    from twintrack.segmentation.stream import OnBadCt


def command(
    ct: segment_options.Cts,
    out: Annotated[Path, typer.Option("--out", help="Folder for responses/, levels/, rois/ and summaries/.")],
    models: Annotated[
        Path | None,
        typer.Option("--models", help="A model bundle. Default: the embedded one, which knows phantoms only."),
    ] = None,
    calibration: Annotated[
        Path | None,
        typer.Option("--calibration", help="A calibration written by `twintrack fit`. Default: the bundle's own."),
    ] = None,
    roi: segment_options.RoiPath = None,
    margin: segment_options.Margin = None,
    device: segment_options.Device = "auto",
    threads: segment_options.Threads = None,
    n_raters: Annotated[
        int | None,
        typer.Option(
            "--n-raters",
            help="K of the agreement levels (at least k of K experts). Default: the most raters of a calibration case.",
            min=1,
            max=255,
        ),
    ] = None,
    uncertainty: options.UncertaintyMaps = False,
    dicom: Annotated[
        bool,
        typer.Option(
            "--dicom", help="Also write DICOM objects and their twins, as `twintrack dicom` does; every CT is a series."
        ),
    ] = False,
    ending: segment_options.Ending = "nii.gz",
    trust_checkpoint: segment_options.TrustCheckpoint = False,
    overwrite: segment_options.Overwrite = False,
    skip_bad: options.SkipBad = False,
    workers: options.Workers = None,
    scheduler: options.Scheduler = None,
    json: options.Json = False,
) -> None:
    """Predict CTs: at each voxel the fraction of experts who would label it, on the CT's own grid.

    Writes for each case the response map, the agreement levels (k: k of K experts are to be expected), the ROI and a
    summary with the expected volume and how sure it is, the interval of a further rater's volume, and in what the case
    is unlike those of the calibration (flags), which is also warned of. A case that an earlier run finished with the
    same CT, bundle, calibration and settings is passed over: an interrupted run goes on where it stopped.

    Example: `twintrack predict ct.nii.gz --models bundle --calibration calibration.json --out predicted`
    """
    from twintrack.cli.stages import watching  # noqa: PLC0415  (keeps --help fast)
    from twintrack.pipeline.embedded import embedded_bundle  # noqa: PLC0415
    from twintrack.pipeline.predict import load_calibration_of, predict  # noqa: PLC0415
    from twintrack.segmentation.cts import find_cts  # noqa: PLC0415

    ending = segment_options.require_writable_ending(ending)
    cts = find_cts(ct)
    rois = segment_options.rois_of(cts, roi)
    if models is None:
        models = embedded_bundle()
        message("no --models: the embedded bundle is used, which was trained on phantoms, for demonstration only")
    segmenter = segment_options.open_segmenter(
        models, margin=margin, device=device, threads=threads, trust_checkpoint=trust_checkpoint
    )
    fitted = load_calibration_of(segmenter.bundle, calibration)
    structure = segmenter.bundle.bundle.structure
    with (
        Skipped() as skipped,
        options.executor_from(workers, scheduler) as executor,
        watching("Predicting", executor) as (on_stage, progress),
    ):
        if dicom:
            cts = _require_dicom(cts, out, structure=structure, ending=ending, on_bad=skipped if skip_bad else None)
        summaries = predict(
            cts,
            segmenter=segmenter,
            calibration=fitted,
            folder=out,
            rois=rois,
            n_raters=n_raters,
            band=uncertainty,
            ending=ending,
            resume=not overwrite,
            executor=executor,
            on_stage=on_stage,
            on_bad=skipped if skip_bad else None,
            progress=progress,
        )
        if not summaries:
            raise CohortError("there is nothing to write: every CT was skipped")
    if dicom:
        _write_dicom(cts, summaries, out, structure=structure)
    if json:
        show_json({"cases": summaries, "skipped": skipped.reasons})
        return
    show_predictions(summaries)
    flagged = Flagged()
    flagged.reasons = {summary["case"]: summary["flags"] for summary in summaries if summary["flags"]}
    flagged.show(n_cases=len(summaries), where=str(out / "summaries"), calibration=fitted)
    show_written([f"{len(summaries)} cases into {out}"])


def _require_dicom(cts: list[Ct], out: Path, *, structure: str, ending: str, on_bad: OnBadCt | None) -> list[Ct]:
    """Check, before anything is predicted, that DICOM objects can be made of it."""
    from twintrack.report.dicom.extra import require_dicom_extra  # noqa: PLC0415  (keeps --help fast)

    require_dicom_extra()
    from twintrack.pipeline.predicted_dicom import require_dicom_series  # noqa: PLC0415  (imports the extra)

    if ending == ".npy":
        raise InputError("--dicom needs maps that say where they lie; --format npy does not")
    return require_dicom_series(cts, out, structure=structure, on_bad=on_bad)


def _write_dicom(cts: list[Ct], summaries: list[dict[str, Any]], out: Path, *, structure: str) -> None:
    from twintrack.pipeline.predicted_dicom import write_predicted_dicom  # noqa: PLC0415  (imports the extra)

    write_predicted_dicom(
        cts, summaries, out, structure=structure, on_stage=lambda stage: message(f"DICOM objects: {stage}")
    )


def show_predictions(summaries: list[dict[str, Any]]) -> None:
    """Print a row of volumes for each case."""
    n_raters = max(summary["n_raters"] for summary in summaries)
    half = (n_raters + 1) // 2
    header = [
        "case",
        "ROI from",
        "expected ml",
        "90 % of draws ml",
        "a further rater's median ml",
        "a further rater's ml",
    ]
    header += [f"≥1 of {n_raters} ml", f"≥{half} of {n_raters} ml", "highest response"]
    rows = [_row(summary, half) for summary in summaries]
    show_table("Volumes", header, rows)
    reasons = sorted({summary["no_interval"] for summary in summaries if summary["no_interval"]})
    for reason in reasons:
        message(f"no interval: {reason}")


def _row(summary: dict[str, Any], half: int) -> list[str]:
    interval, distribution, at_least = summary["interval"], summary["distribution"], summary["at_least_mm3"]
    sureness = summary["expected_interval"]
    return [
        summary["case"],
        summary["roi"]["source"],
        _ml(summary["expected_volume_mm3"]),
        "–" if sureness is None else _range(sureness),
        "–" if distribution is None else _ml(distribution["quantiles_mm3"]["0.5"]),
        "–" if interval is None else f"{_range(interval)} {_promise(interval)}",
        _ml(at_least["1"]),
        _ml(at_least[str(half)]),
        f"{summary['highest_response']:.2f}",
    ]


def _ml(mm3: float) -> str:
    return f"{mm3 / 1000:.2f}"


def _range(interval: dict[str, Any]) -> str:
    return f"{_ml(interval['low_mm3'])} to {_ml(interval['high_mm3'])}"


def _promise(interval: dict[str, Any]) -> str:
    """Say how often the interval holds: the level asked for, or what so few calibration cases can promise."""
    return f"({100 * interval['promised']:.0f} %)"
