"""The folder nnU-Net leaves of a training: which files there must be, and what they say. Needs no torch."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from twintrack.errors import InputError, ModelError
from twintrack.images.nnunet_labels import Output, read_output

CHECKPOINT = "checkpoint_final.pth"
"""The checkpoint of a training that came to its end."""

_TURNING_READER = "NibabelIOWithReorient"


@dataclass(frozen=True, eq=False)
class ResultFolder:
    """A trained nnU-Net on disk: ``plans.json``, ``dataset.json`` and ``fold_*/checkpoint_*.pth``.

    Attributes:
        path: The folder.
        plans: What ``plans.json`` holds.
        dataset: What ``dataset.json`` holds.
        output: The labels the network knows.
        checkpoints: The checkpoint of each fold that is used.
    """

    path: Path
    plans: dict[str, Any]
    dataset: dict[str, Any]
    output: Output
    checkpoints: tuple[Path, ...]

    @property
    def orientation_hint(self) -> str | None:
        """The axis code images were turned to before training; None where nnU-Net took them as stored.

        Source: nnU-Net's NibabelIOWithReorient turns every image to RAS; its other readers turn none.
        """
        return "RAS" if self.plans.get("image_reader_writer") == _TURNING_READER else None


def open_result_folder(
    folder: Path, *, folds: Sequence[int | str] | None = None, checkpoint: str = CHECKPOINT
) -> ResultFolder:
    """Look at a result folder, and refuse what cannot be predicted with.

    Args:
        folder: The folder that nnU-Net's training made (``<trainer>__<plans>__<configuration>``).
        folds: Folds to use; None for all that hold the checkpoint.
        checkpoint: Name of the checkpoint in each fold.

    Returns:
        What lies in the folder.

    Raises:
        ModelError: If a file is missing, cannot be read, or does not say what it should, or if the network takes more
            than one channel.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise ModelError(f"{folder}: there is no such folder; a trained nnU-Net is a folder with plans.json in it")
    plans, dataset = _json(folder / "plans.json"), _json(folder / "dataset.json")
    if not isinstance(plans.get("configurations"), dict):
        raise ModelError(f"{folder / 'plans.json'}: 'configurations' is missing; are these the plans of nnU-Net v2?")
    channels = dataset.get("channel_names", dataset.get("modality"))
    if not isinstance(channels, dict) or len(channels) != 1:
        raise ModelError(
            f"{folder / 'dataset.json'}: the network must take one channel, the CT; 'channel_names' is {channels}"
        )
    try:
        output = read_output(folder / "dataset.json")
    except InputError as error:
        raise ModelError(str(error)) from error
    return ResultFolder(folder, plans, dataset, output, _checkpoints(folder, folds, checkpoint))


def _checkpoints(folder: Path, folds: Sequence[int | str] | None, name: str) -> tuple[Path, ...]:
    if folds is not None and not isinstance(folds, str):
        paths = [folder / f"fold_{fold}" / name for fold in folds]
        missing = [path for path in paths if not path.is_file()]
        if missing or not paths:
            which = missing[0] if missing else folder
            raise ModelError(f"{which}: there is no such checkpoint. {_others(folder, name)}")
        return tuple(paths)
    if isinstance(folds, str):
        return _checkpoints(folder, [folds], name)
    found = sorted(folder.glob(f"fold_*/{name}"), key=_fold_order)
    if not found:
        raise ModelError(f"{folder}: no fold_*/{name} is there. {_others(folder, name)}")
    return tuple(found)


def _fold_order(path: Path) -> tuple[bool, int, str]:
    fold = path.parent.name.removeprefix("fold_")
    return (not fold.isdecimal(), int(fold) if fold.isdecimal() else 0, fold)


def _others(folder: Path, name: str) -> str:
    """Say which checkpoints there are instead, and what to do."""
    there = sorted(str(path.relative_to(folder)) for path in folder.glob("fold_*/*.pth"))
    if not there:
        return "No fold holds a checkpoint: is this the folder with plans.json of a training that has begun?"
    hint = ""
    if name == CHECKPOINT and any(path.endswith("checkpoint_best.pth") for path in there):
        hint = " The training has not come to its end; to use its best state so far, name checkpoint_best.pth."
    return f"There is: {', '.join(there)}.{hint}"


def _json(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise ModelError(f"{path}: this file is missing; copy it from the folder nnU-Net's training made")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ModelError(f"{path}: cannot be read as JSON: {error}") from error
    if not isinstance(content, dict):
        raise ModelError(f"{path}: holds no JSON object")
    return content
