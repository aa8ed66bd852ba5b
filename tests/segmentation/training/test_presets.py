"""The presets say which of nnU-Net's classes are used, and can be shortened."""

import pytest
from pydantic import ValidationError

from twintrack.errors import InputError
from twintrack.segmentation.training.presets import Preset, preset_named, presets
from twintrack.segmentation.training.settings import Settings


@pytest.mark.parametrize("name", ["nnunet-default", "resenc-m", "resenc-l", "resenc-xl"])
def test_presets_for_a_gpu_leave_everything_to_nnunet(name):
    preset = preset_named(name)
    assert not preset.on_cpu
    assert preset.mirroring
    for network in (preset.fine, preset.coarse):
        assert network.tiny is None
        assert network.schedule is None
        assert network.epochs is None
    assert preset.coarse.configurations[0] == "3d_lowres"
    assert preset.fine.configurations[0] == "3d_fullres"


def test_a_preset_survives_the_way_to_a_child_process():
    for preset in presets().values():
        assert Preset.model_validate_json(preset.model_dump_json()) == preset


def test_the_number_of_epochs_can_be_chosen_for_all_networks():
    tiny = preset_named("tiny-cpu").with_epochs(7)
    assert (tiny.fine.schedule.epochs, tiny.coarse.schedule.epochs) == (7, 7)
    assert tiny.fine.schedule.iterations == preset_named("tiny-cpu").fine.schedule.iterations
    stock = preset_named("resenc-m").with_epochs(9)
    assert (stock.fine.epochs, stock.coarse.epochs) == (9, 9)
    flat = preset_named("tiny-cpu-2d").with_epochs(3)
    assert flat.coarse is None
    assert preset_named("tiny-cpu").with_epochs(None) == preset_named("tiny-cpu")
    with pytest.raises(ValidationError):
        tiny.with_epochs(0)


def test_an_unknown_preset_names_the_known_ones():
    with pytest.raises(InputError, match="choose one of nnunet-default, resenc-m"):
        preset_named("huge")


def test_a_coarse_network_needs_a_preset_that_has_one():
    with pytest.raises(InputError, match="tiny-cpu-2d has no coarse network"):
        Settings(preset_named("tiny-cpu-2d")).checked()
    assert Settings(preset_named("tiny-cpu-2d"), coarse=False).checked().threads == 1


def test_networks_on_a_processor_get_a_thread_each_and_those_on_a_gpu_one_after_the_other(monkeypatch):
    monkeypatch.setattr("os.cpu_count", lambda: 6)
    small, large = Settings(preset_named("tiny-cpu")).checked(), Settings(preset_named("resenc-l")).checked()
    assert (small.workers, small.threads) == (6, 1)
    assert (large.workers, large.threads) == (1, None)
    given = Settings(preset_named("tiny-cpu"), workers=2, threads=3).checked()
    assert (given.workers, given.threads) == (2, 3)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"n_members": 0}, "at least one member"),
        ({"retries": -1}, "0 or more"),
        ({"seed": -1}, "0 or more"),
        ({"structure": "two words"}, "use letters"),
        ({"structure": "../x"}, "use letters"),
    ],
)
def test_settings_that_make_no_sense_are_refused(wrong, message):
    with pytest.raises(InputError, match=message):
        Settings(preset_named("tiny-cpu"), **wrong).checked()
