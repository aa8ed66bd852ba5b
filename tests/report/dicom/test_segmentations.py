"""The segmentations hold the map and its levels, voxel by voxel and in their places."""

from __future__ import annotations

import highdicom
import numpy as np
import pydicom
import pytest
import SimpleITK as sitk

from twintrack.images.dicom import read_dicom_series
from twintrack.report.dicom.identity import Identity
from twintrack.report.dicom.segmentations import levels_segmentation, response_segmentation


def identity_of(result):
    return Identity.of(result.sha256, result.series)


def saved(made, path):
    made.save_as(path, enforce_file_format=True)
    return pydicom.dcmread(path)


def by_place(seg, series, *, segment=1):
    """Put a segment's frames where their positions say, on the series' grid, by pydicom alone."""
    grid = series.grid
    found = np.zeros(grid.shape, np.uint8)
    normal = np.reshape(grid.direction, (3, 3))[:, 2]
    pixels = seg.pixel_array.reshape(-1, *grid.shape[1:])
    shared = seg.SharedFunctionalGroupsSequence[0]
    np.testing.assert_allclose(shared.PlaneOrientationSequence[0].ImageOrientationPatient, _cosines(grid), atol=1e-6)
    np.testing.assert_allclose(shared.PixelMeasuresSequence[0].PixelSpacing, grid.spacing[1:])
    for frame, plane in zip(seg.PerFrameFunctionalGroupsSequence, pixels, strict=True):
        identified = frame if "SegmentIdentificationSequence" in frame else shared
        if identified.SegmentIdentificationSequence[0].ReferencedSegmentNumber != segment:
            continue
        position = np.array(frame.PlanePositionSequence[0].ImagePositionPatient, float)
        place = (position - grid.origin) @ normal / grid.spacing[0]
        k = round(place)
        assert place == pytest.approx(k, abs=1e-4)
        source = frame.DerivationImageSequence[0].SourceImageSequence[0].ReferencedSOPInstanceUID
        assert source == series.headers[k].SOPInstanceUID
        found[k] = plane
    return found


def _cosines(grid):
    return np.reshape(grid.direction, (3, 3))[:, :2].T.ravel()


@pytest.fixture
def response(result, tmp_path):
    return saved(response_segmentation(result, identity_of(result)), tmp_path / "a.dcm")


@pytest.fixture
def levels(result, tmp_path):
    return saved(levels_segmentation(result, identity_of(result)), tmp_path / "b.dcm")


def test_the_response_is_stored_as_255ths_in_its_place(result, response):
    assert (by_place(response, result.series) == np.rint(255 * result.response)).all()
    assert response.SegmentationType == "FRACTIONAL"
    assert response.SegmentationFractionalType == "PROBABILITY"
    assert (response.MaximumFractionalValue, response.BitsAllocated, response.BitsStored) == (255, 8, 8)


def test_only_slices_with_something_in_them_are_stored(result, response, levels):
    assert int(response.NumberOfFrames) == np.count_nonzero(np.rint(255 * result.response).any(axis=(1, 2)))
    expected = sum(int((result.levels >= k).any(axis=(1, 2)).sum()) for k in range(1, 6))
    assert int(levels.NumberOfFrames) == expected


def test_segment_k_is_where_at_least_k_experts_are_expected(result, levels):
    assert levels.SegmentationType == "BINARY"
    assert levels.BitsAllocated == 1
    for level in range(1, 6):
        assert (by_place(levels, result.series, segment=level) == (result.levels >= level)).all()


def test_highdicom_reads_them_on_the_cts_own_slices(result, tmp_path, response, levels):
    uids = [header.SOPInstanceUID for header in result.series.headers]
    read = {}
    for name in "ab":
        seg = highdicom.seg.segread(tmp_path / f"{name}.dcm")
        read[name] = seg.get_pixels_by_source_instance(
            uids, assert_missing_frames_are_empty=True, rescale_fractional=False
        )
    assert (read["a"][..., 0] == np.rint(255 * result.response)).all()
    assert (read["b"] == (result.levels[..., np.newaxis] >= np.arange(1, 6))).all()


