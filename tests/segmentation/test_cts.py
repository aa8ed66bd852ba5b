"""CTs are found in files, DICOM folders and folders of these, each under one name."""

from __future__ import annotations

import numpy as np
import pytest
import SimpleITK as sitk

from twintrack.errors import InputError
from twintrack.images import write_volume
from twintrack.segmentation.cts import Ct, find_cts

from . import fakes


@pytest.fixture
def image(tmp_path):
    def write(name):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        write_volume(path, fakes.ct_volume((3, 4, 5)))
        return path

    return write


@pytest.fixture
def dicom(tmp_path):
    def write(name, *, n=3, number="1", uid="1.2.3"):
        folder = tmp_path / name
        folder.mkdir(parents=True, exist_ok=True)
        for k in range(n):
            plane = sitk.GetImageFromArray(np.full((4, 5), -100 * k, np.int16))
            tags = {"0008|0060": "CT", "0020|000e": uid, "0020|0011": number, "0020|0037": "1\\0\\0\\0\\1\\0"}
            for tag, value in {**tags, "0020|0032": f"0\\0\\{3 * k}"}.items():
                plane.SetMetaData(tag, value)
            writer = sitk.ImageFileWriter()
            writer.KeepOriginalImageUIDOn()
            writer.SetImageIO("GDCMImageIO")
            writer.SetFileName(str(folder / f"{number}-{k}"))
            writer.Execute(plane)
        return folder

    return write


def ids(*paths):
    return [ct.case_id for ct in find_cts(paths)]


def test_an_image_file_is_a_case_of_its_name(image):
    path = image("a.b.nii.gz")
    (ct,) = find_cts([path])
    assert ct == Ct("a.b", path)
    assert ct.id == "a.b"
    assert ct.files == (path,)
    np.testing.assert_array_equal(ct.read().array, fakes.ct_volume((3, 4, 5)).array)


def test_a_curvas_case_folder_or_its_image_is_a_case_of_the_folders_name(image, tmp_path):
    path = image("UKCHLL001/image.nii.gz")
    image("UKCHLL001/annotation_1.nii.gz")
    image("UKCHLL002/image.mha")
    assert find_cts([path]) == find_cts([tmp_path / "UKCHLL001"]) == [Ct("UKCHLL001", path)]
    assert ids(tmp_path) == ["UKCHLL001", "UKCHLL002"]


def test_a_folder_of_images_is_a_case_each_in_natural_order(image, tmp_path):
    for name in ("c10.nii.gz", "c2.mha", "._c3.nii.gz"):
        image(f"images/{name}")
    (tmp_path / "images" / "readme.txt").write_text("")
    assert ids(tmp_path / "images") == ["c2", "c10"]


def test_a_dicom_folder_is_a_case_and_so_is_each_in_a_folder(dicom, tmp_path):
    dicom("p2")
    dicom("p10")
    (ct,) = find_cts([tmp_path / "p2"])
    assert ct.case_id == "p2"
    assert ct.read().grid.shape == (3, 4, 5)
    assert len(ct.files) == 3
    assert ids(tmp_path) == ["p2", "p10"]
    assert ct.sha256() != Ct("p2", tmp_path / "p2" / "1-0").sha256()


def test_one_of_several_series_is_chosen_after_a_colon(dicom):
    folder = dicom("p2")
    dicom("p2", n=5, number="8", uid="1.2.4")
    with pytest.raises(InputError, match="which one is meant"):
        find_cts([folder])[0].read()
    for series in ("8", "1.2.4"):
        (ct,) = find_cts([folder.with_name(f"p2:{series}")])
        assert ct.read().grid.shape == (5, 4, 5)
        assert len(ct.files) == 5


def test_a_colon_in_a_name_is_part_of_the_name_where_there_is_such_a_file(image):
    path = image("a:1.nii.gz")
    assert find_cts([path]) == [Ct("a:1", path)]


def test_two_cts_of_one_name_are_refused_before_work_begins(image):
    with pytest.raises(InputError, match=r"one/a\.nii\.gz and .*two/A\.mha would both be case A"):
        find_cts([image("one/a.nii.gz"), image("two/A.mha")])
    with pytest.raises(InputError, match="would both be case"):
        find_cts([image("one/a.nii.gz"), image("one/a.nii.gz")])


def test_what_holds_no_ct_is_said(tmp_path):
    (tmp_path / "inner").mkdir()
    (tmp_path / "a.txt").write_text("")
    with pytest.raises(InputError, match="holds no CT; expected"):
        find_cts([tmp_path])
    with pytest.raises(InputError, match="not a known image format"):
        find_cts([tmp_path / "a.txt"])
    for name in ("none", "none:1", "inner:"):
        with pytest.raises(InputError, match="there is no such file or folder"):
            find_cts([tmp_path / name])
    with pytest.raises(InputError, match="no CT is given"):
        find_cts([])


def test_the_folder_one_stands_in_has_a_name_too(image, tmp_path, monkeypatch):
    image("p1/image.nii.gz")
    monkeypatch.chdir(tmp_path / "p1")
    from pathlib import Path

    assert ids(Path()) == ids(Path("image.nii.gz")) == ["p1"]


def test_the_voxels_beside_a_header_count_to_the_files(tmp_path):
    sitk.WriteImage(sitk.Image(3, 4, 5, sitk.sitkInt16), str(tmp_path / "a.mhd"))
    (ct,) = find_cts([tmp_path / "a.mhd"])
    assert ct.files == (tmp_path / "a.mhd", tmp_path / "a.raw")
    before = ct.sha256()
    (tmp_path / "a.raw").write_bytes(bytes(range(120)))
    assert ct.sha256() != before
