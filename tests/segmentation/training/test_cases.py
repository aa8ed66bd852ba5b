"""Cases are read, checked and turned to LPS, whatever the files look like."""

import dataclasses

import numpy as np
import pytest
import SimpleITK as sitk
from numpy.testing import assert_array_equal

from twintrack.errors import GeometryError, InputError
from twintrack.images import Grid, Volume, read_volume, write_volume
from twintrack.segmentation.training.cases import TrainingCase, load_case


def replaced(case, **parts):
    return dataclasses.replace(case, **parts)


def test_a_case_is_read_with_its_raters_and_region(cases):
    case = cases(0)
    loaded = load_case(case)
    assert_array_equal(loaded.ct.array, case.image.array)
    assert loaded.raters.keys() == {"1", "2"}
    for name, mask in loaded.raters.items():
        assert mask.dtype == bool
        assert_array_equal(mask, case.raters[name].array)
    assert_array_equal(loaded.region, case.region.array)
    assert_array_equal(loaded.union, case.raters["2"].array)


def test_without_a_region_it_is_what_any_rater_drew(cases):
    case = cases(0, region=False)
    assert_array_equal(load_case(case).region, case.raters["2"].array)


def test_files_in_any_orientation_are_turned_to_lps_as_simpleitk_turns_them(cases, tmp_path):
    case = cases(0, region=False)
    for name, volume in {"image": case.image, "1": case.raters["1"]}.items():
        image = sitk.GetImageFromArray(volume.array)
        image.SetSpacing(volume.grid.spacing[::-1])
        sitk.WriteImage(sitk.DICOMOrient(image, "PIR"), str(tmp_path / f"{name}.nii.gz"))
    stored = read_volume(tmp_path / "image.nii.gz")
    assert stored.array.shape != case.image.array.shape
    loaded = load_case(TrainingCase("x", tmp_path / "image.nii.gz", {"1": tmp_path / "1.nii.gz"}))
    assert_array_equal(loaded.ct.array, case.image.array)
    assert_array_equal(loaded.raters["1"], case.raters["1"].array)
    np.testing.assert_allclose(loaded.ct.grid.direction, np.eye(3).ravel(), atol=1e-6)
    assert loaded.ct.grid.spacing == case.image.grid.spacing


def test_a_2d_image_becomes_one_slice():
    grid = Grid.plain((12, 9), spacing=(0.7, 0.5))
    image = Volume(np.arange(108, dtype=np.int16).reshape(12, 9) * 10 - 900, grid, "slice")
    mask = Volume((image.array > 50).astype(np.uint8), grid, "mask")
    loaded = load_case(TrainingCase("x", image, {"1": mask}))
    assert loaded.ct.array.shape == (1, 12, 9)
    # The slice's thickness must not be the smallest spacing, or nnU-Net would take it for the finest axis.
    assert loaded.ct.grid.spacing == (0.7, 0.7, 0.5)
    assert_array_equal(loaded.raters["1"][0], image.array > 50)


def test_what_reads_itself_is_read(cases):
    case = cases(0)

    class Source:
        def read(self):
            return case.image

    assert_array_equal(load_case(replaced(case, image=Source())).ct.array, case.image.array)


def test_the_box_holds_region_and_raters_and_grows_by_mm_within_the_image(cases):
    case = cases(0)
    loaded = load_case(case)
    where = np.argwhere(loaded.region | loaded.union)
    tight = loaded.box(0.0)
    for axis in range(3):
        assert (tight[axis].start, tight[axis].stop) == (where[:, axis].min(), where[:, axis].max() + 1)
    grown = loaded.box(5.0)  # 2 voxels of 3 mm, 3 of 2 mm
    for axis, grow in enumerate((2, 3, 3)):
        assert grown[axis].start == max(0, tight[axis].start - grow)
        assert grown[axis].stop == min(loaded.ct.grid.shape[axis], tight[axis].stop + grow)
    assert loaded.box(None) == tuple(slice(0, n) for n in loaded.ct.grid.shape)


def test_a_rater_who_drew_beside_the_region_is_in_the_box(cases):
    case = cases(0)
    away = np.zeros(case.image.array.shape, np.uint8)
    away[0, 0, 0] = 1
    loaded = load_case(replaced(case, raters={**case.raters, "3": Volume(away, case.image.grid, "away")}))
    assert [part.start for part in loaded.box(0.0)] == [0, 0, 0]


def test_where_nothing_is_drawn_there_is_no_box(cases):
    case = cases(0, region=False)
    empty = Volume(np.zeros(case.image.array.shape, np.uint8), case.image.grid, "empty")
    assert load_case(replaced(case, raters={"1": empty})).box(10.0) is None


def test_a_case_without_raters_is_refused(cases):
    with pytest.raises(InputError, match="case case_0: no rater drew it"):
        load_case(cases(0, raters=()))


def test_labels_instead_of_a_mask_are_refused(cases):
    case = cases(0)
    wrong = Volume(case.raters["1"].array * 2, case.image.grid, "labels.nii.gz")
    with pytest.raises(InputError, match=r"case case_0: labels.nii.gz: a mask holds 0 and 1; this one holds 0, 2"):
        load_case(replaced(case, raters={"1": wrong}))


def test_a_mask_on_another_grid_is_refused(cases):
    case = cases(0)
    shifted = dataclasses.replace(case.image.grid, origin=(0.0, 0.0, 0.0))
    with pytest.raises(GeometryError, match="case_0"):
        load_case(replaced(case, region=Volume(case.region.array, shifted, "organ")))


def test_an_image_of_unknown_voxel_size_is_refused(cases, tmp_path):
    case = cases(0)
    np.save(tmp_path / "ct.npy", case.image.array)
    with pytest.raises(InputError, match="does not say how large its voxels are"):
        load_case(replaced(case, image=tmp_path / "ct.npy"))


def test_what_is_no_ct_is_refused(cases):
    case = cases(0)
    with pytest.raises(InputError):
        load_case(replaced(case, image=Volume(case.image.array.astype(np.float32) * np.nan, case.image.grid, "nan")))


def test_files_are_read(cases, tmp_path):
    case = cases(0)
    write_volume(tmp_path / "ct.mha", case.image)
    assert_array_equal(load_case(replaced(case, image=tmp_path / "ct.mha")).ct.array, case.image.array)
