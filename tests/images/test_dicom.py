"""A DICOM series is one evenly spaced stack of CT slices, or it is refused with the reason."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
import SimpleITK as sitk

from twintrack.errors import InputError
from twintrack.images import read_volume, write_volume
from twintrack.images.dicom import has_dicom, is_dicom, list_series, read_dicom_series, stack_series

from . import dicom_maker

OBLIQUE = (0.8, 0.6, 0.0, -0.36, 0.48, 0.8)
CORONAL = (1.0, 0.0, 0.0, 0.0, 0.0, -1.0)


@pytest.fixture
def array():
    return np.random.default_rng(0).integers(-1000, 1500, (5, 6, 7)).astype(np.int16)


@pytest.fixture
def folder(tmp_path, array):
    dicom_maker.write_series(tmp_path / "ct", array)
    return tmp_path / "ct"


@pytest.mark.parametrize("cosines", [dicom_maker.UPRIGHT, OBLIQUE, CORONAL])
def test_slices_are_put_in_order_of_their_places_whatever_the_files_are_called(tmp_path, array, cosines):
    dicom_maker.write_series(tmp_path / "ct", array, cosines=cosines)
    volume = read_dicom_series(tmp_path / "ct")
    np.testing.assert_array_equal(volume.array, array)
    assert volume.grid.spacing == pytest.approx((2.5, 0.8, 0.7))
    assert volume.grid.origin == pytest.approx((-12.0, 7.0, 40.0))
    direction = np.reshape(volume.grid.direction, (3, 3))
    np.testing.assert_allclose(direction[:, 0], cosines[:3], atol=1e-7)
    np.testing.assert_allclose(direction[:, 1], cosines[3:], atol=1e-7)
    assert np.linalg.det(direction) == pytest.approx(1)


def test_it_is_what_simpleitk_reads_from_the_sorted_files(folder):
    reader = sitk.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(folder)))
    image, volume = reader.Execute(), read_dicom_series(folder)
    np.testing.assert_array_equal(sitk.GetArrayFromImage(image), volume.array)
    assert image.GetSpacing()[::-1] == pytest.approx(volume.grid.spacing)
    assert image.GetOrigin() == pytest.approx(volume.grid.origin)
    assert image.GetDirection() == pytest.approx(volume.grid.direction)


def test_a_real_series_is_what_simpleitk_reads_and_survives_a_file(data_dir, tmp_path):
    folder = data_dir / "ct_small" / "dicom_series"
    if not folder.is_dir():
        pytest.skip("no DICOM series among the real data")
    volume = read_dicom_series(folder)
    reader = sitk.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(folder)))
    np.testing.assert_array_equal(sitk.GetArrayFromImage(reader.Execute()), volume.array)
    assert volume.grid.shape == (20, 512, 512)
    write_volume(tmp_path / "ct.mha", volume)
    assert read_volume(tmp_path / "ct.mha").grid.difference(volume.grid) is None


def test_rescaling_of_each_slice_is_applied(tmp_path, array):
    for k, plane in enumerate(array):
        tags = {"0028|1052": "-1024", "0028|1053": str(1 + k)}
        stored = (plane // 8 * (1 + k)) - 1024
        dicom_maker.write_slice(tmp_path / f"{k}", stored.astype(np.int16), position=(0, 0, 3 * k), tags=tags)
    np.testing.assert_array_equal(read_dicom_series(tmp_path).array, array // 8 * np.arange(1, 6)[:, None, None] - 1024)


@pytest.mark.parametrize("fractional", [0, 3])
def test_slices_of_different_types_after_rescaling_lose_nothing(tmp_path, array, fractional):
    for k, plane in enumerate(array):
        halved = k == fractional
        stored = {"0028|0100": "16", "0028|0101": "16", "0028|0102": "15", "0028|0103": "1"} if halved else {}
        tags = {"0028|1052": "0", "0028|1053": "0.5" if halved else "1", **stored}
        dicom_maker.write_slice(tmp_path / f"{k}", plane / 2 if halved else plane, position=(0, 0, k), tags=tags)
    volume = read_dicom_series(tmp_path)
    expected = array.astype(np.float64)
    expected[fractional] /= 2
    np.testing.assert_array_equal(volume.array, expected)


def test_files_that_are_no_images_and_other_formats_are_passed_over(folder, array):
    (folder / "DICOMDIR").write_bytes(bytes(128) + b"DICM")
    (folder / "readme.txt").write_text("by hand")
    report = b"1.2.840.10008.5.1.4.1.1.88.11\0"
    head = bytes(128) + b"DICM" + b"\x02\x00\x02\x00UI" + len(report).to_bytes(2, "little") + report
    (folder / "report").write_bytes(head + bytes(30))
    (folder / ".hidden").write_bytes(bytes(128) + b"DICM")
    assert has_dicom(folder)
    np.testing.assert_array_equal(read_dicom_series(folder).array, array)


@pytest.mark.parametrize("uid", ["1.2.3.9", ""])
def test_of_several_series_one_must_be_chosen_also_where_anonymisers_emptied_the_uids(folder, array, uid):
    tags = {"0020|0011": "7", "0008|103e": "lung", "0020|000e": uid}
    dicom_maker.write_series(folder, array[:2] + 1, tags=tags, prefix="b")
    with pytest.raises(InputError) as error:
        read_dicom_series(folder)
    assert "series 4: CT, abdomen, 5 files" in str(error.value)
    assert "series 7: CT, lung, 2 files" in str(error.value)
    assert f"{folder}:4" in str(error.value)
    np.testing.assert_array_equal(read_dicom_series(folder, series="7").array, array[:2] + 1)
    assert read_dicom_series(folder, series="4").array.shape == array.shape
    with pytest.raises(InputError, match="holds no series 9; found"):
        read_dicom_series(folder, series="9")


def test_the_only_ct_among_other_modalities_is_taken(folder, array):
    tags = {"0020|0011": "1", "0008|0060": "PT", "0020|000e": "1.2.3.9"}
    dicom_maker.write_series(folder, array[:2], tags=tags, prefix="b")
    assert len(list_series(folder)) == 2
    np.testing.assert_array_equal(read_dicom_series(folder).array, array)
    with pytest.raises(InputError, match="a CT is expected; series 1: PT"):
        read_dicom_series(folder, series="1")


def test_another_modality_or_a_picture_is_no_ct(tmp_path, array):
    dicom_maker.write_series(tmp_path / "mr", array, tags={"0008|0060": "MR"})
    with pytest.raises(InputError, match="a CT is expected; series 4: MR"):
        read_dicom_series(tmp_path / "mr")
    colours = np.zeros((6, 7, 3), np.uint8)
    dicom_maker.write_slice(tmp_path / "rgb" / "1", colours, position=(0, 0, 0), tags={"0008|0060": ""})
    with pytest.raises(InputError, match="a CT is expected"):
        read_dicom_series(tmp_path / "rgb")


def test_a_missing_slice_is_named_by_its_neighbours(folder):
    (folder / "a3").unlink()
    with pytest.raises(InputError, match=r"mostly 2\.5 mm apart, but 5 mm between a4 and a2; 1 slice missing there"):
        read_dicom_series(folder)


@pytest.mark.parametrize(("shift", "refused"), [(0.2, False), (0.4, True)])
def test_uneven_distances_are_refused_beyond_a_tenth_of_a_slice(tmp_path, array, shift, refused):
    for k, plane in enumerate(array):
        dicom_maker.write_slice(tmp_path / f"s{k}", plane, position=(0, 0, 2.5 * k + shift * (k == 2)))
    if not refused:
        assert read_dicom_series(tmp_path).grid.spacing[0] == pytest.approx(2.5)
        return
    with pytest.raises(InputError, match="not evenly spaced.*the distances are uneven"):
        read_dicom_series(tmp_path)


def test_doubled_slices_are_refused(folder, array):
    dicom_maker.write_slice(folder / "again", array[1], position=(-12, 7, 42.5))
    with pytest.raises(InputError, match=r"lie where another lies .* at 42\.5 mm.*two phases"):
        read_dicom_series(folder)


def test_a_tilted_gantry_is_refused(tmp_path, array):
    for k, plane in enumerate(array):
        dicom_maker.write_slice(tmp_path / f"s{k}", plane, position=(0, 0.3 * k, 2.5 * k))
    with pytest.raises(InputError, match=r"shifted against each other by up to 1\.2 mm, as with a tilted gantry"):
        read_dicom_series(tmp_path)


def test_a_scout_of_another_size_orientation_or_resolution_is_refused(folder, array):
    extra = folder / "extra"
    dicom_maker.write_slice(extra, array[0, :4], position=(-12, 7, 52.5))
    with pytest.raises(InputError, match="differ in size: .* 7 × 6 pixels, extra 7 × 4"):
        read_dicom_series(folder)
    dicom_maker.write_slice(extra, array[0], position=(-12, 7, 52.5), cosines=CORONAL)
    with pytest.raises(InputError, match="differ in orientation"):
        read_dicom_series(folder)
    dicom_maker.write_slice(extra, array[0], position=(-12, 7, 52.5), pixel=(0.9, 0.7))
    with pytest.raises(InputError, match="differ in pixel size"):
        read_dicom_series(folder)


def test_one_slice_has_its_thickness_for_a_third_axis(tmp_path, array):
    dicom_maker.write_series(tmp_path / "ct", array[:1])
    volume = read_dicom_series(tmp_path / "ct")
    assert volume.array.shape == (1, 6, 7)
    assert volume.grid.spacing[0] == 2.5
    dicom_maker.write_series(tmp_path / "ct", array[:1], tags={"0018|0050": ""})
    with pytest.raises(InputError, match=r"tag \(0018,0050\) must hold 1 numbers; found nothing"):
        read_dicom_series(tmp_path / "ct")


@pytest.mark.parametrize("kept", [-40, 140])
def test_a_file_cut_short_is_refused_also_where_it_is_the_last_slice(folder, kept):
    path = folder / "a1"
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(InputError, match="a1: the DICOM file is damaged or cut short"):
        read_dicom_series(folder)


def test_a_slice_that_cannot_be_decoded_is_named(folder, monkeypatch):
    def refuse(*_):
        raise RuntimeError("Exception\nITK ERROR: no codec")

    monkeypatch.setattr("twintrack.images.dicom.sitk.ReadImage", refuse)
    with pytest.raises(InputError, match="a5: the slice cannot be read.*no codec"):
        read_dicom_series(folder)


def test_frames_in_one_file_are_refused(tmp_path, array):
    image = sitk.GetImageFromArray(array)
    image.SetMetaData("0008|0060", "CT")
    sitk.WriteImage(image, str(tmp_path / "frames.dcm"))
    with pytest.raises(InputError, match="5 frames in one file .*dcm2niix"):
        read_dicom_series(tmp_path)


def test_a_folder_without_dicom_is_said(tmp_path, folder):
    with pytest.raises(InputError, match="there is no such folder"):
        read_dicom_series(tmp_path / "none")
    shutil.rmtree(folder)
    folder.mkdir()
    (folder / "a.txt").write_text("a")
    assert not has_dicom(folder)
    assert not is_dicom(folder / "none")
    with pytest.raises(InputError, match="holds no DICOM images"):
        read_dicom_series(folder)


def test_a_stack_is_the_series_without_its_voxels(tmp_path, array, monkeypatch):
    dicom_maker.write_series(tmp_path / "ct", array, cosines=OBLIQUE)
    volume = read_dicom_series(tmp_path / "ct")
    monkeypatch.setattr("twintrack.images.dicom.sitk.ReadImage", None)
    stack = stack_series(tmp_path / "ct")
    assert stack.grid == volume.grid
    assert [one.path.name for one in stack.slices] == ["a5", "a4", "a3", "a2", "a1"]
    assert stack.name == f"{tmp_path / 'ct'} (series 4: CT, abdomen, 5 files)"


def test_colour_pictures_are_no_ct_whatever_they_call_themselves(tmp_path):
    for k in range(3):
        colour = np.zeros((6, 7, 3), np.uint8)
        dicom_maker.write_slice(tmp_path / "ct" / f"a{k}", colour, position=(0, 0, 2.5 * k))
    with pytest.raises(InputError, match="a CT is expected; series 4: colour picture, abdomen, 3 files"):
        read_dicom_series(tmp_path / "ct")
