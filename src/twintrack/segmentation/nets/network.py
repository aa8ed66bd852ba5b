"""Builds a trained network: from the plans, or from the trainer's own class where the plans' network is another one."""

from __future__ import annotations

import os
import re
import warnings
from pathlib import Path
from typing import Any

import torch
from torch import nn

from twintrack.errors import ModelError, TwinTrackWarning
from twintrack.segmentation.nets.checkpoint import Checkpoint
from twintrack.segmentation.nets.setup import prepare_nnunet, prepare_trainer_lookup, quiet

prepare_nnunet()

import nnunetv2  # noqa: E402
from nnunetv2.paths import nnUNet_extTrainer  # noqa: E402
from nnunetv2.utilities.find_objects import recursive_find_trainer_class_by_name  # noqa: E402
from nnunetv2.utilities.get_network_from_plans import get_network_from_plans  # noqa: E402
from nnunetv2.utilities.plans_handling.plans_handler import ConfigurationManager, PlansManager  # noqa: E402

_STOCK = "nnUNetTrainer"
_NETWORKS = ("dynamic_network_architectures.",)
_PARTS = ("torch.nn.", "dynamic_network_architectures.")


def build_network(
    plans: PlansManager, configuration: ConfigurationManager, checkpoint: Checkpoint, *, channels: int, where: Path
) -> nn.Module:
    """Build the network of a checkpoint and put its weights in.

    The stock trainer's network is that of the plans. A trainer that builds its own is asked; one that cannot be found
    is done without if its weights fit the plans' network.

    Args:
        plans: The plans.
        configuration: The configuration of the checkpoint.
        checkpoint: The checkpoint.
        channels: Number of output channels.
        where: The checkpoint's file, for messages.

    Returns:
        The network, in evaluation mode on the CPU.

    Raises:
        ModelError: If the weights fit neither.

    Warns:
        TwinTrackWarning: If the trainer is not known here and the plans' network was taken.
    """
    name = checkpoint.trainer_name
    source = None if name == _STOCK else _source_of(name)
    builds_its_own = source is not None and "build_network_architecture" in source
    tried = []
    if not builds_its_own:
        network = _from_plans(configuration, channels, where)
        problem = _load(network, checkpoint)
        if problem is None:
            if source is None and name != _STOCK:
                warnings.warn(
                    f"{where}: the trainer '{name}' is not known here; its weights fit the network of the plans, "
                    "which is used. If the trainer changed more than the training, results may differ from its own.",
                    TwinTrackWarning,
                    stacklevel=2,
                )
            return network.eval()
        tried.append(f"the plans' network: {problem}")
    if source is not None:
        network = _from_trainer(name, plans, configuration, channels, where)
        problem = _load(network, checkpoint)
        if problem is None:
            return network.eval()
        tried.append(f"the network of '{name}': {problem}")
    raise ModelError(f"{where}: the checkpoint is not of these plans ({'; '.join(tried)}). {_advice(name, source)}")


def _advice(name: str, source: str | None) -> str:
    if name == _STOCK or source is not None:
        return "Were plans.json and the checkpoint taken from the same folder?"
    return (
        f"Its trainer '{name}' is not known here; if it builds a network of its own, put the folder of its Python file "
        "into the environment variable nnUNet_extTrainer."
    )


def _from_plans(configuration: ConfigurationManager, channels: int, where: Path) -> nn.Module:
    network = str(configuration.network_arch_class_name)
    arguments = configuration.network_arch_init_kwargs
    imported = configuration.network_arch_init_kwargs_req_import
    # Pitfall: nnU-Net imports and calls whatever class the plans name. A file must not choose what is run here.
    parts = [str(arguments[key]) for key in imported if arguments.get(key) is not None]
    foreign = [part for part in parts if not part.startswith(_PARTS)]
    foreign += [] if network.startswith(_NETWORKS) else [network]
    if foreign:
        raise ModelError(
            f"{where}: the plans name classes that are not a part of nnU-Net or torch.nn: {', '.join(foreign)}. "
            "Only networks of dynamic_network_architectures are built from plans."
        )
    try:
        with quiet():
            return get_network_from_plans(
                network, arguments, imported, 1, channels, allow_init=False, deep_supervision=False
            )
    except Exception as error:
        raise ModelError(f"{where}: the network of the plans cannot be built: {error}") from error


def _from_trainer(
    name: str, plans: PlansManager, configuration: ConfigurationManager, channels: int, where: Path
) -> nn.Module:
    prepare_trainer_lookup()
    try:
        with quiet():
            trainer = recursive_find_trainer_class_by_name(name)
            return trainer.build_network_architecture(plans, configuration, 1, channels, enable_deep_supervision=False)
    except Exception as error:
        raise ModelError(f"{where}: the network of its trainer '{name}' cannot be built: {error}") from error


def _load(network: nn.Module, checkpoint: Checkpoint) -> str | None:
    """Put the weights in, all of them; give what does not fit, or None."""
    expected = network.state_dict()
    missing = [key for key in expected if key not in checkpoint.weights]
    unexpected = [key for key in checkpoint.weights if key not in expected]
    other = [
        f"{key} is {tuple(tensor.shape)} instead of {tuple(expected[key].shape)}"
        for key, tensor in checkpoint.weights.items()
        if key in expected and tensor.shape != expected[key].shape
    ]
    problems = [
        _first(missing, "weights missing"),
        _first(unexpected, "weights too many"),
        _first(other, "other shapes"),
    ]
    if any(problems):
        return ", ".join(problem for problem in problems if problem)
    if not all(bool(torch.isfinite(tensor).all()) for tensor in checkpoint.weights.values()):
        return "weights that are not finite numbers"
    network.load_state_dict(checkpoint.weights)
    return None


def _first(found: list[str], what: str) -> str:
    return f"{len(found)} {what} (first: {found[0]})" if found else ""


def _source_of(trainer: str) -> str | None:
    """Give the text of the file that defines a trainer, without importing it (that is slow); None if none does."""
    folders = [Path(path) / "training" / "nnUNetTrainer" for path in nnunetv2.__path__]
    if nnUNet_extTrainer.is_set():
        folders += [Path(part) for part in nnUNet_extTrainer.require().split(os.pathsep) if part]
    definition = re.compile(rf"^class {re.escape(trainer)}\b", re.MULTILINE)
    for path in sorted(file for folder in folders for file in folder.rglob("*.py")):
        text = path.read_text(encoding="utf-8", errors="replace")
        if definition.search(text):
            return text
    return None


def parameters_of(network: nn.Module, checkpoint: Checkpoint, where: Path) -> dict[str, Any]:
    """Check that another fold's weights fit the network too.

    Args:
        network: The network, built from the first fold.
        checkpoint: The other fold's.
        where: Its file, for messages.

    Returns:
        The weights.

    Raises:
        ModelError: If they do not fit.
    """
    problem = _load(network, checkpoint)
    if problem is not None:
        raise ModelError(f"{where}: the checkpoint does not fit the network of the other folds ({problem})")
    return checkpoint.weights
