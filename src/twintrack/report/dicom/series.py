"""The CT series that results are made of: its headers in the order of the slices, and what results take over."""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom.config import disable_value_validation
from pydicom.dataset import Dataset
from pydicom.errors import InvalidDicomError
from pydicom.uid import CTImageStorage

from twintrack.errors import InputError
from twintrack.images import Grid
from twintrack.images.dicom import Stack, stack_series

_ONE_FOR_ALL = ("StudyInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID", "PatientID", "PatientName")
_NEEDED = ("SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID")
_MAY_BE_EMPTY = (
    "AccessionNumber",
    "PatientBirthDate",
    "PatientID",
    "PatientName",
    "PatientSex",
    "ReferringPhysicianName",
    "StudyDate",
    "StudyID",
    "StudyTime",
)
"""Type 2 of the patient and study modules (PS3.3, C.7.1.1 and C.7.2.1): must be there, and may be empty."""

AS_THEY_ARE = ("PatientName", "PatientBirthDate", "PatientSex", "StudyDate", "StudyTime")
"""What highdicom would parse. De-identified series hold names such as ANON7 and dates such as 19500000, which are taken
over as they are."""


@dataclass(frozen=True, eq=False)
class CtSeries:
    """A CT series whose slices make up a box.

    Attributes:
        headers: Each slice's header without pixels, in the order of the slices along the array's first axis. What
            `AS_THEY_ARE` names is empty in them.
        taken_over: What `AS_THEY_ARE` names.
        grid: The box, (z, y, x).
        name: What to call it in messages.
        paths: The slices' files, in the same order.
    """

    headers: tuple[Dataset, ...]
    taken_over: Dataset
    grid: Grid
    name: str
    paths: tuple[Path, ...]

    @property
    def positions(self) -> NDArray[np.float64]:
        """Where each slice's first pixel lies, (slices, 3): LPS in mm."""
        return np.array([[float(value) for value in one.ImagePositionPatient] for one in self.headers])


def read_ct_series(folder: Path, *, series: str | None = None) -> CtSeries:
    """Read the headers of a CT series.

    Args:
        folder: The folder that directly holds its files.
        series: Number or UID of the series, where the folder holds several.

    Returns:
        The series.

    Raises:
        InputError: If it is not one evenly spaced stack of CT slices (`twintrack.images.dicom`), if what results must
            refer to is empty (the UIDs of study, series, slices and frame of reference), or if its slices are of
            several studies, patients or frames of reference.
    """
    stack = stack_series(folder, series=series)
    # Values are taken over as they are: whoever set up the scanner is not asked to be perfect.
    with disable_value_validation():
        return _series_of(stack)


def _series_of(stack: Stack) -> CtSeries:
    headers = tuple(_header(one.path) for one in stack.slices)
    for one, header in zip(stack.slices, headers, strict=True):
        _require_referable(one.path, header)
    _require_one(headers, stack.name)
    taken_over = Dataset()
    for keyword in AS_THEY_ARE:
        taken_over[keyword] = deepcopy(headers[0][keyword])
    for header in headers:
        for keyword in AS_THEY_ARE:
            setattr(header, keyword, "")
    return CtSeries(headers, taken_over, stack.grid, stack.name, tuple(one.path for one in stack.slices))


def _header(path: Path) -> Dataset:
    try:
        header = pydicom.dcmread(path, stop_before_pixels=True)
    except (InvalidDicomError, OSError, ValueError, LookupError, NotImplementedError) as error:
        raise InputError(f"{path}: the DICOM header cannot be read: {error}") from error
    for keyword in _MAY_BE_EMPTY:
        if keyword not in header:
            setattr(header, keyword, "")
    return header


def _require_referable(path: Path, header: Dataset) -> None:
    for keyword in _NEEDED:
        if not header.get(keyword):
            raise InputError(
                f"{path}: {keyword} is empty, so nothing can refer to this slice. Take the series as the scanner or "
                "archive gave it, or de-identify it with a tool that replaces UIDs instead of emptying them."
            )
    if header.get("SOPClassUID") != CTImageStorage:
        found = header.get("SOPClassUID") or "nothing"
        raise InputError(f"{path}: a CT image (SOP class {CTImageStorage}) is expected; its SOP class is {found}")


def _require_one(headers: Sequence[Dataset], name: str) -> None:
    for keyword in _ONE_FOR_ALL:
        values = sorted({str(header.get(keyword, "")) for header in headers})
        if len(values) > 1:
            # Not the values: a message may be pasted where a patient's name must not be.
            raise InputError(
                f"{name}: its slices have {len(values)} different values of {keyword}. Are two examinations mixed? "
                "Put each into its own folder."
            )
    instances = {header.SOPInstanceUID for header in headers}
    if len(instances) < len(headers):
        raise InputError(f"{name}: {len(headers)} slices have only {len(instances)} different SOP instance UIDs")