def test_simpleitk_reads_the_response_in_its_place(result, tmp_path, response):
    grid = result.series.grid
    ct = sitk.Image([*grid.shape[::-1]], sitk.sitkUInt8)
    ct.SetSpacing(grid.spacing[::-1])
    ct.SetOrigin(grid.origin)
    ct.SetDirection(grid.direction)
    read = sitk.ReadImage(str(tmp_path / "a.dcm"))
    on_ct = sitk.GetArrayFromImage(sitk.Resample(read, ct, sitk.Transform(), sitk.sitkNearestNeighbor, 0))
    assert (on_ct == np.rint(255 * result.response)).all()


def test_segments_are_named_coded_coloured_and_tracked(result, response, levels):
    names = [segment.SegmentLabel for segment in levels.SegmentSequence]
    assert names == [f"at least {k} of 5, pancreatic tumour" for k in range(1, 6)]
    (only,) = response.SegmentSequence
    assert only.SegmentLabel == "response, pancreatic tumour"
    for segment in (only, *levels.SegmentSequence):
        assert segment.SegmentedPropertyTypeCodeSequence[0].CodeMeaning == "Neoplasm"
        assert segment.AnatomicRegionSequence[0].CodeMeaning == "Pancreas"
        assert segment.SegmentAlgorithmType == "AUTOMATIC"
        (algorithm,) = segment.SegmentationAlgorithmIdentificationSequence
        assert algorithm.AlgorithmName == "TwinTrack"
        assert "calibration_method=isotonic" in algorithm.AlgorithmParameters
    colours = {tuple(segment.RecommendedDisplayCIELabValue) for segment in levels.SegmentSequence}
    assert len(colours) == 5
    assert len({segment.TrackingUID for segment in (only, *levels.SegmentSequence)}) == 6


def test_the_body_part_is_the_cts(response, levels):
    assert response.BodyPartExamined == levels.BodyPartExamined == "ABDOMEN"


def test_a_response_below_what_a_byte_can_say_is_no_frame(make_result, oblique, phantom, tmp_path):
    faint = np.zeros_like(phantom.response)
    faint[3, 5, 5], faint[4, 5, 5], faint[5, 5, 5] = 0.5 / 255, 0.51 / 255, 1 / 255
    result = make_result(oblique, faint)
    seg = saved(response_segmentation(result, identity_of(result)), tmp_path / "a.dcm")
    assert int(seg.NumberOfFrames) == 2
    assert np.argwhere(by_place(seg, result.series)).tolist() == [[4, 5, 5], [5, 5, 5]]


def test_of_a_map_without_anything_one_empty_frame_is_kept(make_result, oblique, phantom, tmp_path):
    result = make_result(oblique, np.zeros_like(phantom.response))
    seg = saved(response_segmentation(result, identity_of(result)), tmp_path / "a.dcm")
    assert int(seg.NumberOfFrames) == 1
    assert not by_place(seg, result.series).any()


def test_levels_that_no_voxel_reaches_are_no_segments(make_result, oblique, phantom, tmp_path):
    result = make_result(oblique, phantom.response * np.float32(0.6))
    seg = saved(levels_segmentation(result, identity_of(result)), tmp_path / "a.dcm")
    assert len(seg.SegmentSequence) == result.highest_level < 5


def test_one_slice_is_enough(tmp_path, write_series, make_result):
    folder = write_series(tmp_path / "ct", np.zeros((1, 8, 9), np.int16))
    response = np.zeros((1, 8, 9), np.float32)
    response[0, 2:5, 3:6] = 0.6
    result = make_result(folder, response)
    assert read_dicom_series(folder).grid == result.series.grid
    seg = saved(levels_segmentation(result, identity_of(result)), tmp_path / "a.dcm")
    assert (by_place(seg, result.series, segment=3) == (response > 0)).all()
