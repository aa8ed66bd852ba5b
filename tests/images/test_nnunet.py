"""nnU-Net's predictions: the right channels, the right geometry, and no pickle is ever opened."""

from __future__ import annotations

import json
import pickle
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk

from twintrack.errors import InputError
from twintrack.images import Grid, Volume, read_probability, write_volume
from twintrack.images.nnunet import foreground_names, is_nnunet_folder, is_nnunet_npz
from twintrack.images.nnunet_labels import Foreground, Output, read_output, resolve_foreground

pytestmark = pytest.mark.usefixtures("nothing_printed")

SHAPE = (4, 5, 6)
TUMOUR = {"background": 0, "tumour": 1}
ORGANS = {"background": 0, "pancreas": 1, "tumour": 2, "cyst": 3, "ignore": 4}
REGIONS = {"background": 0, "whole": [1, 2, 3], "core": [2, 3], "enhancing": 3, "ignore": 4}


def softmax(channels: int, *, shape: tuple[int, ...] = SHAPE, dtype: str = "float32") -> np.ndarray:
    logits = np.random.default_rng(5).normal(size=(channels, *shape)) * 3
    return (np.exp(logits) / np.exp(logits).sum(axis=0)).astype(dtype)


def save_case(
    folder: Path,
    array: np.ndarray,
    *,
    labels: dict[str, Any] | None = None,
    key: str = "probabilities",
    grid: Grid | None = None,
    ending: str = ".nii.gz",
) -> Path:
    np.savez_compressed(folder / "case.npz", **{key: array})
    if labels is not None:
        described = {"labels": labels, "file_ending": ending, "channel_names": {"0": "CT"}}
        (folder / "dataset.json").write_text(json.dumps(described))
    if grid is not None:
        write_volume(folder / f"case{ending}", Volume(np.zeros(grid.shape, np.uint8), grid))
    return folder / "case.npz"


def test_the_single_foreground_label_is_taken_and_lies_where_the_segmentation_lies(
    tmp_path: Path, grid_3d: Grid
) -> None:
    array = softmax(2)
    path = save_case(tmp_path, array, labels=TUMOUR, grid=grid_3d)
    volume = read_probability(path)
    assert volume.array.dtype == np.float32
    np.testing.assert_array_equal(volume.array, array[1])
    assert volume.grid.difference(grid_3d) is None
    assert volume.grid.known
    assert volume.name == str(path)


@pytest.mark.parametrize(
    ("foreground", "channels"),
    [
        (["tumour"], [2]),
        (["tumour", "cyst"], [2, 3]),
        ([3, 2], [3, 2]),
        (["2"], [2]),
        (["tumour", 2, "2"], [2]),  # the same three times counts once
        ("tumour", [2]),  # a bare name is not five letters
        (["pancreas", "tumour", "cyst"], [1, 2, 3]),
    ],
)
def test_softmax_channels_are_chosen_by_name_or_number_and_summed(
    tmp_path: Path, foreground: Sequence[str | int], channels: list[int]
) -> None:
    array = softmax(4)
    path = save_case(tmp_path, array, labels=ORGANS)
    found = read_probability(path, foreground=foreground).array
    np.testing.assert_allclose(found, array[channels].sum(axis=0), rtol=1e-6)


def test_overlapping_regions_are_merged_by_the_largest(tmp_path: Path) -> None:
    array = np.random.default_rng(1).random((3, *SHAPE)).astype(np.float32)
    path = save_case(tmp_path, array, labels=REGIONS)
    for foreground, channels in ((["whole"], [0]), (["core"], [1]), (["enhancing", "whole"], [2, 0])):
        found = read_probability(path, foreground=foreground).array
        np.testing.assert_array_equal(found, array[channels].max(axis=0))


