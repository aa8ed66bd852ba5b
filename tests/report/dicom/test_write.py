"""All objects of a result: valid, the same every time, whole, and with nothing of the machine they were made on."""

from __future__ import annotations

import getpass
import socket
from datetime import datetime

import numpy as np
import pydicom
import pytest

from twintrack.errors import InputError, OutputError
from twintrack.report.dicom import write
from twintrack.report.dicom.write import write_result

from . import ct_series

CT = np.zeros((3, 8, 9), np.int16)
RESPONSE = np.zeros(CT.shape, np.float32)
RESPONSE[1, 2:6, 2:6], RESPONSE[1, 3:5, 3:5] = 0.7, 1
DICOM = {"response.seg.dcm", "levels.seg.dcm", "contours.rtstruct.dcm", "measurements.sr.dcm"}
TWINS = {"levels.seg.nrrd", "levels.nii.gz", "levels.labels.txt"}


def objects(folder):
    return sorted(folder.glob("*.dcm"))


def names(folder):
    return {path.name for path in folder.iterdir()}


@pytest.mark.parametrize("series", ["upright", "oblique"])
def test_every_object_is_valid(make_result, phantom, errors_of, tmp_path, request, series):
    folder = request.getfixturevalue(series)
    assert errors_of(sorted(folder.iterdir())[:1]) == []
    result = make_result(folder, phantom.response, parameters={"bundle": "b"}, notes=("a note",))
    write_result(result, tmp_path)
    assert names(tmp_path) == DICOM | TWINS
    assert errors_of(objects(tmp_path)) == []


def test_the_objects_of_an_empty_map_are_valid_and_said_to_be_empty(make_result, oblique, phantom, errors_of, tmp_path):
    write_result(make_result(oblique, np.zeros_like(phantom.response)), tmp_path)
    assert names(tmp_path) == {"response.seg.dcm", "measurements.sr.dcm"} | TWINS
    assert errors_of(objects(tmp_path)) == []


def test_headers_with_nothing_but_what_must_be_there_give_valid_objects(tmp_path, errors_of, make_result):
    def bare(ds, _):
        for keyword in ("PatientName", "PatientID", "PatientBirthDate", "PatientSex", "AccessionNumber", "StudyID"):
            setattr(ds, keyword, "")
        for keyword in (
            "SpecificCharacterSet",
            "StudyDescription",
            "ManufacturerModelName",
            "SeriesNumber",
            "StudyTime",
        ):
            delattr(ds, keyword)

    folder = ct_series.write_series(tmp_path / "ct", CT, change=bare)
    write_result(make_result(folder, RESPONSE), tmp_path / "out")
    assert errors_of(objects(tmp_path / "out")) == []
    for path in objects(tmp_path / "out"):
        made = pydicom.dcmread(path)
        assert (made.PatientName, made.PatientID, made.StudyTime) == ("", "", "")


def test_names_and_dates_that_are_none_are_taken_over_as_they_are(tmp_path, make_result):
    odd = {"PatientName": "ANON7", "PatientBirthDate": "19500000", "PatientSex": "W", "StudyTime": "around noon"}

    def change(ds, _):
        with pydicom.config.disable_value_validation():
            for keyword, value in odd.items():
                delattr(ds, keyword)
                setattr(ds, keyword, value)

    folder = ct_series.write_series(tmp_path / "ct", CT, change=change)
    write_result(make_result(folder, RESPONSE), tmp_path / "out")
    for path in objects(tmp_path / "out"):
        with pydicom.config.disable_value_validation():
            made = pydicom.dcmread(path)
            assert {keyword: made[keyword].value for keyword in odd} == odd


