"""`twintrack demo`: the main job from end to end on CT phantoms made on the spot."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape

from twintrack.cli import segment_options
from twintrack.cli.display import console, counting, output, show_written, track
from twintrack.cli.evaluate import show_scores
from twintrack.cohort import Cohort, find_cohort
from twintrack.errors import MissingExtraError

if TYPE_CHECKING:
    from twintrack.calibration import Calibration
    from twintrack.evaluation import Evaluation
    from twintrack.segmentation.cts import Ct
    from twintrack.segmentation.segmenter import Segmenter

PROTOCOLS = {"pdacvi": "pdacvi-official", "response": "response"}
"""Folder of the scores, and the protocol they follow."""

REPORTED = "response"
"""Which of them the report is made of."""

_SHAPE = (72, 128, 128)
"""Longer than phantoms are by default: the benchmark's own calibration error has no meaning where a tumour lies within
20 slices of the lower end of the CT."""


def command(
    out: Annotated[Path, typer.Option("--out", help="Folder for everything the demo writes.")] = Path("demo-output"),
    n_cases: Annotated[int, typer.Option("--n-cases", help="CT phantoms to make; half of them calibrate.", min=4)] = 12,
    method: Annotated[str, typer.Option(help="Method of the calibration.")] = "auto",
    seed: Annotated[int, typer.Option(help="Seed of the phantoms.", min=0)] = 0,
    simulated: Annotated[
        bool, typer.Option("--simulated", help="Simulate the networks' probabilities: runs without the extra nnunet.")
    ] = False,
    device: segment_options.Device = "auto",
    threads: segment_options.Threads = None,
) -> None:
    """Go the whole way on CT phantoms: find the ROI, run three networks, calibrate on one half, score on the other.

    The networks are those of the embedded bundle, which are trained on phantoms and for demonstration only. The same
    steps on your own data are `twintrack segment`, `twintrack fit`, `twintrack predict` and `twintrack evaluate`.
    """
    segmenter = None if simulated else _segmenter(device, threads)
    began, data = perf_counter(), out / f"cohort-seed-{seed}-cases-{n_cases}"
    with _step(f"making {n_cases} CT phantoms, each outlined by up to five simulated raters"):
        _make_phantoms(data, n_cases=n_cases, seed=seed)
    # Beside the phantoms they belong to: cases of another cohort have the same names.
    segmented, responses = data / "segmentation", data / "prediction"
    if segmenter is None:
        segmented, responses = data, data / "prediction-simulated"
    else:
        with _step("finding the pancreas on each CT, then running three networks around it"):
            _segment(segmenter, data / "raters", segmented)

    def part(split: str) -> Cohort:
        members, rois = segmented / "members", (data / "raters" if segmenter is None else segmented / "rois")
        return find_cohort(raters=data / "raters", members=members, roi=rois, cases=data / "cases.csv", split=split)

    file = out / "calibration.json"
    with _step(f"calibrating on one half: {method}"):
        calibration = _calibrate(part("calibration"), method, file)
    with _step("predicting the response on the other half"):
        written = _predict(segmenter, calibration, part("test"), responses)
    with _step("scoring the other half, raw and calibrated"):
        found = {
            name: _score(part("test"), calibration, protocol, out / "scores" / name, seed)
            for name, protocol in PROTOCOLS.items()
        }
    with _step("drawing a case"):
        picture, words = _draw(part("test"), calibration, found["pdacvi"], out / "case.png")
    with _step("making the report"):
        report = _report(out / "scores" / REPORTED, file, out / "report.html")
    for one in found.values():
        show_scores(one.summary)
    output.print(f"{picture} shows {words}; {report} shows all of it: open it in a browser.")
    output.print("Phantoms and simulated raters: the figures show that it works, not how well on patients.")
    show_written([file, written, *(out / "scores" / name for name in found), picture, report])
    console.print(f"the demo took {perf_counter() - began:.0f} s", highlight=False)


@contextmanager
def _step(what: str) -> Iterator[None]:
    """Say what begins, and how long it took."""
    console.print(f"[bold]{escape(what)}[/] …", highlight=False, soft_wrap=True)
    began = perf_counter()
    yield
    console.print(f"  done in {perf_counter() - began:.0f} s", highlight=False)


def _segmenter(device: str, threads: int | None) -> Segmenter:
    """Load the embedded bundle, so that what is missing is said before any work is done."""
    from twintrack.pipeline.embedded import embedded_bundle  # noqa: PLC0415  (keeps --help fast)
    from twintrack.segmentation.extra import require_nnunet  # noqa: PLC0415

    try:
        require_nnunet()
    except MissingExtraError as error:
        raise MissingExtraError(
            f"{error}\nOr see everything but the networks: twintrack demo --simulated (their probabilities are then "
            "simulated)"
        ) from error
    bundle = embedded_bundle()
    return segment_options.open_segmenter(bundle, margin=None, device=device, threads=threads, trust_checkpoint=False)


def _make_phantoms(data: Path, *, n_cases: int, seed: int) -> None:
    from twintrack.synthetic import write_cohort  # noqa: PLC0415  (keeps --help fast)

    if (data / "cases.csv").exists():
        console.print(f"  using the phantoms of an earlier run in {escape(str(data))}", highlight=False, soft_wrap=True)
        return
    unfinished = data.with_name(f".{data.name}-unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    with counting("Making phantoms", n_cases) as done:
        write_cohort(unfinished, n_cases=n_cases, seed=seed, shape=_SHAPE, on_case=done)
    unfinished.rename(data)


def _segment(segmenter: Segmenter, cts: Path, folder: Path) -> None:
    from twintrack.segmentation.cts import find_cts  # noqa: PLC0415  (keeps --help fast)
    from twintrack.segmentation.stream import segment_cts  # noqa: PLC0415

    segment_cts(find_cts([cts]), segmenter=segmenter, folder=folder, progress=_tracking("Segmenting"))


def _tracking(label: str) -> Callable[[Sequence[Ct]], Iterable[Ct]]:
    def walk(cts: Sequence[Ct]) -> Iterator[Ct]:
        with counting(label, len(cts)) as done:
            for ct in cts:
                yield ct
                done(ct.case_id)

    return walk


def _calibrate(cases: Cohort, method: str, file: Path) -> Calibration:
    from twintrack.calibration import fit  # noqa: PLC0415  (keeps --help fast)

    calibration = fit(cases, method=method, progress=track)
    calibration.save(file)
    return calibration


def _predict(segmenter: Segmenter | None, calibration: Calibration, cases: Cohort, folder: Path) -> str:
    """Write what is predicted, from the CTs where there are networks; say what was written."""
    from twintrack.calibration.writing.responses import write_responses  # noqa: PLC0415  (keeps --help fast)
    from twintrack.pipeline.predict import predict  # noqa: PLC0415
    from twintrack.segmentation.cts import find_cts  # noqa: PLC0415

    if segmenter is None:
        maps = write_responses(calibration, cases, folder=folder / "responses", progress=track)
        return f"{folder} (responses of {len(maps)} cases)"
    cts = find_cts([file for case in cases if case.image for file in case.image.files])
    progress: Any = _tracking("Predicting")
    done = predict(cts, segmenter=segmenter, calibration=calibration, folder=folder, progress=progress)
    return f"{folder} (responses, agreement levels, ROIs and summaries of {len(done)} cases)"


def _score(cases: Cohort, calibration: Calibration, protocol: str, folder: Path, seed: int) -> Evaluation:
    from twintrack.evaluation import evaluate, write_evaluation  # noqa: PLC0415  (keeps --help fast)

    details = protocol == PROTOCOLS[REPORTED]
    found = evaluate(cases, calibration=calibration, protocol=protocol, seed=seed, details=details, progress=track)
    write_evaluation(found, folder)
    return found


def _report(scores: Path, calibration: Path, file: Path) -> Path:
    from twintrack.report.html.page import write_report  # noqa: PLC0415  (keeps --help fast)

    return write_report(scores, file, calibration=calibration, title="TwinTrack on CT phantoms")


def _draw(cases: Cohort, calibration: Calibration, found: Evaluation, file: Path) -> tuple[Path, str]:
    """Draw the case whose raw Dice is the median; give the file, and in words which case that is."""
    from twintrack.evaluation.choice import median_case  # noqa: PLC0415
    from twintrack.evaluation.predictions import RAW  # noqa: PLC0415  (keeps --help fast)
    from twintrack.report.case_figure import figure_of  # noqa: PLC0415
    from twintrack.report.save import save_figure  # noqa: PLC0415

    chosen, dice = median_case(found.per_case, score="dsc_staple", prediction=RAW)
    case = next(case for case in cases if case.id == chosen)
    save_figure(file, figure_of(case, calibration))
    return file, f"{chosen}, the median test case by the raw ensemble's Dice ({dice:.2f})"