def test_sums_that_rounding_carried_above_one_are_one_and_no_others(tmp_path: Path) -> None:
    array = np.zeros((3, 1, 1, 4), np.float32)
    array[1, 0, 0] = [0.5, 0.5, 0.5, 1]
    array[2, 0, 0] = [0.5, 0.50005, 0.5002, -0.5]
    labels = {"background": 0, "a": 1, "b": 2}
    found = read_probability(save_case(tmp_path, array, labels=labels), foreground=["a", "b"]).array
    np.testing.assert_array_equal(found[0, 0], np.array([1, 1, np.float32(0.5) + np.float32(0.5002), 0.5], np.float32))


def test_values_are_left_as_they_were_saved(tmp_path: Path) -> None:
    array = softmax(2)
    array[1, 0, 0, :4] = [np.nan, -0.1, 1.5, 1.00005]
    found = read_probability(save_case(tmp_path, array, labels=TUMOUR)).array
    np.testing.assert_array_equal(found, array[1])


@pytest.mark.parametrize("dtype", ["float16", "float64"])
def test_other_precisions_become_float32(tmp_path: Path, dtype: str) -> None:
    array = softmax(3, dtype=dtype)
    path = save_case(tmp_path, array, labels={"background": 0, "a": 1, "b": 2})
    volume = read_probability(path, foreground=["a", "b"])
    assert volume.array.dtype == np.float32
    np.testing.assert_allclose(volume.array, array[1].astype("f4") + array[2].astype("f4"), rtol=1e-6)


def test_the_rest_of_the_array_is_not_kept(tmp_path: Path) -> None:
    found = read_probability(save_case(tmp_path, softmax(2), labels=TUMOUR)).array
    assert found.base is None or found.base.nbytes == found.nbytes


@pytest.mark.parametrize(
    ("labels", "foreground", "said"),
    [
        (ORGANS, None, r"which labels .*'pancreas' \(1\), 'tumour' \(2\), 'cyst' \(3\).*--foreground"),
        (ORGANS, [], "--foreground"),
        (ORGANS, ["tumor"], r"no foreground label 'tumor'.*'tumour' \(2\)"),
        (ORGANS, [0], "no foreground label '0'"),
        (ORGANS, ["background"], "no foreground label 'background'"),
        (ORGANS, ["ignore"], "no foreground label 'ignore'"),
        (ORGANS, [4], "no foreground label '4'"),
        (ORGANS, [-1], "no foreground label '-1'"),
        (REGIONS, None, r"'whole' \(0\), 'core' \(1\), 'enhancing' \(2\).*--foreground"),
        (REGIONS, [1], r"by name only.*'core'"),
        ({"background": 0}, None, "no foreground labels"),
    ],
)
def test_a_choice_that_is_not_clear_lists_the_labels(
    tmp_path: Path, labels: dict[str, Any], foreground: Sequence[str | int] | None, said: str
) -> None:
    (tmp_path / "dataset.json").write_text(json.dumps({"labels": labels}))
    output = read_output(tmp_path / "dataset.json")
    path = save_case(tmp_path, softmax(output.channels), labels=labels)
    with pytest.raises(InputError, match=said) as error:
        read_probability(path, foreground=foreground)
    assert str(path) in str(error.value)
    with pytest.raises(InputError, match=said):
        foreground_names(tmp_path, foreground)


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        (ORGANS, Output({"pancreas": 1, "tumour": 2, "cyst": 3}, 4, False, None, "")),
        (REGIONS, Output({"whole": 0, "core": 1, "enhancing": 2}, 3, True, None, "")),
        # A list of one is not a region for nnU-Net.
        ({"background": 0, "tumour": [1]}, Output({"tumour": 1}, 2, False, None, "")),
        # nnU-Net v1 wrote the labels the other way round.
        ({"0": "background", "2": "cyst", "1": "tumour"}, Output({"cyst": 2, "tumour": 1}, 3, False, None, "")),
    ],
)
def test_labels_say_which_channels_there_are(tmp_path: Path, labels: dict[str, Any], expected: Output) -> None:
    (tmp_path / "dataset.json").write_text(json.dumps({"labels": labels}))
    found = read_output(tmp_path / "dataset.json")
    assert (found.labels, found.channels, found.regions) == (expected.labels, expected.channels, expected.regions)
    assert found.source == str(tmp_path / "dataset.json")