def test_the_same_result_gives_the_same_bytes_and_another_one_other_uids(tmp_path, make_result):
    series = ct_series.write_series(tmp_path / "ct", CT)
    for name in "ab":
        write_result(make_result(series, RESPONSE), tmp_path / name)
    assert names(tmp_path / "a") == DICOM | TWINS
    for path in (tmp_path / "a").iterdir():
        assert path.read_bytes() == (tmp_path / "b" / path.name).read_bytes(), path.name
    changed = RESPONSE.copy()
    changed[0, 0, 0] = 1e-3
    renamed = ct_series.write_series(
        tmp_path / "renamed", CT, change=lambda ds, _: setattr(ds, "PatientName", "Corrected^Name")
    )
    write_result(make_result(series, changed), tmp_path / "c")
    write_result(make_result(series, RESPONSE, notes=("another",)), tmp_path / "d")
    write_result(make_result(series, RESPONSE), tmp_path / "e", levels=[1])
    write_result(make_result(series, RESPONSE), tmp_path / "f", when=datetime(2030, 1, 2))
    write_result(make_result(renamed, RESPONSE), tmp_path / "g")
    uids = [{pydicom.dcmread(path).SOPInstanceUID for path in objects(tmp_path / name)} for name in "acdefg"]
    assert len(set.union(*uids)) == 24
    assert all(uid.startswith("2.25.") and len(uid) <= 44 for uid in set.union(*uids))


@pytest.mark.parametrize(
    ("charset", "name"),
    [
        ("ISO_IR 100", "Groß^Zoë"),
        ("ISO_IR 192", "Žižka^Jan"),
        (["", "ISO 2022 IR 87"], "Yamada^Tarou=山田^太郎=やまだ^たろう"),
        ("GB18030", "Wang^XiaoDong=王^小东"),
    ],
)
def test_names_in_any_script_are_kept(tmp_path, make_result, charset, name):
    def named(ds, _):
        ds.SpecificCharacterSet, ds.PatientName, ds.StudyDescription = charset, name, name.split("=")[-1]

    folder = ct_series.write_series(tmp_path / "ct", CT, change=named)
    write_result(make_result(folder, RESPONSE), tmp_path / "out")
    for path in objects(tmp_path / "out"):
        made = pydicom.dcmread(path)
        assert made.SpecificCharacterSet == "ISO_IR 192"
        assert (str(made.PatientName), made.StudyDescription) == (name, name.split("=")[-1])


def test_patient_study_and_frame_of_reference_are_the_cts(result, tmp_path):
    write_result(result, tmp_path)
    source = ct_series.slice_of(np.zeros((2, 2), np.int16), 0)
    taken = ("PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyInstanceUID", "StudyID", "StudyDate")
    for path in objects(tmp_path):
        made = pydicom.dcmread(path)
        for keyword in (*taken, "StudyTime", "AccessionNumber", "ReferringPhysicianName", "StudyDescription"):
            assert made[keyword].value == source[keyword].value, (path.name, keyword)
        assert made.PatientName.family_name == "Müller"
        if made.Modality != "SR":
            assert made.FrameOfReferenceUID == source.FrameOfReferenceUID
        assert made.ContentQualification == "RESEARCH"
        assert made.SeriesDescription.endswith("(for research use only)")
        assert made.SeriesNumber // 100 == source.SeriesNumber


def test_nothing_of_the_machine_is_in_them(result, tmp_path):
    write_result(result, tmp_path / "out")
    telling = {getpass.getuser(), socket.gethostname(), str(tmp_path), str(result.series.name)}
    for path in (tmp_path / "out").iterdir():
        content = path.read_bytes()
        found = {text for text in telling if len(text) > 4 and text.encode() in content}
        assert not found, path.name


def test_they_bear_the_cts_date_or_the_one_that_is_given(result, tmp_path):
    write_result(result, tmp_path / "a")
    write_result(result, tmp_path / "b", when=datetime(2030, 1, 2, 3, 4, 5))
    for name, date, time in (("a", "20210304", "101315"), ("b", "20300102", "030405")):
        for path in objects(tmp_path / name):
            made = pydicom.dcmread(path)
            kind = "StructureSet" if made.Modality == "RTSTRUCT" else "Content"
            for part in ("InstanceCreation", "Series", kind):
                assert (made[f"{part}Date"].value, made[f"{part}Time"].value) == (date, time)
            assert made.StudyDate == "20210304"


