"""Building a network: the plans', the trainer's own, and what is said where neither fits."""

from __future__ import annotations

import json
import sys
import warnings

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("nnunetv2")

from twintrack.errors import ModelError, TwinTrackWarning  # noqa: E402
from twintrack.images import Volume  # noqa: E402
from twintrack.segmentation.model import View  # noqa: E402
from twintrack.segmentation.nets.checkpoint import load_checkpoint, save_checkpoint  # noqa: E402
from twintrack.segmentation.nets.nnunet import NnunetModel  # noqa: E402


def built(folder, **options):
    return NnunetModel(folder, name="net", foreground=["tumour"], device="cpu", **options)


def predicted(folder, tiny):
    ct = Volume.from_array(tiny.make_ct(), spacing=(2.5, 1.2, 1.1))
    return built(folder).probability(View("case", ct, (slice(0, 20), slice(0, 40), slice(0, 44))))


def rewrite(path, **changes):
    torch.save({**torch.load(path, weights_only=True), **changes}, path)


@pytest.fixture
def folder(tmp_path, tiny):
    return tiny.write_result_folder(tmp_path / "net")


@pytest.fixture
def checkpoint(folder):
    return folder / "fold_0" / "checkpoint_final.pth"


def test_a_stripped_checkpoint_predicts_the_same_here_and_in_nnunet(folder, checkpoint, tiny, official):
    before = predicted(folder, tiny)
    save_checkpoint(checkpoint, load_checkpoint(checkpoint))
    after = predicted(folder, tiny)
    assert abs(after - before).max() < 0.01
    np.testing.assert_allclose(after, official(folder, tiny.make_ct(), (2.5, 1.2, 1.1))[1][2], atol=1e-6)


@pytest.mark.parametrize("prefix", ["module.", "_orig_mod."])
def test_checkpoints_of_wrapped_networks_fit(folder, checkpoint, tiny, prefix):
    before = predicted(folder, tiny)
    weights = torch.load(checkpoint, weights_only=True)["network_weights"]
    rewrite(checkpoint, network_weights={prefix + name: tensor for name, tensor in weights.items()})
    assert np.array_equal(before, predicted(folder, tiny))


def test_an_unknown_trainer_falls_back_to_the_plans_with_a_warning(folder, checkpoint, tiny):
    before = predicted(folder, tiny)
    rewrite(checkpoint, trainer_name="nnUNetTrainerOfSomebody")
    with pytest.warns(TwinTrackWarning, match="nnUNetTrainerOfSomebody.*network of the plans"):
        assert np.array_equal(before, predicted(folder, tiny))


def test_a_trainer_nnunet_knows_that_does_not_build_a_network_needs_no_warning(folder, checkpoint):
    rewrite(checkpoint, trainer_name="nnUNetTrainerNoDeepSupervision")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        built(folder)


def test_a_trainer_with_a_network_of_its_own_is_asked_for_it(tmp_path, tiny, official):
    """nnUNetTrainerBN puts batch normalisation in the place of the plans' instance normalisation."""
    plans = tiny.make_plans()
    folder = tiny.write_result_folder(tmp_path / "net", plans=plans)
    swapped = json.loads(json.dumps(plans).replace("instancenorm.InstanceNorm", "batchnorm.BatchNorm"))
    path = folder / "fold_0" / "checkpoint_final.pth"
    weights = tiny.random_weights(swapped, tiny.make_dataset(), seed=3)
    rewrite(path, trainer_name="nnUNetTrainerBN", network_weights=weights)
    got = predicted(folder, tiny)
    np.testing.assert_allclose(got, official(folder, tiny.make_ct(), (2.5, 1.2, 1.1))[1][2], atol=1e-6)
    rewrite(path, trainer_name="nnUNetTrainer")
    with pytest.raises(ModelError, match="not of these plans.*weights too many.*same folder"):
        built(folder)


def test_a_trainer_of_ones_own_is_found_in_its_folder(tmp_path, folder, checkpoint, monkeypatch):
    own = tmp_path / "trainers"
    own.mkdir()
    (own / "mine.py").write_text(
        "from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer\n"
        "class MyTrainer(nnUNetTrainer):\n"
        "    @staticmethod\n"
        "    def build_network_architecture(plans, configuration, inputs, outputs, enable_deep_supervision=True):\n"
        "        raise ValueError('asked')\n"
    )
    rewrite(checkpoint, trainer_name="MyTrainer")
    monkeypatch.setenv("nnUNet_extTrainer", str(own))
    with pytest.raises(ModelError, match="'MyTrainer' cannot be built: asked"):
        built(folder)


