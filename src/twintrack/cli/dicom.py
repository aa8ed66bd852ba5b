"""`twintrack dicom`: a response map as DICOM objects of its CT's study."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from twintrack.cli import options
from twintrack.cli.display import message, show_json, show_table, show_written
from twintrack.errors import InputError

if TYPE_CHECKING:
    from twintrack.pipeline.dicom import Written
    from twintrack.segmentation.cts import Ct


def command(
    series: Annotated[
        Path,
        typer.Argument(
            help="Folder of the CT series that was predicted; FOLDER:SERIES chooses one of several.", metavar="SERIES"
        ),
    ],
    response: Annotated[Path, typer.Option("--response", help="Its response map (NIfTI, MHA or NRRD).")],
    out: Annotated[Path, typer.Option("--out", help="Folder for the DICOM objects and their twins.")],
    summary: Annotated[
        Path | None,
        typer.Option(
            "--summary",
            help="What was said of the case: summaries/CASE.json of `predict`, or volumes.json of `apply`. Gives the "
            "intervals of the volume, and of `predict` also K, notes and what made the map.",
        ),
    ] = None,
    n_raters: Annotated[
        int | None,
        typer.Option("--n-raters", help="K of the agreement levels. Default: the summary's.", min=1, max=255),
    ] = None,
    levels: Annotated[
        str | None,
        typer.Option("--levels", help="Agreement levels whose contours are written: 1,3,5. Default: all."),
    ] = None,
    structure: Annotated[
        str | None,
        typer.Option("--structure", help='What it is called: "pancreatic tumour". Default: as in the summary.'),
    ] = None,
    kind: Annotated[
        str | None,
        typer.Option(
            "--type",
            help="Its code: SCHEME:VALUE:MEANING, or a SNOMED CT keyword of pydicom such as Neoplasm. Default: by "
            "words of its name, else Lesion.",
        ),
    ] = None,
    region: Annotated[
        str | None,
        typer.Option("--region", help="Code of where it is, likewise: Pancreas. Default: by words of its name."),
    ] = None,
    time: Annotated[
        datetime | None,
        typer.Option("--time", help="When the objects say that they were made. Default: when the CT was."),
    ] = None,
    json: options.Json = False,
) -> None:
    """Write a response map as DICOM objects in the CT's frame of reference, for research use.

    Writes a fractional segmentation of the response, a binary one with a segment for each agreement level, contours of
    these levels (RT structure set), a structured report of the volumes, and twins for 3D Slicer (levels.seg.nrrd) and
    ITK-SNAP (levels.nii.gz, levels.labels.txt). Patient and study are the CT's; the same input gives the same bytes.

    Example: `twintrack dicom ct_series --response predicted/responses/ct_series.nii.gz
    --summary predicted/summaries/ct_series.json --structure "pancreatic tumour" --out dicom`
    """
    from twintrack.report.dicom.extra import require_dicom_extra  # noqa: PLC0415  (keeps --help fast)
    from twintrack.segmentation.cts import find_cts  # noqa: PLC0415

    require_dicom_extra()
    from twintrack.pipeline.dicom import write_dicom  # noqa: PLC0415  (imports the extra)

    ct = require_series(find_cts([series]), str(series))
    written = write_dicom(
        out,
        series=ct.path,
        which=ct.series,
        response=response,
        said=summary,
        n_raters=n_raters,
        levels=_levels(levels),
        structure=structure,
        kind=kind,
        region=region,
        when=time,
        on_stage=lambda stage: message(f"Writing: {stage}"),
    )
    if json:
        show_json(_plain(written))
        return
    _show(written)
    show_written(written.files)


def require_series(cts: list[Ct], given: str) -> Ct:
    """Give the one DICOM series that was found.

    Raises:
        InputError: If there are several, or it is none.
    """
    if len(cts) != 1 or not cts[0].path.is_dir():
        raise InputError(
            f"{given}: a folder with the files of one DICOM CT series is expected; found "
            f"{', '.join(str(ct.path) for ct in cts[:3])}"
        )
    return cts[0]


def _levels(text: str | None) -> list[int] | None:
    if text is None:
        return None
    try:
        return [int(word) for word in text.split(",")]
    except ValueError as error:
        raise InputError(f"--levels takes whole numbers separated by commas, not {text!r}") from error


def _show(written: Written) -> None:
    structure, result = written.structure, written.result
    coded = f"{structure.kind.scheme_designator} {structure.kind.value} {structure.kind.meaning}"
    if structure.region is not None:
        coded += f" in {structure.region.scheme_designator} {structure.region.value} {structure.region.meaning}"
    message(f"{structure.name} is coded as {coded}")
    if not result.highest_level:
        message("no voxel reaches an agreement level: no agreement levels and no contours are written")
    volumes = {"expected": result.expected_volume} | {
        f"at least {level} of {result.n_raters}": result.volume_at_least(level)
        for level in range(1, result.n_raters + 1)
    }
    show_table("Volumes", ["", "ml"], [[name, f"{volume / 1000:.2f}"] for name, volume in volumes.items()])


def _plain(written: Written) -> dict[str, Any]:
    result, structure = written.result, written.structure
    codes = {"type": structure.kind, "region": structure.region}
    return {
        "files": [str(path) for path in written.files],
        "structure": structure.name,
        **{
            name: None if code is None else ":".join((code.scheme_designator, code.value, code.meaning))
            for name, code in codes.items()
        },
        "n_raters": result.n_raters,
        "expected_volume_mm3": result.expected_volume,
        "at_least_mm3": {str(level): result.volume_at_least(level) for level in range(1, result.n_raters + 1)},
    }
