"""Checkpoints: what is read, what is refused, and what is written."""

from __future__ import annotations

import fractions
import os
import pickle

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("nnunetv2")

from twintrack.errors import ModelError, OutputError, TwinTrackWarning  # noqa: E402
from twintrack.segmentation.nets.checkpoint import Checkpoint, load_checkpoint, save_checkpoint  # noqa: E402


def content(**changes):
    return {
        "network_weights": {"a": torch.arange(6.0).reshape(2, 3)},
        "trainer_name": "nnUNetTrainer",
        "init_args": {"configuration": "3d_fullres"},
        "inference_allowed_mirroring_axes": (0, 2),
        **changes,
    }


def saved(path, **changes):
    torch.save(content(**changes), path)
    return path


class Program:
    """A pickle of this runs a program when it is loaded."""

    def __init__(self, marker):
        self.marker = marker

    def __reduce__(self):
        return os.mkdir, (str(self.marker),)


def test_a_checkpoint_gives_what_prediction_needs(tmp_path):
    checkpoint = load_checkpoint(saved(tmp_path / "c.pth"))
    assert (checkpoint.trainer_name, checkpoint.configuration) == ("nnUNetTrainer", "3d_fullres")
    assert checkpoint.mirroring == (0, 2)
    assert torch.equal(checkpoint.weights["a"], torch.arange(6.0).reshape(2, 3))


@pytest.mark.parametrize("axes", [None, ()])
def test_no_axes_mean_no_mirroring(tmp_path, axes):
    assert load_checkpoint(saved(tmp_path / "c.pth", inference_allowed_mirroring_axes=axes)).mirroring is None


def test_what_a_training_logs_is_data_and_loads_without_trust(tmp_path):
    logged = {"mean_fg_dice": [np.float32(0.5), np.float64(0.25)], "epochs": [np.int64(3)]}
    path = saved(tmp_path / "c.pth", logging=logged, _best_ema=np.float64(0.3), device=torch.device("cpu"))
    # Otherwise this says nothing: torch by itself refuses the file.
    with pytest.raises(pickle.UnpicklingError):
        torch.load(path, weights_only=True)
    assert load_checkpoint(path).trainer_name == "nnUNetTrainer"


def test_the_checkpoint_of_a_real_trainer_loads(tmp_path, tiny, monkeypatch):
    from twintrack.segmentation.nets.setup import quiet

    for name in ("raw", "preprocessed", "results"):
        monkeypatch.setenv(f"nnUNet_{name}", str(tmp_path / name))
    data = tmp_path / "preprocessed" / "Dataset001_Tiny" / "nnUNetPlans_tiny"
    data.mkdir(parents=True)
    (data / "case.b2nd").touch()
    with quiet(), np.errstate(all="ignore"):
        from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer

        plans = {**tiny.make_plans(), "continue_training": False}
        trainer = nnUNetTrainer(plans, "3d_fullres", 0, tiny.make_dataset(), device=torch.device("cpu"))
        monkeypatch.setattr(trainer, "print_to_log_file", lambda *_, **__: None)
        trainer.initialize()
        trainer.network(torch.zeros(2, 1, 8, 16, 16))[0].sum().backward()
        trainer.optimizer.step()
        trainer.logger.log("mean_fg_dice", np.float32(0.5), 0)
        trainer._best_ema = np.float64(0.3)
        trainer.save_checkpoint(str(tmp_path / "c.pth"))
    checkpoint = load_checkpoint(tmp_path / "c.pth")
    assert checkpoint.configuration == "3d_fullres"
    assert all(torch.equal(checkpoint.weights[name], tensor) for name, tensor in trainer.network.state_dict().items())
    save_checkpoint(tmp_path / "s.pth", checkpoint)
    assert (tmp_path / "s.pth").stat().st_size < 0.5 * (tmp_path / "c.pth").stat().st_size


def test_a_checkpoint_that_runs_a_program_is_refused_and_does_not_run_it(tmp_path):
    marker = tmp_path / "was run"
    path = saved(tmp_path / "c.pth", extra=Program(marker))
    with pytest.raises(ModelError, match=r"could run code.*posix\.mkdir.*--trust-checkpoint"):
        load_checkpoint(path)
    assert not marker.exists()


def test_a_bare_pickle_is_refused_and_does_not_run(tmp_path):
    marker = tmp_path / "was run"
    path = tmp_path / "c.pth"
    path.write_bytes(pickle.dumps(Program(marker)))
    with pytest.raises(ModelError, match="--trust-checkpoint"):
        load_checkpoint(path)
    assert not marker.exists()


def test_trust_loads_what_is_refused_otherwise_and_says_so(tmp_path):
    path = saved(tmp_path / "c.pth", extra=fractions.Fraction(1, 2))
    with pytest.raises(ModelError, match=r"fractions\.Fraction"):
        load_checkpoint(path)
    with pytest.warns(TwinTrackWarning, match=r"loaded on trust.*fractions\.Fraction"):
        assert load_checkpoint(path, trust=True).configuration == "3d_fullres"


def test_trust_does_not_hide_damage(tmp_path):
    path = tmp_path / "c.pth"
    path.write_bytes(pickle.dumps({"a": [1, 2, 3]})[:10])
    with pytest.warns(TwinTrackWarning), pytest.raises(ModelError, match="damaged"):
        load_checkpoint(path, trust=True)


@pytest.mark.parametrize("kept", [0, 1, 100, 0.5, 0.99])
def test_a_file_cut_short_is_refused(tmp_path, kept):
    path = saved(tmp_path / "c.pth")
    whole = path.read_bytes()
    path.write_bytes(whole[: kept if isinstance(kept, int) else int(kept * len(whole))])
    with pytest.raises(ModelError, match=r"c\.pth: (cannot be read as a checkpoint|loading this)"):
        load_checkpoint(path)


