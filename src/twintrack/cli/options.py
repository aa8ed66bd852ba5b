"""Options that several commands share, described once."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, TypeAlias

import typer

from twintrack.cohort import Cohort, find_cohort
from twintrack.compute.executors import DaskCluster, Executor, Processes
from twintrack.errors import CohortError, OutputError

Raters: TypeAlias = Annotated[
    list[Path] | None,
    typer.Option(
        "--raters",
        help="Raters' masks: a folder of case folders with annotation_1, annotation_2, …, or a folder per rater.",
        metavar="DIR [DIR ...]",
    ),
]
Members: TypeAlias = Annotated[
    list[Path] | None,
    typer.Option(
        "--members",
        help="Members' predictions: nnU-Net prediction folders (--save_probabilities) or folders of probability maps.",
        metavar="DIR [DIR ...]",
    ),
]
Roi: TypeAlias = Annotated[
    Path | None,
    typer.Option("--roi", help="Folder with an ROI for every case: CASE.nii.gz or CASE/roi.nii.gz."),
]
Vessels: TypeAlias = Annotated[
    Path | None,
    typer.Option("--vessels", help="Folder with vessel labels for pdacvi: CASE.nii.gz or CASE/vessels.nii.gz."),
]
Images: TypeAlias = Annotated[
    list[Path] | None,
    typer.Option(
        "--images",
        help="Folders with the CTs that pictures are drawn on: CASE.nii.gz, CASE_0000.nii.gz or CASE/image.nii.gz; "
        "image.nii.gz beside the raters' masks is found without it.",
        metavar="DIR [DIR ...]",
    ),
]
Cases: TypeAlias = Annotated[
    Path | None,
    typer.Option("--cases", help="CSV with a column 'case' that selects cases; may hold patient, split and files."),
]
Split: TypeAlias = Annotated[str | None, typer.Option("--split", help="Use the cases of this split of --cases only.")]
Foreground: TypeAlias = Annotated[
    str | None,
    typer.Option("--foreground", help="Labels of dataset.json (or channels) that are the structure: tumour,cyst."),
]
RaterLabels: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--rater-labels",
        help="Values in the raters' masks that are the structure: 2,3. Default: masks of 0 and 1.",
    ),
]
SkipBad: TypeAlias = Annotated[
    bool,
    typer.Option("--skip-bad", help="Leave out cases that cannot be used, and list them, instead of stopping."),
]
Workers: TypeAlias = Annotated[
    int | None,
    typer.Option(
        "--workers",
        help="Processes that work on cases side by side, one case each, with the same results. Default: only this one.",
        min=1,
    ),
]
Scheduler: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--scheduler",
        help="Address of a Dask scheduler whose workers work on the cases and see the same files: tcp://HOST:8786.",
    ),
]
UncertaintyMaps: TypeAlias = Annotated[
    bool,
    typer.Option(
        "--uncertainty",
        help="Also write lower/ and upper/: maps between which 90 % of the calibration's maps of other draws of its "
        "patients lie, at each voxel.",
    ),
]
Json: TypeAlias = Annotated[
    bool, typer.Option("--json", help="Print the result as JSON on standard output, for machines.")
]


def cohort_from(
    *,
    raters: list[Path] | None = None,
    members: list[Path] | None = None,
    roi: Path | None = None,
    vessels: Path | None = None,
    images: list[Path] | None = None,
    cases: Path | None = None,
    split: str | None = None,
    foreground: str | None = None,
    rater_labels: str | None = None,
    skip_bad: bool = False,
) -> Cohort:
    """Find the cohort that the options describe; stop at known problems unless they are to be skipped.

    Raises:
        CohortError: If nothing was found or, without `skip_bad`, a case cannot be used.
    """
    if not (raters or members or cases):
        raise CohortError(
            "say where the cases are: --raters and --members, or --cases with a list that names the files"
        )
    cohort = find_cohort(
        raters=raters or (),
        members=members or (),
        roi=roi,
        vessels=vessels,
        images=images or (),
        cases=cases,
        split=split,
        foreground=words(foreground),
        rater_labels=_numbers(rater_labels),
    )
    if not skip_bad:
        cohort.require_sound()
    return cohort


@contextmanager
def executor_from(workers: int | None, scheduler: str | None) -> Iterator[Executor | None]:
    """Give who works on the cases, for the time of a block; None: this process.

    Raises:
        CohortError: If both are given.
        WorkerError: If no scheduler answers.
    """
    if workers is not None and scheduler is not None:
        raise CohortError("--workers and --scheduler exclude each other: a Dask cluster has its own workers")
    if scheduler is not None:
        with DaskCluster.connect(scheduler) as cluster:
            yield cluster
    else:
        yield None if workers is None else Processes(workers)


def require_folder_of(file: Path) -> None:
    """Raise an `OutputError` before any work is done if there is no place for what will come of it."""
    if not file.parent.is_dir():
        raise OutputError(f"cannot write {file}: there is no folder {file.parent}; make it first")
    if file.is_dir():
        raise OutputError(f"cannot write {file}: it is a folder; name a file")


def words(text: str | None) -> list[str | int] | None:
    """Take apart "word,word"; None where there is none."""
    return [word.strip() for word in text.split(",") if word.strip()] if text else None


def _numbers(text: str | None) -> list[int] | None:
    if text is None:
        return None
    try:
        return [int(word) for word in text.split(",")]
    except ValueError as error:
        raise CohortError(f"--rater-labels takes whole numbers separated by commas, not {text!r}") from error


def pairs(text: str, *, option: str) -> dict[str, str]:
    """Take apart "name=value,name=value".

    Raises:
        CohortError: If a part is not of this form, or a name occurs twice.
    """
    found: dict[str, str] = {}
    for part in text.split(","):
        name, equals, value = (piece.strip() for piece in part.partition("="))
        if not (name and equals and value) or name in found:
            raise CohortError(f"{option} takes name=value pairs separated by commas, each name once; got {text!r}")
        found[name] = value
    return found


def names_by_label(text: str, *, option: str) -> dict[int, str]:
    """Take apart "name=label,name=label".

    Raises:
        CohortError: If a part is not of this form, or a label is not a whole number.
    """
    try:
        return {int(label): name for name, label in pairs(text, option=option).items()}
    except ValueError as error:
        raise CohortError(f"{option} takes whole numbers for labels; got {text!r}") from error
