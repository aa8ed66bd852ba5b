"""Result folders: what must lie in them, and what is said where it does not."""

from __future__ import annotations

import json

import pytest

from twintrack.errors import ModelError
from twintrack.segmentation.nets.result_folder import open_result_folder


@pytest.fixture
def folder(tmp_path):
    plans = {"configurations": {"3d_fullres": {}}, "image_reader_writer": "SimpleITKIO"}
    dataset = {"channel_names": {"0": "CT"}, "labels": {"background": 0, "tumour": 1}}
    (tmp_path / "plans.json").write_text(json.dumps(plans))
    (tmp_path / "dataset.json").write_text(json.dumps(dataset))
    for fold in ("2", "10", "all"):
        add(tmp_path, fold)
    return tmp_path


def add(folder, fold, name="checkpoint_final.pth"):
    (folder / f"fold_{fold}").mkdir(exist_ok=True)
    (folder / f"fold_{fold}" / name).touch()


def change(path, **changes):
    path.write_text(json.dumps({**json.loads(path.read_text(encoding="utf-8")), **changes}))


def folds(found):
    return [path.parent.name for path in found.checkpoints]


def test_all_folds_that_hold_the_checkpoint_are_used_in_order(folder):
    add(folder, "0", "checkpoint_best.pth")
    found = open_result_folder(folder)
    assert folds(found) == ["fold_2", "fold_10", "fold_all"]
    assert found.output.labels == {"tumour": 1}
    assert found.orientation_hint is None
    assert folds(open_result_folder(folder, checkpoint="checkpoint_best.pth")) == ["fold_0"]


@pytest.mark.parametrize("chosen", [[10, "all"], ["10", "all"]])
def test_folds_can_be_chosen(folder, chosen):
    assert folds(open_result_folder(folder, folds=chosen)) == ["fold_10", "fold_all"]


def test_a_fold_given_as_a_word_is_one_fold(folder):
    assert folds(open_result_folder(folder, folds="all")) == ["fold_all"]


def test_a_missing_fold_is_named_and_those_there_are_listed(folder):
    with pytest.raises(ModelError, match=r"fold_7/checkpoint_final\.pth: there is no such.*fold_10/checkpoint_final"):
        open_result_folder(folder, folds=[2, 7])
    with pytest.raises(ModelError, match="no such checkpoint"):
        open_result_folder(folder, folds=[])


def test_a_training_that_did_not_end_is_told_from_one_that_never_began(folder):
    for path in folder.glob("fold_*/*.pth"):
        path.unlink()
    with pytest.raises(ModelError, match="No fold holds a checkpoint"):
        open_result_folder(folder)
    add(folder, "2", "checkpoint_best.pth")
    with pytest.raises(ModelError, match=r"not come to its end.*checkpoint_best\.pth"):
        open_result_folder(folder)
    with pytest.raises(ModelError, match=r"There is: fold_2/checkpoint_best\.pth\.$"):
        open_result_folder(folder, checkpoint="checkpoint_latest.pth")


@pytest.mark.parametrize("name", ["plans.json", "dataset.json"])
def test_files_that_are_missing_or_not_json_are_named(folder, name):
    (folder / name).write_text("{")
    with pytest.raises(ModelError, match=f"{name}: cannot be read as JSON"):
        open_result_folder(folder)
    (folder / name).write_text("[]")
    with pytest.raises(ModelError, match=f"{name}: holds no JSON object"):
        open_result_folder(folder)
    (folder / name).unlink()
    with pytest.raises(ModelError, match=f"{name}: this file is missing"):
        open_result_folder(folder)


def test_a_folder_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(ModelError, match="no such folder"):
        open_result_folder(tmp_path / "none")


def test_plans_without_configurations_are_refused(folder):
    change(folder / "plans.json", configurations=None)
    with pytest.raises(ModelError, match="configurations"):
        open_result_folder(folder)


@pytest.mark.parametrize("channels", [{"0": "CT", "1": "PET"}, {}, None, "CT"])
def test_networks_of_several_channels_are_refused(folder, channels):
    change(folder / "dataset.json", channel_names=channels)
    with pytest.raises(ModelError, match=r"dataset\.json: the network must take one channel"):
        open_result_folder(folder)


def test_the_old_name_of_the_channels_is_known(folder):
    content = json.loads((folder / "dataset.json").read_text(encoding="utf-8"))
    content["modality"] = content.pop("channel_names")
    (folder / "dataset.json").write_text(json.dumps(content))
    assert len(open_result_folder(folder).checkpoints) == 3


def test_labels_that_make_no_sense_are_an_error_of_the_model(folder):
    change(folder / "dataset.json", labels={"background": 0, "tumour": 3})
    with pytest.raises(ModelError, match="without gaps"):
        open_result_folder(folder)
