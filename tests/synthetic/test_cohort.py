"""Simulated cohorts: complete, in the layouts real users have, the same bytes for the same seed."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk

from twintrack.cohort.find import find_cohort
from twintrack.errors import InputError, OutputError
from twintrack.images import read_probability
from twintrack.synthetic import make_phantom, phantom_case, write_cohort

N_CASES = 6


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, coarse: dict[str, Any]) -> Path:
    target = tmp_path_factory.mktemp("study") / "cohort"
    write_cohort(target, n_cases=N_CASES, seed=11, n_raters=4, n_members=2, **coarse)
    return target


def rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "cases.csv").open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def test_the_written_layout_is_complete(folder: Path) -> None:
    ids = [f"case_{k:03d}" for k in range(1, N_CASES + 1)]
    assert [row["case"] for row in rows(folder)] == ids
    for row in rows(folder):
        files = {path.name for path in (folder / "raters" / row["case"]).iterdir()}
        drawn = {name for name in files if name.startswith("annotation_")}
        assert files - drawn == {"image.nii.gz", "vessels.nii.gz", "roi.nii.gz", "region.nii.gz"}
        assert drawn <= {f"annotation_{k}.nii.gz" for k in range(1, 5)}
        assert len(drawn) == int(row["raters"])
    for member in ("member_1", "member_2"):
        files = {path.name for path in (folder / "members" / member).iterdir()}
        assert files == {"dataset.json"} | {f"{name}{end}" for name in ids for end in (".npz", ".nii.gz")}
    assert {path.name for path in folder.iterdir()} == {"raters", "members", "cases.csv"}


def test_the_list_of_cases_splits_them_and_names_patients(folder: Path) -> None:
    listed = rows(folder)
    assert list(listed[0]) == ["case", "patient", "raters", "split"]
    assert sorted(row["split"] for row in listed) == ["calibration"] * 3 + ["test"] * 3
    assert len({row["patient"] for row in listed}) == N_CASES


def test_one_rater_is_missing_in_some_cases_but_not_in_most(folder: Path) -> None:
    assert sorted(row["raters"] for row in rows(folder)) == ["3"] + ["4"] * (N_CASES - 1)


def test_predictions_are_those_of_nnunet(folder: Path) -> None:
    member = folder / "members" / "member_1"
    described = json.loads((member / "dataset.json").read_text(encoding="utf-8"))
    assert described["labels"] == {"background": 0, "tumour": 1}
    assert described["file_ending"] == ".nii.gz"
    with np.load(member / "case_001.npz", allow_pickle=False) as archive:
        assert archive.files == ["probabilities"]
        probabilities = archive["probabilities"]
    assert probabilities.dtype == np.float32
    assert probabilities.shape == (2, 24, 64, 64)
    np.testing.assert_allclose(probabilities.sum(axis=0), 1, atol=1e-6)
    segmentation = sitk.ReadImage(str(member / "case_001.nii.gz"))
    np.testing.assert_array_equal(sitk.GetArrayFromImage(segmentation), probabilities.argmax(axis=0))
    assert segmentation.GetSpacing() == (5.0, 5.0, 6.0)
    volume = read_probability(member / "case_001.npz")
    np.testing.assert_array_equal(volume.array, probabilities[1])


def test_images_keep_their_types_and_geometry(folder: Path, coarse: dict[str, Any]) -> None:
    grid = make_phantom(0, **coarse).grid
    types = {"image": sitk.sitkInt16, "vessels": sitk.sitkUInt8, "roi": sitk.sitkUInt8, "region": sitk.sitkUInt8}
    for name, kind in types.items():
        image = sitk.ReadImage(str(folder / "raters" / "case_002" / f"{name}.nii.gz"))
        assert image.GetPixelID() == kind
        assert image.GetSpacing() == grid.spacing[::-1]
        np.testing.assert_allclose(image.GetOrigin(), grid.origin)
        np.testing.assert_allclose(image.GetDirection(), grid.direction)


def test_the_cohort_is_found_and_read_as_any_other(folder: Path) -> None:
    cohort = find_cohort(raters=[folder / "raters"], members=[folder / "members"], cases=folder / "cases.csv")
    assert len(cohort) == N_CASES
    for case, row in zip(cohort, rows(folder), strict=True):
        data = case.read(vessels=True)
        assert len(data.members) == 2
        assert len(data.raters) == int(row["raters"])
        assert data.vessels is not None
        assert set(np.unique(data.vessels)) == {0, 1, 2, 3, 4, 5}
        assert data.roi is not None
        assert not np.stack(data.members)[:, data.roi == 0].any()
        assert np.stack(data.members).max() > 0.9
        assert (case.patient, case.split) == (row["patient"], row["split"])


def test_the_same_seed_writes_the_same_bytes(folder: Path, tmp_path: Path, coarse: dict[str, Any]) -> None:
    write_cohort(tmp_path, n_cases=N_CASES, seed=11, n_raters=4, n_members=2, **coarse)
    files = sorted(path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    assert files == sorted(path.relative_to(tmp_path) for path in tmp_path.rglob("*") if path.is_file())
    for file in files:
        assert (folder / file).read_bytes() == (tmp_path / file).read_bytes(), file


def test_each_case_is_reported_when_written_and_an_interrupted_cohort_has_no_list(
    tmp_path: Path, coarse: dict[str, Any]
) -> None:
    seen = []

    def stop_after_two(case_id: str) -> None:
        seen.append(case_id)
        assert (tmp_path / "members" / "member_1" / f"{case_id}.npz").is_file()
        if len(seen) == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_cohort(tmp_path, n_cases=3, seed=0, n_raters=1, n_members=1, on_case=stop_after_two, **coarse)
    assert seen == ["case_001", "case_002"]
    assert not (tmp_path / "cases.csv").exists()
    assert not [path for path in tmp_path.rglob("*") if path.name.startswith(".")]


def test_a_single_rater_is_never_missing(tmp_path: Path, coarse: dict[str, Any]) -> None:
    write_cohort(tmp_path, n_cases=2, seed=0, n_raters=1, n_members=1, calibration_fraction=1.0, **coarse)
    assert [(row["raters"], row["split"]) for row in rows(tmp_path)] == [("1", "calibration")] * 2


def test_a_folder_with_something_in_it_is_left_alone(tmp_path: Path, coarse: dict[str, Any]) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(OutputError, match="not empty"):
        write_cohort(tmp_path, n_cases=1, seed=0, **coarse)
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path, coarse: dict[str, Any]) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match=r"cannot write .*file"):
        write_cohort(tmp_path / "file" / "cohort", n_cases=1, seed=0, **coarse)


def test_a_cases_folder_that_cannot_be_made_is_named(tmp_path: Path, coarse: dict[str, Any]) -> None:
    def obstruct(case_id: str) -> None:
        (tmp_path / "raters" / "case_002").write_text("in the way")

    with pytest.raises(OutputError, match=r"cannot write .*case_002"):
        write_cohort(tmp_path, n_cases=2, seed=0, n_raters=1, n_members=1, on_case=obstruct, **coarse)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"n_cases": 0}, "0 cases"),
        ({"n_raters": 0}, "0 raters"),
        ({"n_members": -1}, "-1 members"),
        ({"seed": -1}, "-1"),
        ({"calibration_fraction": 1.5}, "1.5"),
        ({"calibration_fraction": float("nan")}, "nan"),
        ({"spacing": (9.0, 9.0, 9.0)}, "up to 6 mm"),
        ({"shape": (8, 8, 8)}, "field of view"),
    ],
)
def test_what_cannot_be_used_is_refused_before_anything_is_written(
    tmp_path: Path, arguments: dict[str, Any], said: str
) -> None:
    with pytest.raises(InputError, match=said):
        write_cohort(tmp_path / "new", **{"n_cases": 1, "seed": 0, **arguments})
    assert not (tmp_path / "new").exists()


def test_a_case_in_memory_has_everything(coarse: dict[str, Any]) -> None:
    case = phantom_case(7, n_raters=3, n_members=2, **coarse)
    assert case.id == "phantom_0007"
    data = case.read(vessels=True)
    assert list(data.raters) == ["1", "2", "3"]
    assert len(data.members) == 2
    assert data.grid == make_phantom(7, **coarse).grid
    assert data.roi is not None
    image = case.read_image()
    assert image is not None
    np.testing.assert_array_equal(image.array, make_phantom(7, **coarse).ct)


def test_a_case_in_memory_is_the_same_for_the_same_seed(coarse: dict[str, Any]) -> None:
    first, again = (phantom_case(3, personality_seed=1, **coarse).read() for _ in range(2))
    np.testing.assert_array_equal(first.probability(), again.probability())
    np.testing.assert_array_equal(list(first.raters.values()), list(again.raters.values()))
