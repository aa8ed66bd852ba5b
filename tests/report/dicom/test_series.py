"""The series that results refer to: put in order, and refused with the reason where nothing could refer to it."""

from __future__ import annotations

import shutil

import numpy as np
import pydicom
import pytest

from twintrack.errors import InputError
from twintrack.images.dicom import read_dicom_series
from twintrack.report.dicom.series import read_ct_series

from . import ct_series

ARRAY = np.random.default_rng(0).integers(-1000, 1000, (5, 6, 7)).astype(np.int16)


@pytest.fixture
def spoilt(tmp_path):
    """Write a series with a change to each slice."""

    def write(change, **options):
        return ct_series.write_series(tmp_path / "ct", ARRAY, change=change, **options)

    return write


@pytest.mark.parametrize("cosines", [ct_series.UPRIGHT, ct_series.OBLIQUE, (1, 0, 0, 0, 0, -1)])
def test_headers_lie_in_the_order_of_the_voxels(tmp_path, cosines):
    folder = ct_series.write_series(tmp_path / "ct", ARRAY, cosines=cosines)
    series, volume = read_ct_series(folder), read_dicom_series(folder)
    assert series.grid == volume.grid
    assert (volume.array == ARRAY).all()
    assert [header.InstanceNumber for header in series.headers] == [1, 2, 3, 4, 5]
    np.testing.assert_allclose(series.positions[0], volume.grid.origin)
    assert all("PixelData" not in header for header in series.headers)


def test_what_may_be_empty_may_be_missing(spoilt):
    def without(ds, _):
        for keyword in ("PatientID", "PatientName", "StudyID", "AccessionNumber", "PatientSex", "StudyTime"):
            delattr(ds, keyword)

    header = read_ct_series(spoilt(without)).headers[0]
    assert header.PatientID == header.StudyID == header.PatientName == ""


def test_a_header_that_cannot_be_read_is_named(tmp_path, monkeypatch):
    folder = ct_series.write_series(tmp_path / "ct", ARRAY)

    def refuse(*_, **__):
        raise ValueError("unknown VR")

    monkeypatch.setattr("pydicom.dcmread", refuse)
    with pytest.raises(InputError, match=r"IM\d+: the DICOM header cannot be read: unknown VR"):
        read_ct_series(folder)


@pytest.mark.parametrize("keyword", ["SOPInstanceUID", "StudyInstanceUID", "FrameOfReferenceUID"])
@pytest.mark.parametrize("emptied", [True, False])
def test_a_slice_nothing_can_refer_to_is_refused(spoilt, keyword, emptied):
    def without(ds, k):
        if k == 2:
            ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID
            if emptied:
                setattr(ds, keyword, "")
            else:
                delattr(ds, keyword)

    with pytest.raises(
        InputError, match=rf"IM\d+: {keyword} is empty, so nothing can refer to this slice.*de-identify"
    ):
        read_ct_series(spoilt(without))


@pytest.mark.parametrize("keyword", ["StudyInstanceUID", "FrameOfReferenceUID", "PatientID", "PatientName"])
def test_slices_of_two_examinations_are_refused_without_naming_the_patient(spoilt, keyword):
    def change(ds, k):
        if k == 3:
            setattr(ds, keyword, "1.2.3.4")

    with pytest.raises(InputError, match=f"2 different values of {keyword}. Are two examinations mixed") as caught:
        read_ct_series(spoilt(change))
    assert "Müller" not in str(caught.value)
    assert "P1" not in str(caught.value)


def test_two_slices_of_one_uid_are_refused(spoilt):
    def change(ds, _):
        ds.SOPInstanceUID = f"{ct_series.ROOT}.3.1"

    with pytest.raises(InputError, match="5 slices have only 1 different SOP instance UIDs"):
        read_ct_series(spoilt(change))


@pytest.mark.parametrize(
    ("uid", "said"),
    [("1.2.840.10008.5.1.4.1.1.4", "MR"), ("1.2.840.10008.5.1.4.1.1.2.1", "1.2.840.10008.5.1.4.1.1.2.1")],
)
def test_another_kind_of_image_is_refused(spoilt, uid, said):
    def change(ds, _):
        ds.SOPClassUID = uid

    with pytest.raises(InputError, match="a CT image .* is expected") as caught:
        read_ct_series(spoilt(change))
    assert said in str(caught.value) or uid in str(caught.value)


def moved(k_moved, by):
    def change(ds, k):
        if k == k_moved:
            ds.ImagePositionPatient = [float(a) + b for a, b in zip(ds.ImagePositionPatient, by, strict=True)]

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (moved(2, (0, 0, 2.5)), "lie where another lies"),
        (moved(2, (0, 3, 0)), "shifted against each other by up to 3 mm, as with a tilted gantry"),
        (lambda ds, k: setattr(ds, "ImageOrientationPatient", [1, 0, 0, 0, 0, 1]) if k == 1 else None, "orientation"),
        (lambda ds, k: setattr(ds, "PixelSpacing", [1, 1]) if k == 1 else None, "differ in pixel size"),
        (lambda ds, k: setattr(ds, "SeriesInstanceUID", "1.2.3") if k == 1 else None, "holds 2 series"),
        (lambda ds, k: setattr(ds, "Modality", "MR"), "a CT is expected"),
    ],
)
def test_what_is_no_stack_is_refused(spoilt, change, message):
    with pytest.raises(InputError, match=message):
        read_ct_series(spoilt(change))


def test_several_frames_in_one_file_are_refused(spoilt):
    def enhanced(ds, _):
        ds.SOPClassUID = "1.2.840.10008.5.1.4.1.1.2.1"
        ds.NumberOfFrames = 2
        ds.PixelData = ds.PixelData * 2

    with pytest.raises(InputError, match="holds 2 frames in one file .enhanced DICOM"):
        read_ct_series(spoilt(enhanced))


def test_a_missing_slice_is_refused(tmp_path):
    folder = ct_series.write_series(tmp_path / "ct", ARRAY)
    for path in folder.iterdir():
        if pydicom.dcmread(path).InstanceNumber == 3:
            path.unlink()
    with pytest.raises(InputError, match="1 slice missing there"):
        read_ct_series(folder)


def test_one_of_several_series_is_chosen(tmp_path):
    folder = ct_series.write_series(tmp_path / "ct", ARRAY)

    def other(ds, k):
        ds.SeriesInstanceUID, ds.SeriesNumber, ds.SOPInstanceUID = "1.2.3", 7, f"1.2.3.{k}"

    more = ct_series.write_series(tmp_path / "more", ARRAY[:4], change=other)
    for path in more.iterdir():
        shutil.move(path, folder / f"b{path.name}")
    assert len(read_ct_series(folder, series="4").headers) == 5
    assert len(read_ct_series(folder, series="1.2.3").headers) == 4
    with pytest.raises(InputError, match="holds 2 series; which one is meant"):
        read_ct_series(folder)


def test_a_real_series_with_emptied_uids_is_refused(data_dir):
    folder = data_dir / "ct_small" / "dicom_series"
    if not folder.is_dir():
        pytest.skip("no DICOM series among the real data")
    with pytest.raises(InputError, match="SOPInstanceUID is empty"):
        read_ct_series(folder)