def test_a_series_without_dates_needs_one(tmp_path, make_result):
    def undated(ds, _):
        ds.ContentDate = ds.SeriesDate = ds.StudyDate = ds.AcquisitionDate = ""

    folder = ct_series.write_series(tmp_path / "ct", CT, change=undated)
    result = make_result(folder, RESPONSE)
    with pytest.raises(InputError, match="holds no date that the results could bear; give one"):
        write_result(result, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    write_result(result, tmp_path / "out", when=datetime(2030, 1, 2))
    assert names(tmp_path / "out") == DICOM | TWINS


def test_contours_of_chosen_levels(result, tmp_path):
    write_result(result, tmp_path, levels=[4, 2, 2])
    made = pydicom.dcmread(tmp_path / "contours.rtstruct.dcm")
    assert [roi.ROINumber for roi in made.StructureSetROISequence] == [2, 4]


@pytest.mark.parametrize(("levels", "found"), [([0], "level 0"), ([1, 6], "level 6"), ([], "none")])
def test_levels_that_are_none_are_refused_before_anything_is_written(result, tmp_path, levels, found):
    with pytest.raises(InputError, match=f"contours are wanted of {found}; the agreement levels are 1 to 5"):
        write_result(result, tmp_path / "out", levels=levels)
    assert not (tmp_path / "out").exists()


def test_levels_that_no_voxel_reaches_have_no_contours(make_result, oblique, phantom, tmp_path):
    write_result(make_result(oblique, phantom.response * np.float32(0.6)), tmp_path, levels=[5])
    assert names(tmp_path) == (DICOM | TWINS) - {"contours.rtstruct.dcm"}


def test_objects_of_an_earlier_result_do_not_stay(make_result, tmp_path, monkeypatch):
    series, out = ct_series.write_series(tmp_path / "ct", CT), tmp_path / "out"
    write_result(make_result(series, RESPONSE), out)
    write_result(make_result(series, np.zeros_like(RESPONSE)), out)
    assert names(out) == {"response.seg.dcm", "measurements.sr.dcm"} | TWINS
    write_result(make_result(series, RESPONSE), out)
    saved = write._save

    def interrupted(made, path):
        if path.name == "levels.seg.dcm":
            raise KeyboardInterrupt
        return saved(made, path)

    monkeypatch.setattr(write, "_save", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_result(make_result(series, RESPONSE, notes=("new",)), out)
    assert names(out) == {"response.seg.dcm"} | TWINS


def test_a_folder_that_cannot_be_made_is_said(result, tmp_path):
    (tmp_path / "file").write_text("a")
    with pytest.raises(OutputError, match="cannot make the folder"):
        write_result(result, tmp_path / "file" / "out")


def test_an_object_that_cannot_be_replaced_is_said(result, tmp_path):
    (tmp_path / "measurements.sr.dcm").mkdir()
    with pytest.raises(OutputError, match="cannot replace .*measurements.sr.dcm"):
        write_result(result, tmp_path)
    assert names(tmp_path) == {"measurements.sr.dcm"}


def test_headers_of_which_no_object_can_be_made_are_said(result, tmp_path, monkeypatch):
    def refuse(*_):
        raise ValueError("too long")

    monkeypatch.setattr(write, "structure_set", refuse)
    with pytest.raises(InputError, match="no DICOM object can be made with its headers: too long"):
        write_result(result, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_series_number_that_cannot_be_counted_on_from_is_not(tmp_path, make_result):
    def negative(ds, _):
        ds.SeriesNumber = -5

    folder = ct_series.write_series(tmp_path / "ct", CT, change=negative)
    write_result(make_result(folder, RESPONSE), tmp_path / "out")
    assert pydicom.dcmread(tmp_path / "out" / "levels.seg.dcm").SeriesNumber == 2


def test_the_objects_of_a_real_series_are_valid(data_dir, tmp_path, errors_of, make_result):
    source = data_dir / "ct_small" / "dicom_series"
    if not source.is_dir():
        pytest.skip("no DICOM series among the real data")
    # It was de-identified by emptying its UIDs; given new ones, it is a real scanner's header otherwise.
    (tmp_path / "ct").mkdir()
    for k, path in enumerate(sorted(source.iterdir())):
        ds = pydicom.dcmread(path)
        ds.SOPClassUID = ds.file_meta.MediaStorageSOPClassUID
        ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = f"1.2.3.4.{k}"
        ds.StudyInstanceUID, ds.SeriesInstanceUID = "1.2.3.1", "1.2.3.2"
        ds.save_as(tmp_path / "ct" / path.name)
    response = np.zeros((20, 512, 512), np.float32)
    response[6:12, 200:260, 240:300] = 0.95
    response[8:10, 190:270, 230:310] += 0.05
    write_result(make_result(tmp_path / "ct", response), tmp_path / "out")
    assert errors_of(objects(tmp_path / "out")) == []
