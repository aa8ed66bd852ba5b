"""`twintrack dicom`, and `twintrack predict --dicom`, through the real entry point."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest

pytest.importorskip("highdicom", reason="the extra dicom is not installed")

import pydicom
import SimpleITK as sitk

from twintrack.images import Volume, write_volume
from twintrack.images.dicom import read_dicom_series
from twintrack.segmentation.bundle import Bundle, MemberEntry
from twintrack.segmentation.bundle_files import write_bundle

from ..report.dicom import ct_series  # noqa: TID252  (the maker of valid series)
from .conftest import SHAPE

OBJECTS = {"response.seg.dcm", "levels.seg.dcm", "contours.rtstruct.dcm", "measurements.sr.dcm"}
TWINS = {"levels.seg.nrrd", "levels.nii.gz", "levels.labels.txt"}


@pytest.fixture
def case(files):
    """A series and a response map of it."""
    array = np.zeros((5, 12, 14), np.float32)
    array[1:4, 3:9, 4:11] = 0.5
    series = ct_series.write_series(files.root / "ct", np.zeros(array.shape, np.int16))
    write_volume(files.root / "r.nii.gz", Volume(array, read_dicom_series(series).grid))
    return ("dicom", series, "--response", files.root / "r.nii.gz")


def test_objects_and_twins_are_written_and_named(process, files, case):
    before = files.tree()
    done = process(*case, "--n-raters", 4, "--structure", "renal cyst", "--out", files.root / "d")
    assert done.code == 0, done.err
    assert files.new_since(before) == {f"d/{name}" for name in OBJECTS | TWINS}
    assert "renal cyst is coded as SCT 367643001 Cyst in SCT 64033007 Kidney" in done.err
    assert "Writing: contours" in done.err
    assert "at least 2 of 4" in done.out
    assert all(name in done.out for name in OBJECTS | TWINS)


def test_the_result_as_json(run, files, case):
    done = run(
        *case, "--n-raters", 4, "--levels", "1,2", "--type", "99X:1:thing", "--time", "2030-01-02T03:04:05",
        "--out", files.root / "d", "--json",
    )  # fmt: skip
    assert done.code == 0, done.err
    found = json.loads(done.out)
    voxel = ct_series.STEP * ct_series.PIXEL[0] * ct_series.PIXEL[1]
    assert found["at_least_mm3"] == {
        "1": pytest.approx(126 * voxel),
        "2": pytest.approx(126 * voxel),
        "3": 0.0,
        "4": 0.0,
    }
    assert found["expected_volume_mm3"] == pytest.approx(63 * voxel)
    assert (found["structure"], found["type"], found["region"], found["n_raters"]) == ("lesion", "99X:1:thing", None, 4)
    made = pydicom.dcmread(files.root / "d" / "contours.rtstruct.dcm")
    assert [roi.ROINumber for roi in made.StructureSetROISequence] == [1, 2]
    assert made.StructureSetDate == "20300102"


def test_one_of_several_series_is_named_after_a_colon(run, files, case):
    def other(ds, k):
        ds.SeriesInstanceUID, ds.SeriesNumber, ds.SOPInstanceUID = "1.2.3", 7, f"1.2.3.{k}"

    more = ct_series.write_series(files.root / "more", np.zeros((3, 12, 14), np.int16), change=other)
    for path in more.iterdir():
        shutil.move(path, files.root / "ct" / f"b{path.name}")
    done = run(*case, "--n-raters", 4, "--out", files.root / "d")
    assert done.code == 1
    assert "holds 2 series; which one is meant?" in done.err
    named = ("dicom", f"{files.root / 'ct'}:4", *case[2:])
    assert run(*named, "--n-raters", 4, "--out", files.root / "d").code == 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ((), "how many experts"),
        (("--n-raters", 4, "--levels", "1,x"), "--levels takes whole numbers separated by commas, not '1,x'"),
        (("--n-raters", 4, "--levels", "5"), "contours are wanted of level 5; the agreement levels are 1 to 4"),
        (("--n-raters", 4, "--type", "Neoplas"), "is no keyword of SNOMED CT"),
        (("--n-raters", 4, "--structure", "x" * 50), "1 to 40 characters"),
        (("--n-raters", 4, "--summary", "none.json"), "cannot read none.json"),
    ],
)
def test_what_cannot_be_is_said_and_nothing_is_written(run, files, case, options, message):
    done = run(*case, *options, "--out", files.root / "d")
    assert done.code == 1
    assert message in done.err
    assert not (files.root / "d").exists()


def test_a_map_without_anything_is_said(run, files, case):
    volume = read_dicom_series(files.root / "ct")
    write_volume(files.root / "r.nii.gz", Volume(np.zeros(volume.grid.shape, np.float32), volume.grid))
    done = run(*case, "--n-raters", 4, "--out", files.root / "d")
    assert done.code == 0, done.err
    assert "no voxel reaches an agreement level: no agreement levels and no contours are written" in done.err
    assert {path.name for path in (files.root / "d").iterdir()} == {"response.seg.dcm", "measurements.sr.dcm"} | TWINS


def test_what_is_no_series_is_refused(run, files, case):
    done = run("dicom", files.root / "r.nii.gz", *case[2:], "--n-raters", 4, "--out", files.root / "d")
    assert done.code == 1
    assert "a folder with the files of one DICOM CT series is expected" in done.err


def test_without_the_extra_it_is_said_how_to_get_it(run, files, case, monkeypatch):
    monkeypatch.setattr("twintrack.report.dicom.extra._PACKAGES", ("no_such_package",))
    done = run(*case, "--n-raters", 4, "--out", files.root / "d")
    assert done.code == 1
    assert "pip install 'twintrack[dicom]'" in done.err


@pytest.fixture
def predicting(files):
    """A DICOM series on the grid of the members' predictions of case c1, and a bundle of them."""
    hu = np.random.default_rng(0).normal(40, 30, SHAPE).round().astype(np.int16)
    hu[:, 0] = -1000

    def placed(ds, k):
        ds.ImagePositionPatient = [-20.5, 13.25, 400.0 + 2.5 * k]

    ct_series.write_series(files.root / "cts" / "c1", hu, pixel=(0.8, 0.7), change=placed)
    bundle = files.root / "bundle"
    bundle.mkdir()
    shutil.copy(files.calibration, bundle / "calibration.json")
    members = tuple(
        MemberEntry(name=name, kind="precomputed", path=path) for name, path in zip("ab", files.members, strict=True)
    )
    described = Bundle(
        name="t",
        structure="pancreatic tumour",
        members=members,
        foreground=("tumour",),
        calibration="calibration.json",
    )
    write_bundle(bundle, described)
    return ("predict", files.root / "cts", "--models", bundle, "--dicom", "--out", files.root / "p")