def test_the_choice_of_foreground_is_said_in_full() -> None:
    output = Output({"a": 1, "b": 2}, 3, regions=False, file_ending=None, source="here")
    assert resolve_foreground(output, ["b", 1], where="x") == Foreground((2, 1), "sum", ("b", "a"))
    regions = Output({"a": 0, "b": 1}, 2, regions=True, file_ending=None, source="here")
    assert resolve_foreground(regions, ["b"], where="x") == Foreground((1,), "max", ("b",))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("{", "cannot be read as JSON"),
        ("\udcff", "cannot be read as JSON"),
        ("[]", "an object with 'labels'"),
        ("{}", "'labels' must give"),
        ('{"labels": {}}', "'labels' must give"),
        ('{"labels": [1]}', "'labels' must give"),
        ('{"labels": {"background": 0, "a": 1.5}}', "'labels' must give"),
        ('{"labels": {"background": 0, "a": true}}', "'labels' must give"),
        ('{"labels": {"background": 0, "a": []}}', "'labels' must give"),
        ('{"labels": {"background": 0, "a": -1}}', "'labels' must give"),
        ('{"labels": {"background": 0, "a": 2}}', "without gaps"),
    ],
)
def test_a_dataset_json_that_makes_no_sense_is_refused(tmp_path: Path, content: str, said: str) -> None:
    path = save_case(tmp_path, softmax(2))
    (tmp_path / "dataset.json").write_bytes(content.encode("utf-8", "surrogateescape"))
    for read in (lambda: read_probability(path), lambda: foreground_names(tmp_path)):
        with pytest.raises(InputError, match=said) as error:
            read()
        assert str(tmp_path / "dataset.json") in str(error.value)


@pytest.mark.parametrize(("labels", "channels"), [(TUMOUR, 3), (ORGANS, 5), (REGIONS, 4)])
def test_a_dataset_json_of_another_model_is_refused(tmp_path: Path, labels: dict[str, Any], channels: int) -> None:
    path = save_case(tmp_path, softmax(channels), labels=labels)
    with pytest.raises(InputError, match=rf"has {channels} channels, but .*dataset\.json describes {channels - 1}"):
        read_probability(path, foreground=["tumour"])


def test_without_a_dataset_json_two_softmax_channels_are_background_and_foreground(tmp_path: Path) -> None:
    array = softmax(2, dtype="float16")
    np.testing.assert_array_equal(read_probability(save_case(tmp_path, array)).array, array[1].astype(np.float32))
    assert foreground_names(tmp_path) is None


def test_without_a_dataset_json_more_channels_must_be_chosen_by_number(tmp_path: Path) -> None:
    array = softmax(4)
    path = save_case(tmp_path, array)
    with pytest.raises(InputError, match=r"'channel 1' \(1\), 'channel 2' \(2\), 'channel 3' \(3\)"):
        read_probability(path)
    np.testing.assert_allclose(read_probability(path, foreground=[1, 3]).array, array[1] + array[3], rtol=1e-6)
    with pytest.raises(InputError, match="no foreground label '4'"):
        read_probability(path, foreground=[4])
    with pytest.raises(InputError, match="no foreground label 'tumour'"):
        read_probability(path, foreground=["tumour"])


def test_without_a_dataset_json_regions_are_not_taken_for_softmax(tmp_path: Path) -> None:
    array = np.random.default_rng(1).random((2, *SHAPE)).astype(np.float32)
    path = save_case(tmp_path, array)
    with pytest.raises(InputError, match="do not sum to 1"):
        read_probability(path)
    np.testing.assert_array_equal(read_probability(path, foreground=[1]).array, array[1])


@pytest.mark.parametrize("ending", [".nii.gz", ".nii", ".mha", ".nrrd"])
@pytest.mark.parametrize("described", [True, False])
def test_the_segmentation_is_found_whatever_its_ending(
    tmp_path: Path, grid_3d: Grid, ending: str, described: bool
) -> None:
    path = save_case(tmp_path, softmax(2), labels=TUMOUR if described else None, grid=grid_3d, ending=ending)
    assert read_probability(path).grid.difference(grid_3d) is None


