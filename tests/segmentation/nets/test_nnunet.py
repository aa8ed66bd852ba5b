"""A trained nnU-Net as a member and as the coarse network, compared with nnU-Net's own predictor."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("nnunetv2")

from scipy.ndimage import gaussian_filter  # noqa: E402

from twintrack.errors import InputError, ModelError  # noqa: E402
from twintrack.images import Volume  # noqa: E402
from twintrack.segmentation.model import View  # noqa: E402
from twintrack.segmentation.nets.nnunet import NnunetModel  # noqa: E402

SPACING = (2.5, 1.2, 1.1)
BOX = (slice(0, 18), slice(3, 37), slice(2, 40))
VARIANTS = {
    "3-D": ({}, False, {}),
    "axes exchanged, two folds, mirrored": ({"transpose": (1, 2, 0)}, False, {"folds": (0, 1), "mirroring": (0, 1, 2)}),
    "regions, residual": ({"residual": True}, True, {"folds": ("all",)}),
    "2-D": ({"patch": (16, 16), "spacing": (1.5, 1.5)}, False, {"mirroring": (0, 1)}),
    "2-D, axes exchanged": ({"patch": (16, 16), "spacing": (1.5, 1.5), "transpose": (2, 0, 1)}, False, {}),
    "resampled by torch": ({"torch_resampling": True}, False, {}),
    "each image normalised by itself": ({"normalization": "ZScoreNormalization"}, False, {}),
    "patch larger than the image": ({"patch": (32, 48, 64)}, False, {}),
}


@pytest.fixture
def ct(tiny):
    array = tiny.make_ct()
    array[:3], array[:, :5] = 0, 0  # nnU-Net leaves out what is zero
    return Volume.from_array(array, spacing=SPACING)


@pytest.fixture
def folder(tmp_path, tiny):
    return tiny.write_result_folder(tmp_path / "net")


def model(folder, **options):
    options = {"foreground": ["tumour"], "device": "cpu", "threads": 1, **options}
    return NnunetModel(folder, name="net", **options)


class Threshold(torch.nn.Module):
    """A network of known answer: class 1 wherever the normalised HU are above a level."""

    def __init__(self, level):
        super().__init__()
        self.level = level

    def forward(self, x):
        return torch.cat([self.level - x, x - self.level, torch.full_like(x, -50)], 1) * 4


def with_network(built, network):
    built._engine._predictor.network = network
    built._engine._predictor.list_of_parameters = [{}]
    return built


@pytest.mark.parametrize("variant", VARIANTS)
def test_probabilities_are_those_of_nnunet_on_the_crop(tmp_path, tiny, ct, official, variant):
    plans, regions, options = VARIANTS[variant]
    labels = tiny.REGIONS if regions else tiny.LABELS
    folder = tiny.write_result_folder(
        tmp_path / "net", plans=tiny.make_plans(**plans), dataset=tiny.make_dataset(labels), **options
    )
    got = model(folder).probability(View("case", ct, BOX))
    _, expected = official(folder, ct.array[BOX], SPACING)
    assert got.dtype == np.float32
    assert got.max() - got.min() > 0.2  # otherwise the comparison says nothing
    np.testing.assert_allclose(got, expected[1 if regions else 2], atol=1e-6)


def test_labels_are_summed_and_regions_take_the_largest(tmp_path, tiny, ct, official):
    classes = tiny.write_result_folder(tmp_path / "classes")
    got = model(classes, foreground=["pancreas", "tumour"]).probability(View("case", ct, BOX))
    np.testing.assert_allclose(got, official(classes, ct.array[BOX], SPACING)[1][1:].sum(0), atol=1e-6)
    regions = tiny.write_result_folder(tmp_path / "regions", dataset=tiny.make_dataset(tiny.REGIONS))
    got = model(regions, foreground=["whole", "tumour"]).probability(View("case", ct, BOX))
    np.testing.assert_allclose(got, official(regions, ct.array[BOX], SPACING)[1].max(0), atol=1e-6)


def test_mirroring_can_be_left_out(tmp_path, tiny, ct, official):
    folder = tiny.write_result_folder(tmp_path / "net", mirroring=(0, 1, 2))
    view = View("case", ct, BOX)
    got = model(folder, mirroring=False).probability(view)
    np.testing.assert_allclose(got, official(folder, ct.array[BOX], SPACING, mirroring=False)[1][2], atol=1e-6)
    assert abs(got - model(folder).probability(view)).max() > 1e-3


def test_a_slice_is_predicted_as_nnunet_reads_it(tmp_path, tiny, official):
    folder = tiny.write_result_folder(tmp_path / "net", plans=tiny.make_plans(patch=(16, 16), spacing=(1.5, 1.5)))
    ct = Volume.from_array(tiny.make_ct((40, 44)), spacing=(1.2, 1.1))
    box = (slice(2, 40), slice(0, 41))
    got = model(folder).probability(View("case", ct, box))
    _, expected = official(folder, ct.array[box][None], (999, 1.2, 1.1))
    assert got.shape == (38, 41)
    np.testing.assert_allclose(got, expected[2][0], atol=1e-6)
    assert model(folder).locate(ct).shape == (32, 32)  # 40 × 1.2 / 1.5, 44 × 1.1 / 1.5


def test_folds_can_be_chosen(tmp_path, tiny, ct):
    folder = tiny.write_result_folder(tmp_path / "net", folds=(0, 1))
    view = View("case", ct, BOX)
    first, second, both = (model(folder, folds=folds).probability(view) for folds in ([0], ["1"], None))
    assert abs(first - second).max() > 0.01
    assert abs(first - both).max() > 0.001


def test_what_is_predicted_does_not_depend_on_what_was_predicted_before(tmp_path, tiny, ct):
    folder = tiny.write_result_folder(tmp_path / "net", folds=(0, 1))
    net = model(folder)
    first = net.probability(View("case", ct, BOX))
    net.locate(ct)
    assert np.array_equal(first, net.probability(View("case", ct, BOX)))


def test_an_image_of_nothing_but_zeros_is_predicted(folder):
    ct = Volume.from_array(np.zeros((12, 20, 20), np.int16), spacing=SPACING)
    got = model(folder).probability(View("case", ct, (slice(0, 12),) * 3))
    assert np.isfinite(got).all()
    assert model(folder).locate(ct).ndim == 3


def test_the_ct_is_left_as_it_is(folder, ct):
    before = ct.array.copy()
    model(folder).probability(View("case", ct, BOX))
    model(folder).locate(ct)
    assert np.array_equal(before, ct.array)


def test_slabs_give_what_the_whole_gives(tmp_path, tiny, official):
    folder = tiny.write_result_folder(tmp_path / "net", plans=tiny.make_plans(patch=(8, 8, 8)))
    array = gaussian_filter(np.random.default_rng(0).normal(size=(60, 24, 24)), 3)
    ct = Volume.from_array((array / array.std() * 60 + 40).astype(np.float32), spacing=(2.0, 1.5, 1.5))
    view = View("case", ct, (slice(0, 60), slice(0, 24), slice(0, 24)))
    network = Threshold(0.2)
    whole = with_network(model(folder, foreground=["pancreas"]), network)
    cut = with_network(model(folder, foreground=["pancreas"], most_voxels=27 * 24 * 24), network)
    assert len(cut._slabs(cut._image(ct.array, ct), 2 * cut._most_voxels)) > 1
    np.testing.assert_allclose(cut.probability(view), whole.probability(view), atol=2e-3)
    assert np.array_equal(cut.locate(ct), whole.locate(ct))


def test_slabs_of_a_resampled_image_differ_by_less_than_a_voxel(tmp_path, tiny):
    folder = tiny.write_result_folder(tmp_path / "net", plans=tiny.make_plans(patch=(8, 8, 8), spacing=(2.3, 1.7, 1.9)))
    array = gaussian_filter(np.random.default_rng(0).normal(size=(90, 30, 30)), 5)
    ct = Volume.from_array((array / array.std() * 60 + 40).astype(np.float32), spacing=(1.5, 1.5, 1.5))
    view = View("case", ct, (slice(0, 90), slice(0, 30), slice(0, 30)))
    network = Threshold(0.2)
    whole = with_network(model(folder, foreground=["pancreas"]), network)
    cut = with_network(model(folder, foreground=["pancreas"], most_voxels=40 * 30 * 30), network)
    assert len(cut._slabs(cut._image(ct.array, ct), 2 * cut._most_voxels)) > 1
    difference = abs(cut.probability(view) - whole.probability(view))
    assert difference.max() < 0.15
    assert difference.mean() < 0.01
    assert (cut.locate(ct) != whole.locate(ct)).mean() < 0.02


def test_images_normalised_by_themselves_are_not_cut(tmp_path, tiny, ct):
    plans = tiny.make_plans(normalization="ZScoreNormalization")
    net = model(tiny.write_result_folder(tmp_path / "net", plans=plans), most_voxels=100)
    assert len(net._slabs(net._image(ct.array, ct), 100)) == 1


@pytest.mark.parametrize("transpose", [(0, 1, 2), (2, 0, 1)])
@pytest.mark.parametrize("regions", [False, True])
def test_the_region_found_is_that_of_nnunet(tmp_path, tiny, official, transpose, regions):
    """The lattice covers the whole field of view, the part left out because it is zero too."""
    labels = tiny.REGIONS if regions else tiny.LABELS
    folder = tiny.write_result_folder(
        tmp_path / "net", plans=tiny.make_plans(transpose=transpose), dataset=tiny.make_dataset(labels)
    )
    array = gaussian_filter(np.random.default_rng(1).normal(size=(40, 60, 64)), 6)
    array = (array / array.std() * 60 + 40).astype(np.float32)
    array[:7], array[:, 50:], array[:, :, :4] = 0, 0, 0
    ct, spacing = Volume.from_array(array, spacing=(1.5, 1.2, 1.1)), (1.5, 1.2, 1.1)

    class Regions(Threshold):
        def forward(self, x):
            return torch.cat([x - self.level, torch.full_like(x, -50)], 1) * 4

    network = Regions(0.2) if regions else Threshold(0.2)
    net = with_network(model(folder, foreground=["whole" if regions else "pancreas"]), network)
    lattice = net.locate(ct)
    # For regions nnU-Net's last region wins; none but the first is ever likely here.
    expected = official(folder, array, spacing, network=network)[0] == 1
    nearest = [((np.arange(n) + 0.5) / n * m).astype(int) for n, m in zip(expected.shape, lattice.shape, strict=True)]
    found = lattice[np.ix_(*nearest)]
    assert 2 * (found & expected).sum() / (found.sum() + expected.sum()) > 0.95
    assert not found[:6].any()


def test_an_empty_region_is_an_empty_lattice(folder, ct):
    assert not with_network(model(folder), Threshold(1e3)).locate(ct).any()


def test_plans_of_a_turning_reader_name_the_orientation(tmp_path, tiny, folder):
    turned = tiny.write_result_folder(tmp_path / "turned", plans=tiny.make_plans(reader="NibabelIOWithReorient"))
    assert model(turned).orientation_hint == "RAS"
    assert model(folder).orientation_hint is None


def test_names_and_labels_are_kept(folder):
    net = model(folder, foreground=[2, "pancreas"])
    assert (net.name, net.foreground) == ("net", ("tumour", "pancreas"))


def test_an_image_of_unknown_voxel_size_is_refused(folder):
    ct = Volume.from_array(np.zeros((8, 8, 8), np.int16), name="ct.npy")
    with pytest.raises(ModelError, match=r"ct\.npy.*net.*is not known"):
        model(folder).probability(View("case", ct, (slice(0, 8),) * 3))
    with pytest.raises(ModelError, match="is not known"):
        model(folder).locate(ct)


def test_a_network_of_volumes_refuses_a_slice(folder):
    ct = Volume.from_array(np.zeros((8, 8), np.int16), spacing=(1, 1))
    with pytest.raises(ModelError, match="2-D"):
        model(folder).locate(ct)


@pytest.mark.parametrize("step", [0, -1, 1.5, float("nan")])
def test_a_step_that_is_no_fraction_is_refused(folder, step):
    with pytest.raises(InputError, match="step"):
        model(folder, step=step)


def test_a_label_that_is_not_there_is_refused(folder):
    with pytest.raises(InputError, match="liver"):
        model(folder, foreground=["liver"])


def test_nothing_is_printed_and_threads_stay(tmp_path, tiny, ct, capfd):
    folder = tiny.write_result_folder(tmp_path / "net", plans=tiny.make_plans(torch_resampling=True))
    net = model(folder, threads=None)
    net.probability(View("case", ct, BOX))
    net.locate(ct)
    assert capfd.readouterr() == ("", "")
    assert torch.get_num_threads() == 1


def test_an_interrupt_leaves_the_model_usable(folder, ct):
    net = model(folder)
    before = net.probability(View("case", ct, BOX))
    predictor = net._engine._predictor
    network = predictor.network

    class Interrupted(torch.nn.Module):
        def forward(self, x):
            raise KeyboardInterrupt

    predictor.network, predictor.list_of_parameters = Interrupted(), [{}]
    with pytest.raises(KeyboardInterrupt):
        net.probability(View("case", ct, BOX))
    predictor.network = network
    assert np.array_equal(before, net.probability(View("case", ct, BOX)))
    assert torch.get_num_threads() == 1


def test_patch_and_voxel_size_are_known_in_the_images_order_of_axes(tmp_path, tiny):
    plans = tiny.make_plans(transpose=(1, 2, 0), patch=(8, 16, 24), spacing=(3.0, 2.0, 1.0))
    engine = model(tiny.write_result_folder(tmp_path / "volumes", plans=plans))._engine
    assert engine.patch == (24, 8, 16)
    assert engine.spacing_on((5.0, 6.0, 7.0)) == (1.0, 3.0, 2.0)
    plans = tiny.make_plans(transpose=(2, 0, 1), patch=(8, 16), spacing=(3.0, 2.0))
    engine = model(tiny.write_result_folder(tmp_path / "slices", plans=plans))._engine
    assert engine.patch == (8, 16, 1)
    assert engine.spacing_on((5.0, 6.0, 7.0)) == (3.0, 2.0, 7.0)