def test_predict_writes_them_too(process, run, files, predicting):
    done = process(*predicting)
    assert done.code == 0, done.err
    assert "DICOM objects: case c1: measurements" in done.err
    folder = files.root / "p" / "dicom" / "c1"
    assert {path.name for path in folder.iterdir()} == OBJECTS | TWINS
    levels = sitk.GetArrayFromImage(sitk.ReadImage(str(files.root / "p" / "levels" / "c1.nii.gz")))
    assert (sitk.GetArrayFromImage(sitk.ReadImage(str(folder / "levels.nii.gz"))) == levels).all()
    text = (folder / "measurements.sr.dcm").read_bytes().decode("utf-8", "replace")
    assert "A further rater's volume, lower end of interval" in text
    summary = json.loads((files.root / "p" / "summaries" / "c1.json").read_text(encoding="utf-8"))
    assert f"{summary['expected_volume_mm3'] / 1000:.2f} ml" in text
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert run(*predicting).code == 0
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_predict_refuses_before_predicting_what_no_object_can_refer_to(run, files, predicting):
    shutil.rmtree(files.root / "cts")
    volume = np.zeros((4, 5, 6), np.int16)

    def without(ds, _):
        ds.FrameOfReferenceUID = ""

    ct_series.write_series(files.root / "cts" / "c1", volume, change=without)
    done = run(*predicting)
    assert done.code == 1
    assert "FrameOfReferenceUID is empty" in done.err
    done = run(*predicting, "--skip-bad")
    assert "every CT was skipped" in done.err
    shutil.rmtree(files.root / "cts")
    (files.root / "cts").mkdir()
    write_volume(files.root / "cts" / "c1.nii.gz", Volume.from_array(volume, spacing=(1, 1, 1)))
    done = run(*predicting)
    assert "c1.nii.gz is no DICOM series" in done.err
    assert not list((files.root / "p").glob("responses/*"))


def test_predict_refuses_maps_that_do_not_say_where_they_lie(run, predicting):
    done = run(*predicting, "--format", "npy")
    assert done.code == 1
    assert "--format npy does not" in done.err
