"""Options that the commands which run networks share, described once."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeAlias

import typer

from twintrack.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from twintrack.segmentation.cts import Ct
    from twintrack.segmentation.segmenter import Segmenter

Cts: TypeAlias = Annotated[
    list[Path],
    typer.Argument(
        help="CTs: image files (NIfTI, MHA, NRRD), folders of a DICOM series (FOLDER:SERIES chooses one of several), "
        "or folders of these.",
        metavar="CT...",
    ),
]
Models: TypeAlias = Annotated[Path, typer.Option("--models", help="A model bundle (`twintrack bundle create`).")]
RoiPath: TypeAlias = Annotated[
    Path | None,
    typer.Option(
        "--roi",
        help="Where to look, instead of asking the coarse network: a mask, or a folder with CASE.nii.gz for each case.",
    ),
]
Margin: TypeAlias = Annotated[
    float | None,
    typer.Option("--margin", help="Dilation of the region in mm. Default: the bundle's.", min=0.0),
]
Device: TypeAlias = Annotated[
    str, typer.Option("--device", help="auto (cuda, then mps, then cpu), or cuda, cuda:1, mps, cpu.")
]
Threads: TypeAlias = Annotated[
    int | None,
    typer.Option(
        "--threads",
        help="Threads on the CPU, on which the last bits depend. Default: as many as there are cores; of a worker, 1.",
        min=1,
    ),
]
TrustCheckpoint: TypeAlias = Annotated[
    bool,
    typer.Option(
        "--trust-checkpoint",
        help="Also load checkpoints that hold Python objects: loading those can run any code. Only for trusted files.",
    ),
]
Overwrite: TypeAlias = Annotated[
    bool, typer.Option("--overwrite", help="Do cases again that an earlier run finished with the same input.")
]
Ending: TypeAlias = Annotated[
    str, typer.Option("--format", help="nii.gz, nii, mha, nrrd, npy or npz; the geometry is the CT's.")
]


def open_segmenter(
    models: Path, *, margin: float | None, device: str, threads: int | None, trust_checkpoint: bool
) -> Segmenter:
    """Load a bundle, checking its files; networks are loaded when they are needed.

    Raises:
        ModelError: If it cannot be used.
    """
    from twintrack.segmentation.bundle_files import load_bundle  # noqa: PLC0415  (keeps --help fast)
    from twintrack.segmentation.segmenter import Segmenter  # noqa: PLC0415

    return Segmenter(
        load_bundle(models), device=device, threads=threads, trust_checkpoint=trust_checkpoint, margin=margin
    )


def rois_of(cts: Sequence[Ct], roi: Path | None) -> dict[str, Path] | None:
    """Find the ROI of each CT.

    Raises:
        InputError: If a CT has none, or one mask is given for several CTs.
    """
    from twintrack.images.folders import images_in  # noqa: PLC0415  (keeps --help fast)

    if roi is None:
        return None
    if not roi.is_dir():
        if len(cts) > 1:
            raise InputError(f"{roi}: one ROI cannot be that of {len(cts)} CTs; give a folder with one for each")
        return {cts[0].case_id: roi}
    found = images_in(roi)
    lacking = [ct.case_id for ct in cts if ct.case_id not in found]
    if lacking:
        raise InputError(
            f"{roi}: the folder of ROIs has none for {', '.join(lacking[:5])}; expected {lacking[0]}.nii.gz"
        )
    return {ct.case_id: found[ct.case_id] for ct in cts}


def require_writable_ending(ending: str) -> str:
    """Give a file ending with its dot, if images can be written so.

    Raises:
        InputError: If they cannot.
    """
    from twintrack.images.formats import WRITABLE_ENDINGS  # noqa: PLC0415  (keeps --help fast)

    dotted = f".{ending.lstrip('.')}"
    if dotted not in WRITABLE_ENDINGS:
        raise InputError(f"--format {ending}: is not written; use one of {', '.join(WRITABLE_ENDINGS)}")
    return dotted
