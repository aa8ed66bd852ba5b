"""What a child process is told to do, as a JSON file; and what it says on the way, as lines of JSON."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from twintrack.images.atomic import write_text
from twintrack.segmentation.training.presets import Preset, Role


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class PrepareJob(_Frozen):
    """Fingerprint, plans and preprocessing of a dataset, by nnU-Net.

    Attributes:
        name: What to call it in messages.
        data: Folder with ``raw/<dataset>``; ``preprocessed/<dataset>`` is made beside it.
        dataset: nnU-Net's name of the dataset.
        role: What its network is for.
        preset: How networks are made.
        processes: Processes that preprocess; 1 works in the child itself.
    """

    kind: Literal["prepare"] = "prepare"
    name: str
    data: Path
    dataset: str
    role: Role
    preset: Preset
    processes: int = Field(default=1, ge=1)


class TrainJob(_Frozen):
    """The training of one network on a prepared dataset.

    Attributes:
        name: What to call the network.
        data: As for `PrepareJob`.
        dataset: nnU-Net's name of the dataset.
        role: What the network is for.
        preset: How networks are made.
        results: Where nnU-Net writes what it writes while training.
        out: The result folder that is left: plans.json, dataset.json, fold_0/checkpoint_final.pth.
        seed: Seeds weights, patches and augmentation.
        device: "auto" or a device's name.
        threads: Threads of torch on the CPU; None leaves the choice to torch.
        half: Whether weights are stored in half precision.
        key: Written into ``done.json`` of the result folder, last: by it a later run knows what was trained.
    """

    kind: Literal["train"] = "train"
    name: str
    data: Path
    dataset: str
    role: Role
    preset: Preset
    results: Path
    out: Path
    seed: int
    device: str = "auto"
    threads: int | None = Field(default=None, ge=1)
    half: bool = True
    key: str = ""


class Job(BaseModel):
    """A file with a job."""

    job: PrepareJob | TrainJob = Field(discriminator="kind")


def write_job(path: Path, job: PrepareJob | TrainJob) -> None:
    """Write a job.

    Raises:
        OutputError: If it cannot be written.
    """
    write_text(path, Job(job=job).model_dump_json(indent=1) + "\n")


def read_job(path: Path) -> PrepareJob | TrainJob:
    """Read a job that `write_job` wrote."""
    return Job.model_validate_json(path.read_bytes()).job


class Event(_Frozen):
    """Something a child says while it works.

    Attributes:
        network: The job's name.
        stage: What begins, in words; None where an epoch ended.
        epoch: The epoch that ended, from 1.
        epochs: How many there are.
        loss: Its training loss.
    """

    network: str
    stage: str | None = None
    epoch: int | None = None
    epochs: int | None = None
    loss: float | None = None

    def line(self) -> str:
        """Write it in one line."""
        return json.dumps(self.model_dump(exclude_none=True))

    @classmethod
    def of(cls, line: str) -> Event | None:
        """Read a line; None if it is something else."""
        try:
            content: Any = json.loads(line)
            return cls.model_validate(content)
        except ValueError:
            return None
