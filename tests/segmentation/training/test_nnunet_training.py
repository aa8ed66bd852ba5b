"""Preparing and training with nnU-Net's own classes, in this process."""

import json

import numpy as np
import pytest

from twintrack.segmentation.training.datasets import Lesson, write_datasets
from twintrack.segmentation.training.job import PrepareJob, TrainJob
from twintrack.segmentation.training.presets import preset_named
from twintrack.segmentation.training.teach import Teach

torch = pytest.importorskip("torch")
pytest.importorskip("nnunetv2")


@pytest.fixture(scope="module")
def datasets(cases, tmp_path_factory):
    """The coarse and the fine dataset of three cases."""
    folder = tmp_path_factory.mktemp("data")
    lesson = Lesson(Teach("majority"), ("1", "2"), 8.0, "tumour", 0)
    found = [cases(k) for k in range(3)]
    return write_datasets(found, lesson, folder, n_members=1, coarse=True, held_out={"case_2"})


def prepare_job(data, preset, role):
    return PrepareJob(name=role, data=data.folder, dataset=data.name, role=role, preset=preset)


def train_job(data, preset, tmp_path, *, seed=1, role="fine", name="net", **more):
    return TrainJob(
        name=name,
        data=data.folder,
        dataset=data.name,
        role=role,
        preset=preset,
        results=tmp_path / "results" / name,
        out=tmp_path / name,
        seed=seed,
        device="cpu",
        threads=1,
        **more,
    )


def plans_of(data, preset):
    return json.loads(
        (data.folder / "preprocessed" / data.name / f"{preset.plans_name}.json").read_text(encoding="utf-8")
    )


def weights(folder):
    from twintrack.segmentation.nets.checkpoint import load_checkpoint

    return load_checkpoint(folder / "fold_0" / "checkpoint_final.pth").weights


def test_a_small_network_is_planned_prepared_trained_and_runs(datasets, preset, in_process, tmp_path, cases):
    from twintrack.segmentation.model import View
    from twintrack.segmentation.nets.nnunet import NnunetModel
    from twintrack.segmentation.training.cases import load_case
    from twintrack.segmentation.training.gate import dice

    _, (fine,) = datasets
    events = []
    small = preset(epochs=6, iterations=20)
    in_process(prepare_job(fine, small, "fine"), events.append)
    assert [event.stage for event in events] == ["fingerprint", "planning", "preprocessing"]
    configuration = plans_of(fine, small)["configurations"]["3d_fullres"]
    assert np.prod(configuration["patch_size"]) <= 1.5 * 8 * 12 * 12
    assert configuration["architecture"]["arch_kwargs"]["features_per_stage"] == [4, 8]
    assert configuration["spacing"] == [3.0, 2.0, 2.0]

    events.clear()
    in_process(train_job(fine, small, tmp_path, key="abc"), events.append)
    assert [(event.epoch, event.epochs) for event in events if event.epoch] == [(k, 6) for k in range(1, 7)]
    losses = [event.loss for event in events if event.epoch]
    assert losses[-1] < losses[0] - 0.3
    assert json.loads((tmp_path / "net" / "done.json").read_text(encoding="utf-8")) == "abc"
    assert not (tmp_path / "results").exists() or not list((tmp_path / "results").iterdir())
    model = NnunetModel(tmp_path / "net", name="net", foreground=("tumour",), device="cpu", threads=1)
    case = load_case(cases(2))
    box = case.box(8.0)
    predicted = model.probability(View("case_2", case.ct, box))
    assert dice(predicted > 0.5, case.raters["1"][box]) > 0.5


def test_the_same_seed_gives_the_same_weights_and_another_seed_others(datasets, preset, in_process, tmp_path):
    coarse, _ = datasets
    small = preset()
    in_process(prepare_job(coarse, small, "coarse"))
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        in_process(train_job(coarse, small, tmp_path, seed=seed, role="coarse", name=name))
    a, b, c = (weights(tmp_path / name) for name in "abc")
    assert all(torch.equal(a[key], b[key]) for key in a)
    assert not all(torch.equal(a[key], c[key]) for key in a)
    assert (tmp_path / "a" / "fold_0" / "checkpoint_final.pth").read_bytes() == (
        tmp_path / "b" / "fold_0" / "checkpoint_final.pth"
    ).read_bytes()


def test_the_coarse_network_sees_coarser_voxels_and_its_checkpoint_is_that_of_a_stock_network(
    datasets, preset, in_process, tmp_path
):
    coarse, _ = datasets
    small = preset()
    in_process(prepare_job(coarse, small, "coarse"))
    assert plans_of(coarse, small)["configurations"]["3d_fullres"]["spacing"] == [4.0, 4.0, 4.0]
    in_process(train_job(coarse, small, tmp_path, role="coarse", half=False))
    content = torch.load(tmp_path / "net" / "fold_0" / "checkpoint_final.pth", weights_only=True)
    assert content["trainer_name"] == "nnUNetTrainer"
    assert content["inference_allowed_mirroring_axes"] is None
    assert {tensor.dtype for tensor in content["network_weights"].values()} == {torch.float32}


@pytest.mark.parametrize(
    ("name", "planner", "network"),
    [
        ("nnunet-default", "ExperimentPlanner", "PlainConvUNet"),
        ("resenc-m", "nnUNetPlannerResEncM", "ResidualEncoderUNet"),
        ("resenc-l", "nnUNetPlannerResEncL", "ResidualEncoderUNet"),
        ("resenc-xl", "nnUNetPlannerResEncXL", "ResidualEncoderUNet"),
    ],
)
def test_presets_for_a_gpu_are_planned_by_nnunets_own_planners(
    datasets, in_process, name, planner, network, monkeypatch
):
    from twintrack.segmentation.training import prepare

    _, (fine,) = datasets
    if not (fine.folder / "preprocessed" / fine.name / "dataset_fingerprint.json").exists():
        in_process(prepare_job(fine, preset_named("tiny-cpu"), "fine"))
    # Of this size the stock fingerprint takes half a minute: it draws 10⁸ intensities.
    extractor = prepare.fingerprint_extractor.DatasetFingerprintExtractor
    monkeypatch.setattr(extractor, "run", lambda self, overwrite_existing: None)
    preset = preset_named(name)
    in_process(prepare_job(fine, preset, "fine"))
    plans = plans_of(fine, preset)
    assert plans["experiment_planner_used"] == planner
    assert plans["plans_name"] == preset.plans_name
    configuration = plans["configurations"]["3d_fullres"]
    assert configuration["architecture"]["network_class_name"].endswith(network)
    assert configuration["architecture"]["arch_kwargs"]["features_per_stage"][0] == 32
    folder = fine.folder / "preprocessed" / fine.name
    assert json.loads((folder / "configuration.json").read_text(encoding="utf-8")) == "3d_fullres"
    assert list((folder / configuration["data_identifier"]).glob("case_0*.b2nd"))
