"""The training of one network by nnU-Net's trainer, and the result folder it leaves. Runs in a child process."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from twintrack.images.atomic import make_folder, write_text
from twintrack.segmentation.nets.checkpoint import Checkpoint, save_checkpoint
from twintrack.segmentation.nets.device import choose_device, set_threads
from twintrack.segmentation.nets.result_folder import CHECKPOINT
from twintrack.segmentation.training.job import TrainJob
from twintrack.segmentation.training.trainers import OnEpoch, ReportingTrainer, seed_everything, trainer_for

_STOCK = "nnUNetTrainer"


def run_training(job: TrainJob, say: Callable[[str], None], on_epoch: OnEpoch | None = None) -> None:
    """Train a network and write its result folder.

    Args:
        job: What to train. ``nnUNet_preprocessed`` and ``nnUNet_results`` are its folders.
        say: Told what begins.
        on_epoch: Told at the end of each epoch.

    Raises:
        ModelError: If the device is not there.
        OutputError: If the result cannot be written.
    """
    folder = job.data / "preprocessed" / job.dataset
    plans, dataset = _json(folder / f"{job.preset.plans_name}.json"), _json(folder / "dataset.json")
    set_threads(job.threads)
    seed_everything(job.seed)
    trainer = trainer_for(
        job.preset.of(job.role), plans, _json(folder / "configuration.json"), dataset, choose_device(job.device)
    )
    trainer.threads, trainer.on_epoch = job.threads, on_epoch
    say("training")
    trainer.run_training()
    say("writing the network")
    write_result_folder(job.out, trainer, plans=plans, dataset=dataset, half=job.half)
    write_text(job.out / "done.json", json.dumps(job.key) + "\n")
    shutil.rmtree(job.results, ignore_errors=True)


def write_result_folder(
    out: Path, trainer: ReportingTrainer, *, plans: dict[str, Any], dataset: dict[str, Any], half: bool
) -> None:
    """Write what prediction needs, as an ordinary result folder of nnU-Net; the checkpoint comes last.

    The checkpoint names nnU-Net's stock trainer: the network is the plans', which is what that trainer builds, and
    whoever loads it need not have ours.

    Args:
        out: The folder.
        trainer: The trained network.
        plans: nnU-Net's plans.
        dataset: Its ``dataset.json``.
        half: Whether weights are stored in half precision.

    Raises:
        OutputError: If a file cannot be written.
    """
    make_folder(out / "fold_0")
    # Interrupted below, an older network must not look finished.
    (out / "done.json").unlink(missing_ok=True)
    write_text(out / "plans.json", json.dumps(plans, indent=1) + "\n")
    write_text(out / "dataset.json", json.dumps(dataset, indent=1) + "\n")
    network: Any = getattr(trainer.network, "_orig_mod", trainer.network)  # what torch.compile wraps
    axes = trainer.inference_allowed_mirroring_axes
    checkpoint = Checkpoint(
        weights={name: _on_cpu(tensor) for name, tensor in network.state_dict().items()},
        trainer_name=_STOCK,
        configuration=trainer.configuration_name,
        mirroring=tuple(int(axis) for axis in axes) if axes else None,
    )
    save_checkpoint(out / "fold_0" / CHECKPOINT, checkpoint, half=half)


def _on_cpu(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.detach().cpu()


def _json(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))
