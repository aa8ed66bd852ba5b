"""The datasets nnU-Net is given."""

import json

import numpy as np
import pytest
import SimpleITK as sitk
from numpy.testing import assert_array_equal

from twintrack.errors import InputError
from twintrack.segmentation.training.cases import load_case
from twintrack.segmentation.training.datasets import Lesson, write_datasets
from twintrack.segmentation.training.teach import Teach

MARGIN = 6.0


def write(cases, folder, *, teach="majority", rater=None, coarse=True, held_out=(), n_members=2, margin=MARGIN):
    lesson = Lesson(Teach(teach, rater), ("1", "2"), margin, "tumour", 0)
    return write_datasets(cases, lesson, folder, n_members=n_members, coarse=coarse, held_out=held_out)


def voxels(path):
    return sitk.GetArrayFromImage(sitk.ReadImage(str(path)))


def test_the_coarse_network_gets_whole_cts_and_the_region(cases, tmp_path):
    case = cases(0)
    coarse, _ = write([case, cases(1)], tmp_path, held_out={"case_1"})
    raw = coarse.folder / "raw" / coarse.name
    assert coarse.name == "Dataset001_region"
    assert_array_equal(voxels(raw / "imagesTr" / "case_0_0000.nii.gz"), case.image.array)
    assert_array_equal(voxels(raw / "labelsTr" / "case_0.nii.gz"), case.region.array)
    about = json.loads((raw / "dataset.json").read_text(encoding="utf-8"))
    assert about["labels"] == {"background": 0, "region": 1}
    assert about["numTraining"] == 2
    assert about["channel_names"] == {"0": "CT"}
    splits = json.loads(
        (coarse.folder / "preprocessed" / coarse.name / "splits_final.json").read_text(encoding="utf-8")
    )
    assert splits == [{"train": ["case_0"], "val": ["case_1"]}]


def test_members_get_crops_where_they_lie_in_the_patient(cases, tmp_path):
    case = cases(0)
    _, (fine,) = write([case, cases(1)], tmp_path)
    raw = fine.folder / "raw" / fine.name
    assert fine.name == "Dataset002_tumour"
    box = load_case(case).box(MARGIN)
    image = sitk.ReadImage(str(raw / "imagesTr" / "case_0_0000.nii.gz"))
    assert_array_equal(sitk.GetArrayFromImage(image), case.image.array[box])
    np.testing.assert_allclose(image.GetOrigin(), case.image.grid.crop(box).origin, atol=1e-5)
    both = case.raters["1"].array & case.raters["2"].array
    assert_array_equal(voxels(raw / "labelsTr" / "case_0.nii.gz"), both[box])


def test_each_member_has_a_dataset_of_its_own_teacher_without_what_that_one_did_not_draw(cases, tmp_path):
    all_cases = [cases(0), cases(1, raters=("1",)), cases(2)]
    _, (first, second) = write(all_cases, tmp_path, teach="each")
    assert first.cases == ("case_0", "case_1", "case_2")
    assert second.cases == ("case_0", "case_2")
    label = voxels(second.folder / "raw" / second.name / "labelsTr" / "case_0.nii.gz")
    assert_array_equal(label, all_cases[0].raters["2"].array[load_case(all_cases[0]).box(MARGIN)])
    assert first.name != second.name


def test_a_teacher_who_drew_nothing_to_learn_from_is_an_error(cases, tmp_path):
    with pytest.raises(InputError, match="rater 2 drew none of those that are not held out"):
        write([cases(0, raters=("1",)), cases(1)], tmp_path, teach="one", rater="2", held_out={"case_1"})


def test_without_a_coarse_network_members_see_whole_images(cases, tmp_path):
    coarse, (fine,) = write([cases(0), cases(1)], tmp_path, coarse=False, margin=None)
    assert coarse is None
    image = voxels(fine.folder / "raw" / fine.name / "imagesTr" / "case_0_0000.nii.gz")
    assert image.shape == cases(0).image.array.shape


def test_the_hash_says_what_was_written(cases, tmp_path):
    first, (crop,) = write([cases(0), cases(1)], tmp_path / "a", held_out={"case_1"})
    again, (same,) = write([cases(0), cases(1)], tmp_path / "b", held_out={"case_1"})
    assert (first.sha256, crop.sha256) == (again.sha256, same.sha256)
    other, _ = write([cases(0), cases(2)], tmp_path / "c", held_out={"case_2"})
    split, _ = write([cases(0), cases(1)], tmp_path / "d", held_out={"case_0"})
    assert len({first.sha256, other.sha256, split.sha256}) == 3


def test_what_an_earlier_run_left_is_not_learnt_from(cases, tmp_path):
    write([cases(0), cases(1), cases(2)], tmp_path)
    coarse, _ = write([cases(0), cases(1)], tmp_path)
    raw = coarse.folder / "raw" / coarse.name
    assert len(list((raw / "imagesTr").iterdir())) == 2


def test_with_no_case_held_out_nnunet_watches_those_it_learns_from(cases, tmp_path):
    coarse, _ = write([cases(0), cases(1)], tmp_path)
    (split,) = json.loads(
        (coarse.folder / "preprocessed" / coarse.name / "splits_final.json").read_text(encoding="utf-8")
    )
    assert split["train"] == split["val"] == ["case_0", "case_1"]


def test_progress_wraps_the_cases(cases, tmp_path):
    seen = []

    def progress(given):
        for case in given:
            seen.append(case.id)
            yield case

    lesson = Lesson(Teach("majority"), ("1", "2"), MARGIN, "tumour", 0)
    write_datasets([cases(0)], lesson, tmp_path, n_members=1, coarse=False, held_out=(), progress=progress)
    assert seen == ["case_0"]


def test_an_id_that_cannot_be_a_file_name_is_refused(cases, tmp_path):
    import dataclasses

    with pytest.raises(InputError, match="cannot be a file name"):
        write([dataclasses.replace(cases(0), id="../x")], tmp_path)
