"""What the tests of training share: small cases whose structure can be seen, a preset of seconds, work in-process."""

from __future__ import annotations

import os

import numpy as np
import pytest

from twintrack.images import Grid, Volume
from twintrack.segmentation.training.cases import TrainingCase
from twintrack.segmentation.training.presets import NetworkPreset, Preset, Schedule, TinyPlan

SHAPE = (14, 20, 24)
GRID = Grid(shape=SHAPE, spacing=(3.0, 2.0, 2.0), origin=(-7, 5, 9), direction=(1, 0, 0, 0, 1, 0, 0, 0, 1))


def ball(center, radius, shape=SHAPE, spacing=GRID.spacing):
    axes = np.ogrid[tuple(slice(0, n) for n in shape)]
    return sum(((a - c) * s) ** 2 for a, c, s in zip(axes, center, spacing, strict=True)) <= radius**2


def make_case(seed, *, raters=("1", "2"), region=True, patient=None, shape=SHAPE):
    """A bright ball in a grey one in fat; rater k draws the ball a little larger than rater k − 1."""
    rng = np.random.default_rng(seed)
    center = [n / 2 + rng.uniform(-2, 2) for n in shape]
    organ = ball(center, 14, shape)
    array = rng.normal(-90, 8, shape)
    array[organ] = rng.normal(40, 8, int(organ.sum()))
    lesion = ball(center, 7, shape)
    array[lesion] = rng.normal(160, 8, int(lesion.sum()))
    array[:, :1] = -1000  # air, as in any CT
    grid = Grid(shape=shape, spacing=GRID.spacing, origin=GRID.origin, direction=GRID.direction)
    masks = {
        name: Volume(ball(center, 6 + int(name), shape).astype(np.uint8), grid, f"rater {name}") for name in raters
    }
    return TrainingCase(
        id=f"case_{seed}",
        image=Volume(array.astype(np.int16), grid, f"ct {seed}"),
        raters=masks,
        region=Volume(organ.astype(np.uint8), grid, "organ") if region else None,
        patient=patient,
    )


def make_preset(*, epochs=1, iterations=2):
    tiny = TinyPlan(patch_voxels=8 * 12 * 12, features=4, stages=2)
    schedule = Schedule(epochs=epochs, iterations=iterations)
    network = NetworkPreset(configurations=("3d_fullres",), tiny=tiny, schedule=schedule)
    return Preset(
        name="test",
        summary="seconds",
        planner="TinyPlanner",
        plans_name="TinyTestPlans",
        fine=network,
        coarse=network.model_copy(update={"tiny": tiny.model_copy(update={"least_spacing": 4.0})}),
        on_cpu=True,
        mirroring=False,
    )


@pytest.fixture(scope="session")
def cases():
    """A function that makes a case."""
    return make_case


@pytest.fixture(scope="session")
def preset():
    """A function that makes a preset which trains in seconds."""
    return make_preset


@pytest.fixture
def in_process(monkeypatch):
    """Does a job in this process, in nnU-Net's environment; a child takes seconds to start."""
    pytest.importorskip("torch")
    pytest.importorskip("nnunetv2")
    from twintrack.segmentation.nets.setup import quiet
    from twintrack.segmentation.training.worker import environment, work

    for name in ("nnUNet_raw", "nnUNet_preprocessed", "nnUNet_results", "nnUNet_n_proc_DA", "nnUNet_def_n_proc"):
        monkeypatch.delenv(name, raising=False)

    def do(job, tell=lambda _: None):
        before = dict(os.environ)
        for name, value in environment(job).items():
            monkeypatch.setenv(name, value)
        try:
            with quiet():  # what nnU-Net prints and warns of goes to a log of the child's
                work(job, tell)
        finally:
            for name in environment(job):
                if name not in before:
                    monkeypatch.delenv(name)

    return do
