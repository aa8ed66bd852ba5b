"""From a response map and the CT series it was predicted from to DICOM objects."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np

from twintrack.calibration.agreement import agreement_levels, level_thresholds
from twintrack.cohort.checks import probability_array
from twintrack.errors import GeometryError, InputError, OutputError
from twintrack.images import Volume, read_volume
from twintrack.report.dicom.result import Interval, Result, VolumeStatement
from twintrack.report.dicom.series import CtSeries, read_ct_series
from twintrack.report.dicom.structure import Structure, structure_of
from twintrack.report.dicom.write import OnStage, write_result
from twintrack.report.said import NOTHING, SaidInterval, SaidOfCase, read_said
from twintrack.segmentation.orientation import axis_code, oriented

_SAME_VOLUME = 1e-3
"""How far, as a share, the volume that is said may lie from that of the map: spacings are rounded in some formats."""


@dataclass(frozen=True, eq=False)
class Written:
    """What was written of a case.

    Attributes:
        files: The files.
        structure: What the response is of, with its codes.
        result: What was written.
    """

    files: list[Path]
    structure: Structure
    result: Result


def write_dicom(
    folder: Path,
    *,
    series: Path,
    response: Path,
    which: str | None = None,
    said: Path | None = None,
    n_raters: int | None = None,
    levels: Sequence[int] | None = None,
    structure: str | None = None,
    kind: str | None = None,
    region: str | None = None,
    when: datetime | None = None,
    on_stage: OnStage | None = None,
) -> Written:
    """Write a response map as DICOM objects in the frame of reference of its CT series, and as twins for viewers.

    Args:
        folder: Where to write (`twintrack.report.dicom.write`).
        series: Folder of the CT series.
        response: The response map, on the series' grid; its axes may be permuted and flipped, as some converters do.
        which: Number or UID of the series, where the folder holds several.
        said: The summary that `twintrack predict` wrote of the case, or the ``volumes.json`` of `twintrack apply`: for
            the intervals of the volume, notes, flags, and what made the map. None: only what the map itself says.
        n_raters: K of the agreement levels; None: the summary's.
        levels: The agreement levels whose contours are written; None: all.
        structure: What people call the structure; None: what the summary calls it, else "lesion".
        kind: Code of the structure (`twintrack.report.dicom.structure.structure_of`).
        region: Code of where it is.
        when: When the objects say that they were made; None: the CT's date.
        on_stage: Called when something else is done.

    Returns:
        What was written.

    Raises:
        GeometryError: If the map does not lie on the series' grid, or does not say where it lies.
        InputError: If the series cannot be used, the map is no response map, the summary is of another map, or K, a
            level, a name or a code is missing or wrong.
        OutputError: If a file cannot be written, or would lie in the series' folder.
    """
    require_elsewhere(folder, series)
    of_case = NOTHING if said is None else read_said(said, response=response)
    experts = _raters(n_raters, of_case)
    named = structure_of(structure or _name_of(of_case), kind=kind, region=region)
    ct = read_ct_series(series, series=which)
    array = probability_array(_on_grid(read_volume(response), ct))
    result = Result(
        ct,
        np.ascontiguousarray(array.clip(0, 1)),
        agreement_levels(array, n_raters=experts),
        tuple(float(threshold) for threshold in level_thresholds(experts)),
        structure=named,
        volume=_statement(of_case),
        notes=(*of_case.notes, *(f"Unlike the calibration cases: {flag}" for flag in of_case.flags)),
        parameters=of_case.parameters,
    )
    _require_same_volume(result, of_case, response=response, said=said)
    return Written(write_result(result, folder, levels=levels, when=when, on_stage=on_stage), named, result)


def require_elsewhere(folder: Path, series: Path) -> None:
    """Refuse to write among the files of the series.

    Raises:
        OutputError: If it is the series' folder.
    """
    if folder.resolve() == series.resolve():
        raise OutputError(f"{folder} is the series' own folder; choose another one for the results")


def _raters(n_raters: int | None, said: SaidOfCase) -> int:
    found = said.n_raters if n_raters is None else n_raters
    if found is None:
        raise InputError(
            "how many experts do the agreement levels speak of? Say it (--n-raters K: the raters of the calibration), "
            "or give the summary of `twintrack predict` (--summary), which does"
        )
    return found


def _name_of(said: SaidOfCase) -> str:
    return ", ".join(map(str, said.foreground or ())) or "lesion"


def _on_grid(response: Volume, ct: CtSeries) -> Volume:
    """Turn a map to the series' axes, if need be, and check that it lies on its grid."""
    if not response.grid.known:
        raise GeometryError(
            f"{response.name}: does not say where it lies in the patient; give the map as NIfTI, MHA or NRRD"
        )
    if ct.grid.difference(response.grid) is None or len(response.grid.shape) != len(ct.grid.shape):
        turned = response
    else:
        turned, _ = oriented(response, axis_code(ct.grid))
    ct.grid.require_same(turned.grid, name=ct.name, other_name=response.name)
    return turned


def _statement(said: SaidOfCase) -> VolumeStatement:
    return VolumeStatement(
        expected_interval=_interval(said.expected_interval),
        rater_interval=_interval(said.interval),
        rater_quantiles={} if said.distribution is None else dict(said.distribution.quantiles_mm3),
        reason=said.no_interval,
    )


def _interval(said: SaidInterval | None) -> Interval | None:
    if said is None:
        return None
    # So few calibration cases may promise less than what was asked for.
    return Interval(said.low_mm3, said.high_mm3, said.level if said.promised is None else said.promised)


def _require_same_volume(result: Result, said_of: SaidOfCase, *, response: Path, said: Path | None) -> None:
    """Refuse a summary of another map: a wrong interval would be worse than none."""
    expected = said_of.expected_volume_mm3
    if expected is not None and abs(expected - result.expected_volume) > _SAME_VOLUME * max(expected, 1.0):
        raise InputError(
            f"{said} speaks of another map: it expects {expected:.6g} mm³, and {response} sums up to "
            f"{result.expected_volume:.6g} mm³"
        )
