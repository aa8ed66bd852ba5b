"""The agreement levels as contours for radiotherapy: an RT structure set with one ROI per level."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import highdicom
import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian, RTStructureSetStorage

from twintrack.report.dicom.colours import level_colour
from twintrack.report.dicom.contours import outlines_of
from twintrack.report.dicom.identity import RESEARCH, Identity
from twintrack.report.dicom.result import Result
from twintrack.report.dicom.segmentations import algorithm

_STUDY_COMPONENT = "1.2.840.10008.3.1.2.3.1"  # PS3.6: what a structure set names a study by
_DIGITS = 4  # of a coordinate in mm: a tenth of a micrometre, and within the 16 characters of a DS
_LEAST_POINTS = 3


def structure_set(result: Result, identity: Identity, levels: Sequence[int]) -> highdicom.SOPClass:
    """Make the structure set.

    The contours follow the response map at each level's threshold, linear between the pixels' centres; a hole is joined
    to its outline by a channel without width (`twintrack.report.dicom.contours`). Each lies in the plane of a CT slice.

    Args:
        result: The result.
        identity: Its identity.
        levels: The agreement levels k whose contours are wanted, none above the highest level reached.

    Returns:
        The object. ROI k is named as segment k of the agreement levels.
    """
    series = result.series
    first = series.headers[0]
    made = highdicom.SOPClass(
        study_instance_uid=first.StudyInstanceUID,
        sop_class_uid=RTStructureSetStorage,
        modality="RTSTRUCT",
        transfer_syntax_uid=ExplicitVRLittleEndian,
        **identity.options(series, "contours", 3),
    )
    made.copy_patient_and_study_information(first)
    made.FrameOfReferenceUID, made.PositionReferenceIndicator = first.FrameOfReferenceUID, ""
    made.OperatorsName = ""
    made.StructureSetLabel = "agreement levels"
    made.StructureSetDescription = f"{RESEARCH}; where at least k of {result.n_raters} experts are expected"
    made.StructureSetDate = made.StructureSetTime = ""
    made.ApprovalStatus = "UNAPPROVED"
    made.ReferencedFrameOfReferenceSequence = [_referenced(series.headers)]
    made.StructureSetROISequence = [_roi(result, identity, level) for level in levels]
    made.ROIContourSequence = [_contours(result, level) for level in levels]
    made.RTROIObservationsSequence = [_observation(result, level) for level in levels]
    identity.settle(made, series)
    return made


def _referenced(headers: Sequence[Dataset]) -> Dataset:
    series = _with(SeriesInstanceUID=headers[0].SeriesInstanceUID, ContourImageSequence=[_image(h) for h in headers])
    study = _with(
        ReferencedSOPClassUID=_STUDY_COMPONENT,
        ReferencedSOPInstanceUID=headers[0].StudyInstanceUID,
        RTReferencedSeriesSequence=[series],
    )
    return _with(FrameOfReferenceUID=headers[0].FrameOfReferenceUID, RTReferencedStudySequence=[study])


def _roi(result: Result, identity: Identity, level: int) -> Dataset:
    return _with(
        ROINumber=level,
        ReferencedFrameOfReferenceUID=result.series.headers[0].FrameOfReferenceUID,
        ROIName=result.level_name(level),
        ROIGenerationAlgorithm="AUTOMATIC",
        ROIDescription=f"response of at least {result.thresholds[level - 1]:.4g}",
        ROIDerivationAlgorithmIdentificationSequence=algorithm(result, identity),
    )


def _observation(result: Result, level: int) -> Dataset:
    # What it is for (GTV, …) is for those to say who plan with it.
    return _with(
        ObservationNumber=level,
        ReferencedROINumber=level,
        RTROIInterpretedType="",
        ROIInterpreter="",
        RTROIIdentificationCodeSequence=[highdicom.sr.CodedConcept.from_code(result.structure.kind)],
    )


def _contours(result: Result, level: int) -> Dataset:
    return _with(
        ReferencedROINumber=level,
        ROIDisplayColor=list(level_colour(level, result.n_raters)),
        ContourSequence=list(_each_contour(result, level)),
    )


def _each_contour(result: Result, level: int) -> Iterator[Dataset]:
    grid, positions = result.series.grid, result.series.positions
    in_plane = np.reshape(grid.direction, (3, 3))[:, :2] * grid.spacing[:0:-1]
    slices = np.flatnonzero((result.levels >= level).any(axis=(1, 2)))
    number = 0
    for k in slices:
        for outline in outlines_of(result.response[k], result.thresholds[level - 1]):
            points = _rounded(positions[k] + outline @ in_plane.T)
            if len(points) < _LEAST_POINTS:
                continue
            number += 1
            yield _with(
                ContourNumber=number,
                ContourImageSequence=[_image(result.series.headers[k])],
                ContourGeometricType="CLOSED_PLANAR",
                NumberOfContourPoints=len(points),
                ContourData=[f"{value:.{_DIGITS}f}" for value in points.ravel()],
            )


def _rounded(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Round coordinates, and leave out what then lies where the point before lies."""
    rounded: NDArray[np.float64] = points.round(_DIGITS) + 0.0  # no −0
    moved: NDArray[np.bool_] = (rounded != np.roll(rounded, 1, axis=0)).any(axis=1)
    return rounded[moved]


def _image(header: Dataset) -> Dataset:
    return _with(ReferencedSOPClassUID=header.SOPClassUID, ReferencedSOPInstanceUID=header.SOPInstanceUID)


def _with(**attributes: object) -> Dataset:
    item = Dataset()
    for keyword, value in attributes.items():
        setattr(item, keyword, value)
    return item