def test_missing_weights_are_counted_and_named(folder, checkpoint):
    weights = torch.load(checkpoint, weights_only=True)["network_weights"]
    first = next(iter(weights))
    rewrite(checkpoint, network_weights={name: tensor for name, tensor in weights.items() if name != first})
    with pytest.raises(ModelError, match=f"not of these plans.*1 weights missing.*{first}"):
        built(folder)
    rewrite(checkpoint, trainer_name="nnUNetTrainerOfSomebody")
    with pytest.raises(ModelError, match="not of these plans.*nnUNet_extTrainer"):
        built(folder)


def test_weights_of_another_shape_are_named(folder, tiny):
    plans = tiny.make_plans()
    plans["configurations"]["3d_fullres"]["architecture"] = tiny.architecture(features=(4, 16))
    (folder / "plans.json").write_text(json.dumps(plans))
    with pytest.raises(ModelError, match=r"not of these plans.*other shapes.*instead of"):
        built(folder)


def test_weights_that_are_not_numbers_are_refused(folder, checkpoint):
    weights = torch.load(checkpoint, weights_only=True)["network_weights"]
    next(iter(weights.values())).view(-1)[0] = float("nan")
    rewrite(checkpoint, network_weights=weights)
    with pytest.raises(ModelError, match="not finite"):
        built(folder)


def test_folds_of_another_network_or_configuration_are_refused(tmp_path, tiny):
    folder = tiny.write_result_folder(tmp_path / "net", folds=(0, 1))
    other = folder / "fold_1" / "checkpoint_final.pth"
    rewrite(other, network_weights={})
    with pytest.raises(ModelError, match="fold_1.*does not fit the network of the other folds"):
        built(folder)
    rewrite(other, init_args={"configuration": "2d"})
    with pytest.raises(ModelError, match="fold_1.*configuration '2d'"):
        built(folder)


def test_a_configuration_the_plans_do_not_have_is_refused(folder, checkpoint):
    rewrite(checkpoint, init_args={"configuration": "3d_lowres"})
    with pytest.raises(ModelError, match="'3d_lowres'; the plans have 3d_fullres"):
        built(folder)


def change_plans(folder, change):
    path = folder / "plans.json"
    plans = json.loads(path.read_text(encoding="utf-8"))
    change(plans, plans["configurations"]["3d_fullres"])
    path.write_text(json.dumps(plans))


def test_the_second_stage_of_a_cascade_is_refused(folder):
    change_plans(folder, lambda _, configuration: configuration.update(previous_stage="3d_lowres"))
    with pytest.raises(ModelError, match="cascade"):
        built(folder)


def test_plans_nnunet_cannot_read_are_refused(folder):
    change_plans(folder, lambda _, configuration: configuration.pop("architecture"))
    with pytest.raises(ModelError, match=r"plans\.json: nnU-Net cannot read these plans"):
        built(folder)


def test_plans_whose_network_cannot_be_built_are_refused(folder):
    def change(_, configuration):
        configuration["architecture"]["arch_kwargs"]["features_per_stage"] = [4]

    change_plans(folder, change)
    with pytest.raises(ModelError, match="cannot be built"):
        built(folder)


@pytest.mark.parametrize("key", ["network_class_name", "conv_op"])
def test_plans_cannot_choose_which_code_is_imported(tmp_path, folder, monkeypatch, key):
    (tmp_path / "intruder.py").write_text("raise SystemExit('was imported')")
    monkeypatch.syspath_prepend(tmp_path)

    def change(_, configuration):
        architecture = configuration["architecture"]
        (architecture if key in architecture else architecture["arch_kwargs"])[key] = "intruder.Net"

    change_plans(folder, change)
    with pytest.raises(ModelError, match=r"not a part of nnU-Net or torch\.nn: intruder\.Net"):
        built(folder)
    assert "intruder" not in sys.modules


def test_plans_of_the_old_format_are_rebuilt_as_nnunet_does(folder, tiny, official):
    before = predicted(folder, tiny)

    def change(plans, configuration):
        del configuration["architecture"]
        configuration |= {
            "UNet_class_name": "PlainConvUNet",
            "UNet_base_num_features": 4,
            "unet_max_num_features": 320,
            "n_conv_per_stage_encoder": [1, 1],
            "n_conv_per_stage_decoder": [1],
            "num_pool_per_axis": [1, 1, 1],
            "pool_op_kernel_sizes": [[1, 1, 1], [2, 2, 2]],
            "conv_kernel_sizes": [[3, 3, 3], [3, 3, 3]],
        }
        del plans["label_manager"]

    change_plans(folder, change)
    assert np.array_equal(before, predicted(folder, tiny))
