"""What a bundle names is opened when it is needed, and once."""

from __future__ import annotations

import json
import warnings

import numpy as np
import pytest

from twintrack.errors import ModelError
from twintrack.images import Volume
from twintrack.segmentation.bundle import MemberEntry
from twintrack.segmentation.bundle_files import load_bundle
from twintrack.segmentation.create import create_bundle
from twintrack.segmentation.networks import BundleNetworks, require_same_foreground
from twintrack.segmentation.segmenter import Segmenter

from . import fakes


def test_members_that_predict_different_things_are_refused(tmp_path):
    entries = []
    for name, label in (("a", "tumour"), ("b", "cyst"), ("c", None)):
        (tmp_path / name).mkdir()
        np.savez(tmp_path / name / "c1.npz", probabilities=np.zeros((2, 3, 4, 5), np.float32))
        if label:
            (tmp_path / name / "dataset.json").write_text(json.dumps({"labels": {"background": 0, label: 1}}))
        entries.append(MemberEntry(name=name, kind="precomputed", path=str(tmp_path / name)))
    bundle = fakes.loaded_bundle(tmp_path, members=tuple(entries), foreground=())
    with pytest.raises(ModelError, match="a: tumour; b: cyst; c: not said"):
        _ = BundleNetworks(bundle).members
    require_same_foreground([fakes.FakeMember(), fakes.FakeMember(foreground=None)], where="here")


def test_a_bundle_of_maps_needs_no_network(monkeypatch, tmp_path):
    monkeypatch.setattr("twintrack.segmentation.extra.find_spec", lambda _: None)
    entries = (MemberEntry(name="a", kind="precomputed", path=str(tmp_path)),)
    networks = BundleNetworks(fakes.loaded_bundle(members=entries, foreground=()))
    assert networks.coarse is None
    assert [member.name for member in networks.members] == ["a"]
    assert networks.members is networks.members


def test_a_torchscript_member_predicts(tmp_path):
    torch = pytest.importorskip("torch")
    pytest.importorskip("nnunetv2")
    module = torch.nn.Conv3d(1, 2, 1)
    with torch.no_grad():
        module.weight.copy_(torch.tensor([0.0, 1.0]).reshape(2, 1, 1, 1, 1))
        module.bias.zero_()
    path = tmp_path / "net.pt"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch speaks of TorchScript's future
        torch.jit.trace(module, torch.zeros(1, 1, 4, 8, 8)).save(str(path))
    settings = {
        "spacing": [2.0, 1.0, 1.0],
        "patch": [4, 8, 8],
        "labels": {"tumour": 1},
        "activation": "softmax",
        "intensity": {"lower": -1000, "upper": 1000, "mean": 0, "std": 500},
    }
    path.with_suffix(".json").write_text(json.dumps(settings))
    create_bundle(tmp_path / "bundle", members=[path], foreground=["tumour"])
    array = np.random.default_rng(0).integers(-900, 900, (8, 16, 16)).astype(np.int16)
    ct = Volume.from_array(array, spacing=(2, 1, 1))
    segmenter = Segmenter(load_bundle(tmp_path / "bundle"), device="cpu", threads=1)
    found = segmenter.segment(ct, case_id="c")
    expected = 1 / (1 + np.exp(-array / 500))
    # nnU-Net adds windows up in half precision, which shows where a window's weight is smallest: in the corners.
    np.testing.assert_allclose(found.members[0], expected, atol=0.06)
    assert np.median(np.abs(found.members[0] - expected)) < 1e-3
