"""DICOM objects of what `twintrack predict` wrote: what they need is checked before anything is predicted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from twintrack.errors import InputError
from twintrack.pipeline.dicom import require_elsewhere, write_dicom
from twintrack.pipeline.write import summary_of
from twintrack.report.dicom.series import read_ct_series
from twintrack.report.dicom.structure import structure_of
from twintrack.report.dicom.write import OnStage
from twintrack.segmentation.cts import Ct
from twintrack.segmentation.stream import OnBadCt, each_ct

DICOM = "dicom"
"""Name of the folder, with a folder for each case."""


def require_dicom_series(cts: Sequence[Ct], folder: Path, *, structure: str, on_bad: OnBadCt | None = None) -> list[Ct]:
    """Check that DICOM objects can be made of CTs.

    Args:
        cts: The CTs.
        folder: The folder of the predictions.
        structure: What the structure is called.
        on_bad: Called with a CT of which none can be made, and the reason; None: raise.

    Returns:
        The CTs of which they can.

    Raises:
        TwinTrackError: If the structure's name cannot be written; without `on_bad`, whatever is wrong with the
            first CT.
    """
    structure_of(structure)

    def checked(ct: Ct) -> Ct:
        if not ct.path.is_dir():
            raise InputError(f"{ct.path} is no DICOM series, so no DICOM objects can refer to it")
        require_elsewhere(folder / DICOM / ct.case_id, ct.path)
        read_ct_series(ct.path, series=ct.series)
        return ct

    return list(each_ct(checked, cts, on_bad=on_bad))


def write_predicted_dicom(
    cts: Sequence[Ct],
    summaries: Sequence[Mapping[str, Any]],
    folder: Path,
    *,
    structure: str,
    on_stage: OnStage | None = None,
) -> list[Path]:
    """Write the DICOM objects of predictions into ``dicom/<case>``.

    Args:
        cts: The CTs that were predicted, DICOM series.
        summaries: The summaries of those that are done.
        folder: The folder of the predictions.
        structure: What the structure is called.
        on_stage: Called when something else is done.

    Returns:
        The files.

    Raises:
        TwinTrackError: As `twintrack.pipeline.dicom.write_dicom`.
    """
    by_id = {ct.case_id: ct for ct in cts}
    files = []
    for summary in summaries:
        ct = by_id[summary["case"]]
        written = write_dicom(
            folder / DICOM / ct.case_id,
            series=ct.path,
            which=ct.series,
            response=folder / summary["files"]["responses"],
            said=summary_of(folder, ct.case_id),
            structure=structure,
            on_stage=None if on_stage is None else _of_case(ct.case_id, on_stage),
        )
        files += written.files
    return files


def _of_case(case_id: str, on_stage: OnStage) -> OnStage:
    return lambda stage: on_stage(f"case {case_id}: {stage}")
