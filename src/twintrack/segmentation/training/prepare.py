"""Fingerprint, plans and preprocessing of a dataset, each by nnU-Net's own class. Runs in a child process."""

from __future__ import annotations

import contextlib
import json
import types
from collections.abc import Callable, Iterator
from multiprocessing.pool import ThreadPool
from typing import Any

from nnunetv2.experiment_planning import plan_and_preprocess_api
from nnunetv2.experiment_planning.dataset_fingerprint import fingerprint_extractor
from nnunetv2.preprocessing.preprocessors import default_preprocessor

from twintrack.errors import ModelError
from twintrack.segmentation.training.job import PrepareJob
from twintrack.segmentation.training.planners import planner_for

_INTENSITIES = 1e6
"""How many intensities of the foreground the small presets normalise by."""


def prepare(job: PrepareJob, say: Callable[[str], None]) -> str:
    """Prepare a dataset for training.

    Args:
        job: What to prepare. ``nnUNet_raw`` and ``nnUNet_preprocessed`` are its folders.
        say: Told what begins.

    Returns:
        The configuration that was preprocessed, which also stands in ``preprocessed/<dataset>/configuration.json``.

    Raises:
        ModelError: If the plans have none of the preset's configurations.
    """
    in_process = _without_processes() if job.processes == 1 else contextlib.nullcontext()
    with in_process:
        say("fingerprint")
        extractor = fingerprint_extractor.DatasetFingerprintExtractor(job.dataset, job.processes, verbose=False)
        extractor.show_progress_bar = False
        if job.preset.on_cpu:
            # Pitfall: nnU-Net draws 10⁸ intensities, with replacement, however few voxels there are: half a minute.
            extractor.num_foreground_voxels_for_intensitystats = _INTENSITIES
        extractor.run(overwrite_existing=True)
        say("planning")
        planner = planner_for(job.preset, job.role, job.dataset)
        configuration = choose_configuration(planner.plan_experiment(), job.preset.of(job.role).configurations)
        say("preprocessing")
        manager = plan_and_preprocess_api.PlansManager(planner.plans).get_configuration(configuration)
        preprocessor = manager.preprocessor_class(verbose=False)
        preprocessor.show_progress_bar = False
        preprocessor.run(job.dataset, configuration, planner.plans_identifier, num_processes=job.processes)
    (job.data / "preprocessed" / job.dataset / "configuration.json").write_text(json.dumps(configuration))
    return configuration


def choose_configuration(plans: dict[str, Any], wanted: tuple[str, ...]) -> str:
    """Choose the first of a preset's configurations that the plans have.

    Raises:
        ModelError: If they have none.
    """
    there = plans["configurations"]
    for configuration in wanted:
        if configuration in there:
            return configuration
    raise ModelError(
        f"nnU-Net planned {', '.join(there)} for these images; the preset trains {' or '.join(wanted)}. Single slices "
        "need the preset tiny-cpu-2d, nnunet-default or resenc-…; volumes need a 3-D one."
    )


@contextlib.contextmanager
def _without_processes() -> Iterator[None]:
    """Let nnU-Net's pools of one process work in this one.

    Pitfall: each spawned process imports torch and nnU-Net again, which takes seconds, even where it is the only one.
    """
    here = types.SimpleNamespace(get_context=lambda _: types.SimpleNamespace(Pool=ThreadPool))
    modules: tuple[Any, ...] = (fingerprint_extractor, default_preprocessor)
    before = [module.multiprocessing for module in modules]
    for module in modules:
        module.multiprocessing = here
    try:
        yield
    finally:
        for module, original in zip(modules, before, strict=True):
            module.multiprocessing = original