def test_one_wrong_bit_in_the_weights_is_noticed(tmp_path):
    path = saved(tmp_path / "c.pth")
    whole = bytearray(path.read_bytes())
    where = whole.index(np.arange(6, dtype="<f4").tobytes())
    whole[where + 6] ^= 1
    path.write_bytes(whole)
    assert not torch.equal(torch.load(path, weights_only=True)["network_weights"]["a"], torch.arange(6.0).reshape(2, 3))
    with pytest.raises(ModelError, match="checksum"):
        load_checkpoint(path)


@pytest.mark.parametrize(
    ("made", "said"),
    [
        ([1, 2], "holds list"),
        ({"network_weights": {}}, "lacks trainer_name, init_args"),
        (content(init_args={}), "lacks init_args.configuration"),
        (content(init_args=None), "lacks init_args.configuration"),
        (content(network_weights=[1]), "must give each name a tensor"),
        (content(network_weights={"a": 1}), "must give each name a tensor"),
    ],
)
def test_what_is_no_checkpoint_of_nnunet_is_refused(tmp_path, made, said):
    torch.save(made, tmp_path / "c.pth")
    with pytest.raises(ModelError, match=said):
        load_checkpoint(tmp_path / "c.pth")


def test_a_text_file_and_a_missing_file_are_refused(tmp_path):
    (tmp_path / "c.pth").write_text("no checkpoint")
    with pytest.raises(ModelError, match="damaged"):
        load_checkpoint(tmp_path / "c.pth")
    with pytest.raises(ModelError, match="no such checkpoint"):
        load_checkpoint(tmp_path / "d.pth")
    with pytest.raises(ModelError, match="no such checkpoint"):
        load_checkpoint(tmp_path)


@pytest.mark.parametrize("prefix", ["module.", "_orig_mod.", "module._orig_mod.", "_orig_mod.module."])
def test_what_parallel_and_compiled_networks_put_before_names_is_taken_off(tmp_path, prefix):
    path = saved(tmp_path / "c.pth", network_weights={f"{prefix}stem.module.w": torch.ones(1)})
    assert list(load_checkpoint(path).weights) == ["stem.module.w"]


def checkpoint_of(**weights):
    return Checkpoint(weights, "nnUNetTrainer", "2d", (0, 1))


def test_weights_come_back_within_the_rounding_of_float16(tmp_path):
    weights = torch.randn(50, generator=torch.Generator().manual_seed(0))
    save_checkpoint(tmp_path / "c.pth", checkpoint_of(a=weights, n=torch.tensor(3)))
    back = load_checkpoint(tmp_path / "c.pth")
    assert back.weights["a"].dtype == torch.float16
    assert torch.allclose(back.weights["a"].float(), weights, rtol=2**-11, atol=1e-7)
    assert back.weights["n"].dtype == torch.int64
    assert (back.trainer_name, back.configuration, back.mirroring) == ("nnUNetTrainer", "2d", (0, 1))


def test_weights_stay_as_they_are_without_half(tmp_path):
    save_checkpoint(tmp_path / "c.pth", checkpoint_of(a=torch.tensor([0.1])), half=False)
    assert torch.equal(load_checkpoint(tmp_path / "c.pth").weights["a"], torch.tensor([0.1]))


def test_weights_too_large_for_float16_stay_float32(tmp_path):
    save_checkpoint(tmp_path / "c.pth", checkpoint_of(a=torch.tensor([1e6]), b=torch.tensor([65504.0])))
    back = load_checkpoint(tmp_path / "c.pth").weights
    assert back["a"].item() == 1e6
    assert back["b"].dtype == torch.float16


def test_weights_under_two_names_are_stored_once_and_views_do_not_bring_their_whole(tmp_path):
    big = torch.randn(100_000)
    save_checkpoint(tmp_path / "one.pth", checkpoint_of(a=big))
    save_checkpoint(tmp_path / "two.pth", checkpoint_of(a=big, b=big))
    save_checkpoint(tmp_path / "view.pth", checkpoint_of(a=big[:10]), half=False)
    one, two = ((tmp_path / name).stat().st_size for name in ("one.pth", "two.pth"))
    assert two < one + 1000
    assert (tmp_path / "view.pth").stat().st_size < 5000
    back = load_checkpoint(tmp_path / "two.pth").weights
    assert back["a"].data_ptr() == back["b"].data_ptr()


def test_parts_of_one_tensor_are_not_taken_for_each_other(tmp_path):
    whole = torch.arange(6.0)
    save_checkpoint(tmp_path / "c.pth", checkpoint_of(a=whole, b=whole[:3], c=whole.reshape(2, 3).T))
    back = load_checkpoint(tmp_path / "c.pth").weights
    assert [tuple(back[name].shape) for name in "abc"] == [(6,), (3,), (3, 2)]
    assert torch.equal(back["c"].float(), whole.reshape(2, 3).T)


def test_the_same_weights_give_the_same_bytes(tmp_path):
    for name in ("a.pth", "b.pth"):
        save_checkpoint(tmp_path / name, checkpoint_of(a=torch.arange(5.0)))
    assert (tmp_path / "a.pth").read_bytes() == (tmp_path / "b.pth").read_bytes()


def test_nothing_stays_behind_where_a_checkpoint_cannot_be_written(tmp_path):
    with pytest.raises(OutputError):
        save_checkpoint(tmp_path / "none" / "c.pth", checkpoint_of(a=torch.ones(1)))
    assert list(tmp_path.iterdir()) == []
