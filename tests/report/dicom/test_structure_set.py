"""The structure set's contours enclose the levels' voxels, in the planes of the CT's slices."""

from __future__ import annotations

from collections import defaultdict

import numpy as np
import pydicom
import pytest
from matplotlib.path import Path

from twintrack.report.dicom.identity import Identity
from twintrack.report.dicom.structure_set import structure_set


def made_of(result, path, levels=(1, 2, 3, 4, 5)):
    structure_set(result, Identity.of(result.sha256, result.series), levels).save_as(path, enforce_file_format=True)
    return pydicom.dcmread(path)


def outlines(contours, series):
    """Each contour as columns and rows of its slice, by the slice that it names."""
    grid = series.grid
    index = {header.SOPInstanceUID: k for k, header in enumerate(series.headers)}
    found = defaultdict(list)
    for contour in contours.ContourSequence:
        assert contour.ContourGeometricType == "CLOSED_PLANAR"
        k = index[contour.ContourImageSequence[0].ReferencedSOPInstanceUID]
        points = np.array(contour.ContourData, float).reshape(-1, 3)
        assert len(points) == contour.NumberOfContourPoints >= 3
        assert (points != np.roll(points, 1, axis=0)).any(axis=1).all()
        places = (points - series.positions[k]) @ np.reshape(grid.direction, (3, 3))
        np.testing.assert_allclose(places[:, 2], 0, atol=2e-4)  # in the slice's plane
        found[k].append(places[:, :2] / grid.spacing[:0:-1])
    return found


def area(outline):
    x, y = outline.T
    return 0.5 * float(np.sum(x * np.roll(y, -1) - y * np.roll(x, -1)))


def test_the_voxels_within_are_those_of_the_level(result, tmp_path):
    made = made_of(result, tmp_path / "c.dcm")
    y, x = np.mgrid[tuple(slice(size) for size in result.series.grid.shape[1:])]
    centres = np.stack([x.ravel(), y.ravel()], axis=1)
    for level, contours in enumerate(made.ROIContourSequence, start=1):
        found = np.zeros(result.levels.shape, int)
        for k, rings in outlines(contours, result.series).items():
            for ring in rings:
                inside = Path(np.vstack([ring, ring[:1]]), closed=True).contains_points(centres)
                found[k] += inside.reshape(found[k].shape)
        assert (found == (result.levels >= level)).all()


def test_areas_come_near_to_those_of_the_voxels(result, tmp_path):
    made = made_of(result, tmp_path / "c.dcm")
    for level, contours in enumerate(made.ROIContourSequence[:4], start=1):
        total = sum(area(ring) for rings in outlines(contours, result.series).values() for ring in rings)
        assert total == pytest.approx(np.count_nonzero(result.levels >= level), rel=0.06)


def test_rois_are_named_numbered_and_coloured_by_level(result, tmp_path):
    made = made_of(result, tmp_path / "c.dcm", levels=[2, 5])
    assert [(roi.ROINumber, roi.ROIName) for roi in made.StructureSetROISequence] == [
        (2, "at least 2 of 5, pancreatic tumour"),
        (5, "at least 5 of 5, pancreatic tumour"),
    ]
    assert [roi.ROIDescription for roi in made.StructureSetROISequence] == [
        "response of at least 0.3",
        "response of at least 0.9",
    ]
    assert [item.ReferencedROINumber for item in made.ROIContourSequence] == [2, 5]
    assert [item.ReferencedROINumber for item in made.RTROIObservationsSequence] == [2, 5]
    assert len({tuple(item.ROIDisplayColor) for item in made.ROIContourSequence}) == 2
    # Names cut after 16 characters, as some planning systems do, still differ.
    assert len({roi.ROIName[:16] for roi in made.StructureSetROISequence}) == 2


def test_it_lies_in_the_frame_of_reference_of_the_ct(result, tmp_path):
    made = made_of(result, tmp_path / "c.dcm")
    first = result.series.headers[0]
    (frame,) = made.ReferencedFrameOfReferenceSequence
    assert made.FrameOfReferenceUID == frame.FrameOfReferenceUID == first.FrameOfReferenceUID
    (study,) = frame.RTReferencedStudySequence
    (series,) = study.RTReferencedSeriesSequence
    assert study.ReferencedSOPInstanceUID == made.StudyInstanceUID == first.StudyInstanceUID
    assert series.SeriesInstanceUID == first.SeriesInstanceUID != made.SeriesInstanceUID
    named = [image.ReferencedSOPInstanceUID for image in series.ContourImageSequence]
    assert named == [header.SOPInstanceUID for header in result.series.headers]
    assert made.ApprovalStatus == "UNAPPROVED"


def test_holes_and_components_keep_their_places(tmp_path, write_series, make_result):
    folder = write_series(tmp_path / "ct", np.zeros((3, 20, 24), np.int16))
    response = np.zeros((3, 20, 24), np.float32)
    response[1, 2:18, 2:12] = 1
    response[1, 6:10, 5:8] = 0
    response[1, 4:7, 15:20] = 1
    result = make_result(folder, response, n_raters=1)
    made = made_of(result, tmp_path / "c.dcm", levels=[1])
    found = outlines(made.ROIContourSequence[0], result.series)
    assert list(found) == [1]
    assert len(found[1]) == 2
    # Each part's pixels less an eighth for each of its corners, and the hole likewise.
    expected = (16 * 10 - 0.5) - (4 * 3 - 0.5) + (3 * 5 - 0.5)
    assert sum(map(area, found[1])) == pytest.approx(expected, abs=0.01)