def test_the_ending_in_dataset_json_comes_first(tmp_path: Path, grid_3d: Grid) -> None:
    path = save_case(tmp_path, softmax(2), labels=TUMOUR, grid=grid_3d, ending=".nrrd")
    other = Volume(np.zeros((9, 9, 9), np.uint8), Grid.plain((9, 9, 9), spacing=(1, 1, 1)))
    write_volume(tmp_path / "case.nii.gz", other)
    write_volume(tmp_path / "case.nrrd.mha", other)
    assert read_probability(path).grid.difference(grid_3d) is None


def test_without_a_segmentation_the_grid_is_not_known(tmp_path: Path) -> None:
    grid = read_probability(save_case(tmp_path, softmax(2), labels=TUMOUR)).grid
    assert grid == Grid.plain(SHAPE)
    assert not grid.known


def test_case_names_with_dots_keep_them(tmp_path: Path, grid_3d: Grid) -> None:
    path = save_case(tmp_path, softmax(2), labels=TUMOUR, grid=grid_3d)
    path = path.rename(tmp_path / "a.1.2.npz")
    (tmp_path / "case.nii.gz").rename(tmp_path / "a.1.2.nii.gz")
    assert read_probability(path).grid.difference(grid_3d) is None


@pytest.mark.parametrize("shape", [(5, 6), (1, 5, 6)])
def test_a_2d_case_has_the_axes_of_its_segmentation(tmp_path: Path, shape: tuple[int, ...]) -> None:
    grid = Grid.plain(shape, spacing=(0.5, 0.25, 0.125)[: len(shape)])
    array = softmax(2, shape=(1, 5, 6))
    volume = read_probability(save_case(tmp_path, array, labels=TUMOUR, grid=grid))
    assert volume.grid.difference(grid) is None
    np.testing.assert_array_equal(volume.array, array[1].reshape(shape))


@pytest.mark.parametrize(("key", "said"), [("probabilities", "another run"), ("softmax", "v1 saved .* cropped")])
def test_another_shape_than_the_segmentations_is_refused(tmp_path: Path, grid_3d: Grid, key: str, said: str) -> None:
    path = save_case(tmp_path, softmax(2, shape=(4, 5, 5)), labels=TUMOUR, grid=grid_3d, key=key)
    with pytest.raises(InputError, match=said) as error:
        read_probability(path)
    for part in ("(4, 5, 5)", "(4, 5, 6)", "case.npz", "case.nii.gz"):
        assert part in str(error.value)


def test_the_key_of_version_1_is_read(tmp_path: Path, grid_3d: Grid) -> None:
    array = softmax(2, dtype="float16")
    volume = read_probability(save_case(tmp_path, array, labels=TUMOUR, grid=grid_3d, key="softmax"))
    np.testing.assert_array_equal(volume.array, array[1].astype(np.float32))


@pytest.mark.parametrize(
    ("array", "said"),
    [
        (np.zeros((5, 6), np.float32), r"\(5, 6\)"),
        (np.zeros((2, 5, 6), np.float32), r"\(2, 5, 6\)"),
        (np.zeros((2, 0, 5, 6), np.float32), r"\(2, 0, 5, 6\)"),
        (np.zeros((2, 4, 5, 6), np.int16), "int16"),
        (np.zeros((2, 4, 5, 6), complex), "complex"),
    ],
)
def test_arrays_that_are_no_probabilities_are_refused(tmp_path: Path, array: np.ndarray, said: str) -> None:
    with pytest.raises(InputError, match=said):
        read_probability(save_case(tmp_path, array, labels=TUMOUR))


def test_a_file_of_something_else_says_what_it_holds(tmp_path: Path) -> None:
    np.savez(tmp_path / "case.npz", first=np.zeros(3), second=np.zeros(3))
    with pytest.raises(InputError, match="it holds first, second, neither"):
        read_probability(tmp_path / "case.npz")


