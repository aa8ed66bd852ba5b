"""Networks given as TorchScript: their answers where these are known, and what is refused."""

from __future__ import annotations

import json
import warnings

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("nnunetv2")

from twintrack.errors import InputError, ModelError  # noqa: E402
from twintrack.images import Volume  # noqa: E402
from twintrack.segmentation.model import View  # noqa: E402
from twintrack.segmentation.nets.torchscript import TorchScriptModel  # noqa: E402

SPACING = (2.0, 1.5, 1.5)
SETTINGS = {
    "spacing": SPACING,
    "patch": [8, 12, 16],
    "labels": {"pancreas": 1, "tumour": 2},
    "activation": "softmax",
    "intensity": {"lower": -100, "upper": 200, "mean": 50, "std": 100},
}


class Linear(torch.nn.Module):
    """Logits (0, 2x, 1 − x) of a normalised value x: every probability can be worked out."""

    def forward(self, x):
        return torch.cat([torch.zeros_like(x), 2 * x, 1 - x], 1)


class Wrong(torch.nn.Module):
    def forward(self, x):
        return x[:, :, ::2]


def write(path, module=None, **changes):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.script(module or Linear()).save(str(path))
    path.with_suffix(".json").write_text(json.dumps({**SETTINGS, **changes}))
    return path


def model(path, **options):
    return TorchScriptModel(path, **{"name": "net", "foreground": ["tumour"], "device": "cpu", "threads": 1, **options})


def view(array, spacing=SPACING):
    return View("case", Volume.from_array(array, spacing=spacing), tuple(slice(0, size) for size in array.shape))


def softmax(array):
    x = (np.clip(array.astype(float), -100, 200) - 50) / 100
    logits = np.stack([np.zeros_like(x), 2 * x, 1 - x])
    return np.exp(logits) / np.exp(logits).sum(0)


def assert_close(got, expected, *, tolerance=2e-3):
    """nnU-Net's sliding window keeps logits and weights in float16; in the image's corners, which lie in the corner of
    one window only, the weight is a few of float16's smallest steps, and logits are as coarse."""
    difference = abs(got - expected)
    assert difference.max() < 0.1
    size = np.array(got.shape)
    depth = np.sort([np.minimum(axis, n - 1 - axis) for axis, n in zip(np.indices(size), size, strict=True)], axis=0)
    assert difference[depth[1] >= 3].max() < tolerance


@pytest.fixture
def values():
    return np.random.default_rng(0).integers(-300, 400, (11, 20, 24)).astype(np.int16)


def test_probabilities_are_those_worked_out_by_hand(tmp_path, values):
    path = write(tmp_path / "net.pt")
    got = model(path).probability(view(values))
    assert got.dtype == np.float32
    assert_close(got, softmax(values)[2])
    both = model(path, foreground=["pancreas", "tumour"])
    assert_close(both.probability(view(values)), softmax(values)[1:].sum(0))
    assert (both.name, both.foreground) == ("net", ("pancreas", "tumour"))


def test_regions_take_the_largest_sigmoid(tmp_path, values):
    path = write(tmp_path / "net.pt", activation="sigmoid", labels={"a": 0, "b": 1, "c": 2})
    x = (np.clip(values.astype(float), -100, 200) - 50) / 100
    got = model(path, foreground=["b", "c"]).probability(view(values))
    assert_close(got, 1 / (1 + np.exp(-np.maximum(2 * x, 1 - x))))


def test_only_the_box_is_predicted(tmp_path, values):
    ct = Volume.from_array(values, spacing=SPACING)
    box = (slice(2, 11), slice(1, 15), slice(4, 20))
    got = model(write(tmp_path / "net.pt")).probability(View("case", ct, box))
    assert_close(got, softmax(values[box])[2])


def test_images_of_other_voxel_sizes_are_resampled_there_and_back(tmp_path):
    ramp = np.broadcast_to(np.linspace(-90, 190, 48), (20, 30, 48)).astype(np.float32)
    got = model(write(tmp_path / "net.pt")).probability(view(ramp, (1.5, 1.0, 1.1)))
    assert got.shape == ramp.shape
    assert_close(got[:, :, 3:-3], softmax(ramp)[2][:, :, 3:-3], tolerance=0.01)


def test_slabs_give_what_the_whole_gives(tmp_path):
    values = np.random.default_rng(0).integers(-300, 400, (70, 12, 16)).astype(np.int16)
    path = write(tmp_path / "net.pt")
    cut = model(path, most_voxels=40 * 12 * 16).probability(view(values))
    assert_close(cut, model(path).probability(view(values)))


def test_slices_and_unknown_voxel_sizes_are_refused(tmp_path):
    net = model(write(tmp_path / "net.pt"))
    with pytest.raises(ModelError, match="2-D"):
        net.probability(view(np.zeros((20, 20)), (1, 1)))
    with pytest.raises(ModelError, match="is not known"):
        net.probability(view(np.zeros((20, 20, 20)), None))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"patch": [8, 8]}, "patch"),
        ({"patch": [0, 8, 8]}, "patch.0"),
        ({"spacing": [0, 1, 1]}, "spacing.0"),
        ({"activation": "relu"}, "activation"),
        ({"labels": {}}, "labels"),
        ({"labels": {"tumour": 3}}, "channels 0 to 2.*tumour"),
        ({"labels": {"tumour": 0}}, "0 is background"),
        ({"intensity": {**SETTINGS["intensity"], "std": 0}}, "intensity.std"),
        ({"surprise": 1}, "surprise"),
    ],
)
def test_settings_that_make_no_sense_are_refused(tmp_path, changes, said):
    with pytest.raises(ModelError, match=rf"net\.json: .*{said}"):
        model(write(tmp_path / "net.pt", **changes))


def test_files_that_are_missing_or_damaged_are_refused(tmp_path):
    path = write(tmp_path / "net.pt")
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ModelError, match=r"net\.pt: is not TorchScript, or is damaged"):
        model(path)
    torch.save({"a": 1}, path)
    with pytest.raises(ModelError, match="is not TorchScript"):
        model(path)
    path.unlink()
    with pytest.raises(ModelError, match="no such TorchScript"):
        model(path)
    path.with_suffix(".json").unlink()
    with pytest.raises(ModelError, match=r"net\.json: the settings cannot be read"):
        model(path)


def test_a_module_of_another_shape_is_refused(tmp_path):
    with pytest.raises(ModelError, match="gives shape"):
        model(write(tmp_path / "net.pt", Wrong()))
    with pytest.raises(ModelError, match="cannot be run"):
        model(write(tmp_path / "other.pt", torch.nn.Conv2d(3, 1, 3)))


def test_a_label_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(InputError, match="liver"):
        model(write(tmp_path / "net.pt"), foreground=["liver"])
