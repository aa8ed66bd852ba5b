"""A member given as files gives, case by case, what they hold on the CT's grid."""

from __future__ import annotations

import json

import numpy as np
import pytest

from twintrack.errors import GeometryError, InputError, ModelError
from twintrack.images import Volume, read_volume, write_volume
from twintrack.segmentation.bundle import MemberEntry
from twintrack.segmentation.model import View
from twintrack.segmentation.orientation import oriented
from twintrack.segmentation.precomputed import PrecomputedModel
from twintrack.segmentation.segmenter import Segmenter

from . import fakes


@pytest.fixture
def ct():
    return fakes.ct_volume(direction=np.diag([-1.0, -1.0, 1.0]))


@pytest.fixture
def folder(tmp_path, ct):
    probability = np.random.default_rng(1).random(ct.array.shape, np.float32)
    (tmp_path / "maps").mkdir()
    write_volume(tmp_path / "maps" / "c1.mha", Volume(probability, ct.grid))
    return tmp_path / "maps"


def stored(folder):
    return read_volume(folder / "c1.mha").array


BOX = (slice(2, 5), slice(1, 9), slice(3, 4))


def test_the_box_is_cut_out(folder, ct):
    model = PrecomputedModel(folder, name="m")
    found = model.probability(View("c1", ct, BOX))
    np.testing.assert_array_equal(found, stored(folder)[BOX])
    assert found.dtype == np.float32
    assert model.foreground is None
    assert model.file("c1") == folder / "c1.mha"


@pytest.mark.parametrize("code", ["RAS", "PSL"])
def test_a_map_is_turned_as_the_ct_was(folder, ct, code):
    turned, turn = oriented(ct, code)
    found = PrecomputedModel(folder, name="m").probability(View("c1", turned, turn.box(BOX)))
    np.testing.assert_array_equal(turn(found), stored(folder)[BOX])


def test_in_a_bundle_it_comes_out_as_it_was_put_in_whatever_the_orientation(folder, ct):
    entries = (MemberEntry(name="m", kind="precomputed", path=str(folder)),)
    bundle = fakes.loaded_bundle(members=entries, foreground=(), orientation="SAR")
    segmenter = Segmenter(bundle)
    found = segmenter.segment(ct, case_id="c1")
    np.testing.assert_array_equal(found.members[0], stored(folder))
    assert found.names == ("m",)
    assert segmenter.files("c1") == (folder / "c1.mha",)


def test_nnunets_softmax_is_merged(tmp_path, ct):
    softmax = np.random.default_rng(0).dirichlet([1, 1, 1], ct.array.shape).astype(np.float32)
    np.savez(tmp_path / "c1.npz", probabilities=np.moveaxis(softmax, -1, 0))
    write_volume(tmp_path / "c1.nii.gz", Volume(np.zeros(ct.array.shape, np.uint8), ct.grid))
    write_volume(tmp_path / "c2.nii.gz", Volume(np.zeros(ct.array.shape, np.uint8), ct.grid))
    (tmp_path / "dataset.json").write_text(json.dumps({"labels": {"background": 0, "a": 1, "b": 2}}))
    model = PrecomputedModel(tmp_path, name="m", foreground=["b", "a"])
    assert model.foreground == ("b", "a")
    found = model.probability(View("c1", ct, (slice(None),) * 3))
    np.testing.assert_allclose(found, softmax[..., 1] + softmax[..., 2], atol=1e-6)
    with pytest.raises(ModelError, match="member m: .* holds no probability of case c2"):
        model.file("c2")
    with pytest.raises(InputError, match="no foreground label 'c'"):
        PrecomputedModel(tmp_path, name="m", foreground=["c"])


def test_another_grid_another_type_and_nothing_are_refused(folder, ct):
    model = PrecomputedModel(folder, name="m")
    write_volume(folder / "c2.mha", Volume(np.zeros(ct.array.shape, np.uint8), ct.grid))
    with pytest.raises(ModelError, match=r"c2\.mha: a probability map holds floating-point numbers"):
        model.probability(View("c2", ct, BOX))
    with pytest.raises(ModelError, match="holds no probability of case c3"):
        model.probability(View("c3", ct, BOX))
    part = Volume(ct.array[1:], ct.grid.crop((slice(1, None), slice(None), slice(None))), "ct")
    with pytest.raises(GeometryError, match=r"ct and .*c1\.mha do not lie on the same grid"):
        model.probability(View("c1", part, BOX))
    with pytest.raises(ModelError, match="member m: there is no folder"):
        PrecomputedModel(folder / "none", name="m")
