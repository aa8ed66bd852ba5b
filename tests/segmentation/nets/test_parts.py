"""The parts around a network: devices, threads, quiet, slabs and the lattice."""

from __future__ import annotations

import importlib
import itertools
import math
import sys
import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

torch = pytest.importorskip("torch")
pytest.importorskip("nnunetv2")

from twintrack.errors import InputError, ModelError  # noqa: E402
from twintrack.segmentation.nets import setup  # noqa: E402
from twintrack.segmentation.nets.device import choose_device, set_threads  # noqa: E402
from twintrack.segmentation.nets.images import NetworkImage  # noqa: E402
from twintrack.segmentation.nets.lattice import place  # noqa: E402
from twintrack.segmentation.nets.slabs import slabs  # noqa: E402


@pytest.mark.parametrize(("cuda", "mps", "chosen"), [(1, 1, "cuda"), (0, 1, "mps"), (0, 0, "cpu")])
def test_the_fastest_device_present_is_chosen(monkeypatch, cuda, mps, chosen):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: bool(cuda))
    monkeypatch.setattr(torch.cuda, "device_count", lambda: cuda)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: bool(mps))
    assert choose_device().type == chosen
    assert choose_device("cpu").type == "cpu"
    if cuda:
        assert choose_device("cuda:0").index == 0
        with pytest.raises(ModelError, match="cuda:1"):
            choose_device("cuda:1")
    else:
        with pytest.raises(ModelError, match="'cuda' is not present.*cpu"):
            choose_device("cuda")


def test_a_device_nobody_knows_is_refused():
    with pytest.raises(ModelError, match="no device 'warp'.*cpu"):
        choose_device("warp")


def test_threads_are_set_or_left():
    before = torch.get_num_threads()
    try:
        assert set_threads(2) == 2
        assert set_threads(None) == 2
    finally:
        torch.set_num_threads(before)
    with pytest.raises(InputError, match="0"):
        set_threads(0)


def test_quiet_swallows_prints_and_warnings_and_gives_threads_back(capsys):
    before = torch.get_num_threads()

    def noisy():
        print("noise")  # noqa: T201
        warnings.warn("noise", stacklevel=1)
        torch.set_num_threads(before + 1)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), setup.quiet():
        noisy()
    assert torch.get_num_threads() == before
    assert capsys.readouterr().out == ""
    print("ours")  # noqa: T201
    assert capsys.readouterr().out == "ours\n"


def test_a_torchvision_that_cannot_be_imported_does_not_spoil_the_search_for_trainers(monkeypatch):
    real = importlib.import_module

    def broken(name, *rest):
        if name == setup._PRIMUS:
            sys.modules["timm.half_imported"] = object()
            raise RuntimeError("operator torchvision::nms does not exist")
        return real(name, *rest)

    monkeypatch.delitem(sys.modules, setup._PRIMUS, raising=False)
    monkeypatch.setattr(importlib, "import_module", broken)
    setup.prepare_trainer_lookup()
    assert "timm.half_imported" not in sys.modules
    monkeypatch.setattr(importlib, "import_module", real)
    from nnunetv2.utilities.find_objects import recursive_find_trainer_class_by_name

    assert recursive_find_trainer_class_by_name("nnUNetTrainerBN").__name__ == "nnUNetTrainerBN"
    stub = sys.modules[setup._PRIMUS]
    setup.prepare_trainer_lookup()
    assert sys.modules[setup._PRIMUS] is stub


@given(
    shape=st.tuples(*[st.integers(1, 40)] * 3),
    halo=st.tuples(*[st.integers(0, 6)] * 3),
    most=st.integers(1, 20_000),
)
def test_slabs_keep_each_voxel_once_and_see_their_halo(shape, halo, most):
    counted = np.zeros(shape, int)
    cut = slabs(shape, halo=halo, most_voxels=most)
    for slab in cut:
        counted[slab.keep] += 1
        read = np.arange(math.prod(shape)).reshape(shape)[slab.read]
        assert np.array_equal(read[slab.kept], np.arange(math.prod(shape)).reshape(shape)[slab.keep])
        if len(cut) == 1:
            continue
        for axis, (seen, kept) in enumerate(zip(slab.read, slab.keep, strict=True)):
            assert seen.start == max(0, kept.start - halo[axis]) or (seen.start, seen.stop) == (0, shape[axis])
            assert seen.stop == min(shape[axis], kept.stop + halo[axis]) or (seen.start, seen.stop) == (0, shape[axis])
    assert (counted == 1).all()


def test_an_image_small_enough_is_not_cut():
    assert len(slabs((10, 10, 10), halo=(1, 1, 1), most_voxels=1000)) == 1
    assert len(slabs((10, 10, 10), halo=(1, 1, 1), most_voxels=999)) == 2


def test_slabs_hold_no_more_than_they_may():
    cut = slabs((400, 512, 512), halo=(36, 60, 60), most_voxels=2**26)
    assert len(cut) == 3
    for slab in cut:
        assert math.prod(part.stop - part.start for part in slab.read) <= 2**26


def test_halos_that_reach_through_the_whole_image_make_one_slab():
    assert len(slabs((20, 20, 20), halo=(30, 30, 30), most_voxels=100)) == 1


def test_the_halo_is_half_a_patch_in_the_images_voxels_and_none_across_slices():
    image = NetworkImage(np.zeros((300, 20, 20)), (1.0, 1.0, 1.0))
    first, *_ = image.slabs(spacing=(2.0, 1.0, 1.0), patch=(16, 8, 8), channels=2, most_voxels=150 * 400)
    assert first.read[0].stop - first.keep[0].stop == 32  # (16 / 2 + 8) × 2 mm
    first, *_ = image.slabs(spacing=(1.0, 1.0, 1.0), patch=(1, 8, 8), channels=2, most_voxels=150 * 400)
    assert first.read == first.keep
    more = image.slabs(spacing=(1.0, 0.5, 1.0), patch=(1, 8, 8), channels=8, most_voxels=150 * 400)
    assert len(more) == 17  # a finer network and more channels: slabs of 150 / 8 slices


def test_a_part_is_placed_where_it_lies():
    lattice = np.zeros((4, 5), bool)
    part = np.array([[True, False], [False, True]])
    place(lattice, part, shape=(8, 10), covers=(slice(2, 6), slice(4, 8)), keep=(slice(0, 8), slice(0, 10)))
    assert np.argwhere(lattice).tolist() == [[1, 2], [2, 3]]


def test_only_what_is_kept_is_set():
    lattice = np.zeros((4, 4), bool)
    everything = (slice(0, 8), slice(0, 8))
    place(lattice, np.ones((4, 4), bool), shape=(8, 8), covers=everything, keep=(slice(2, 4), slice(0, 8)))
    assert lattice.tolist() == [[False] * 4, [True] * 4, [False] * 4, [False] * 4]


@given(n=st.integers(1, 30), size=st.integers(1, 50), cuts=st.integers(1, 4))
def test_parts_cover_the_lattice_without_gaps(n, size, cuts):
    lattice = np.zeros((n,), bool)
    borders = sorted({0, size, *(size * i // cuts for i in range(cuts))})
    for start, stop in itertools.pairwise(borders):
        part = np.ones((max(1, (stop - start) // 2),), bool)
        place(lattice, part, shape=(size,), covers=(slice(start, stop),), keep=(slice(start, stop),))
    assert lattice.all()
