"""`twintrack grand-challenge`: one job of the challenge's algorithm, as its container runs it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from twintrack.cli import segment_options
from twintrack.cli.display import message, show_written


def command(
    given: Annotated[Path, typer.Option("--input", help="The job's inputs: /input in the container.")],
    out: Annotated[Path, typer.Option("--output", help="Where the outputs go: /output in the container.")],
    models: Annotated[
        Path | None,
        typer.Option("--models", help="Bundle. Default: the one in /opt/ml/model, else the embedded one (phantoms)."),
    ] = None,
    calibration: Annotated[
        Path | None, typer.Option("--calibration", help="Calibration. Default: the bundle's own.")
    ] = None,
    device: segment_options.Device = "auto",
    threads: segment_options.Threads = None,
) -> None:
    """Read one CT as grand-challenge lays it out, write segmentation and response map where it expects them.

    Example: `twintrack grand-challenge --input /input --output /output`
    """
    from twintrack.pipeline.grand_challenge import choose_models, find_ct, read_ct, write_outputs  # noqa: PLC0415
    from twintrack.pipeline.predict import load_calibration_of  # noqa: PLC0415  (keeps --help fast)
    from twintrack.pipeline.prediction import predict_case  # noqa: PLC0415

    ct = find_ct(given)
    segmenter = segment_options.open_segmenter(
        choose_models(models), margin=None, device=device, threads=threads, trust_checkpoint=False
    )
    bundle = segmenter.bundle
    fitted = load_calibration_of(bundle, calibration)
    fitted.check_foreground(bundle.bundle.foreground, name=f"the bundle {bundle.folder}")
    message(f"{ct} with the bundle {bundle.bundle.name}")
    prediction = predict_case(segmenter, fitted, read_ct(ct), case_id=ct.stem, on_stage=message)
    show_written(write_outputs(prediction, out))