@pytest.mark.parametrize("share", [0.0, 0.3, 0.9, 0.999])
def test_a_file_cut_short_is_refused(tmp_path: Path, share: float) -> None:
    path = save_case(tmp_path, softmax(2), labels=TUMOUR)
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(InputError, match=r"case\.npz"):
        read_probability(path)


def test_a_damaged_file_is_refused(tmp_path: Path) -> None:
    path = save_case(tmp_path, softmax(2), labels=TUMOUR)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 8
    path.write_bytes(content)
    with pytest.raises(InputError, match="damaged"):
        read_probability(path)


class Bomb:
    """Leaves a file behind when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Callable[..., object], tuple[str, str]]:
        return open, (str(self.path), "w")


def test_no_pickle_is_opened(tmp_path: Path, grid_3d: Grid) -> None:
    path = save_case(tmp_path, softmax(2), labels=TUMOUR, grid=grid_3d)
    (tmp_path / "case.pkl").write_bytes(pickle.dumps(Bomb(tmp_path / "exploded")))
    read_probability(path)
    save_case(tmp_path, np.array([[[[Bomb(tmp_path / "exploded")]]]], dtype=object), labels=TUMOUR)
    with pytest.raises(InputError, match="never loaded"):
        read_probability(path)
    path.unlink()
    with pytest.raises(InputError, match=r"no such file\. Predict with --save_probabilities.*case\.pkl"):
        read_probability(path)
    (tmp_path / "case.pkl").unlink()
    with pytest.raises(InputError, match=r"no such file\.$"):
        read_probability(path)
    assert not (tmp_path / "exploded").exists()


def test_prediction_folders_are_told_from_others(tmp_path: Path) -> None:
    assert not is_nnunet_folder(tmp_path)
    assert not is_nnunet_folder(tmp_path / "missing")
    np.savez(tmp_path / "a.npz", array=np.zeros((2, 2)))
    assert not is_nnunet_folder(tmp_path)
    assert not is_nnunet_npz(tmp_path / "a.npz")
    (tmp_path / "a.npz").write_bytes(b"no zip")
    assert not is_nnunet_folder(tmp_path)
    (tmp_path / "dataset.json").write_text("{}")
    assert is_nnunet_folder(tmp_path)
    (tmp_path / "dataset.json").unlink()
    np.savez(tmp_path / "a.npz", probabilities=np.zeros((2, 2, 2, 2)))
    assert is_nnunet_folder(tmp_path)
    assert is_nnunet_npz(tmp_path / "a.npz")
    assert not is_nnunet_npz(tmp_path / "missing.npz")
    assert not is_nnunet_npz(tmp_path / "a.npy")


def test_real_predictions_are_read(data_dir: Path) -> None:
    for member in (1, 2, 3):
        folder = data_dir / "lidc2d_predictions" / f"member_{member}"
        assert is_nnunet_folder(folder)
        assert foreground_names(folder) == ("nodule",)
        for path in sorted(folder.glob("*.npz"))[:10]:
            volume = read_probability(path)
            with np.load(path) as saved:
                np.testing.assert_array_equal(volume.array, saved["probabilities"][1])
            segmentation = sitk.ReadImage(str(path).replace(".npz", ".nii.gz"))
            assert volume.grid.spacing == segmentation.GetSpacing()[::-1]
            # Where the foreground is the likelier class is where nnU-Net's own segmentation is.
            np.testing.assert_array_equal(volume.array > 0.5, sitk.GetArrayFromImage(segmentation) == 1)


def test_a_real_prediction_beside_a_malicious_pickle_is_read(data_dir: Path, tmp_path: Path) -> None:
    source = sorted((data_dir / "lidc2d_predictions" / "member_1").glob("*.npz"))[0]
    for ending in (".npz", ".nii.gz"):
        shutil.copy(source.with_name(source.name.replace(".npz", ending)), tmp_path)
    (tmp_path / source.with_suffix(".pkl").name).write_bytes(pickle.dumps(Bomb(tmp_path / "exploded")))
    assert read_probability(tmp_path / source.name).grid.known
    assert not (tmp_path / "exploded").exists()
