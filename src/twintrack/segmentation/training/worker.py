"""The child that prepares a dataset or trains a network: `python -m twintrack.segmentation.training.worker JOB`.

A process of its own, because nnU-Net reads its settings from the environment when it is imported, and so that networks
train side by side. Standard output carries one line of JSON per event; all that nnU-Net prints goes to standard error.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

from twintrack.errors import TwinTrackError
from twintrack.segmentation.training.job import Event, PrepareJob, TrainJob, read_job


def main(arguments: list[str]) -> int:
    """Do the job of a file.

    Args:
        arguments: The path of the job.

    Returns:
        The process's exit code: 2 where a `TwinTrackError` says what is wrong.
    """
    job = read_job(Path(arguments[0]))
    events = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8", buffering=1)
    # Also what libraries print that know nothing of sys.stdout.
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    os.environ.update(environment(job))

    def tell(event: Event) -> None:
        events.write(event.line() + "\n")

    try:
        work(job, tell)
    except TwinTrackError as error:
        print(error, file=sys.stderr)  # noqa: T201  (the parent shows it)
        return 2
    return 0


def environment(job: PrepareJob | TrainJob) -> dict[str, str]:
    """Give the settings nnU-Net reads when it is imported.

    Pitfalls: with no process for augmentation, planning would set torch's threads to 0, which torch refuses; with one,
    training on a processor would spend its time on handing batches over, and be no longer reproducible.
    """
    settings = {
        "nnUNet_raw": str(job.data / "raw"),
        "nnUNet_preprocessed": str(job.data / "preprocessed"),
        "nnUNet_def_n_proc": "1",
    }
    if isinstance(job, PrepareJob):
        return {**settings, "nnUNet_n_proc_DA": "1"}
    settings["nnUNet_results"] = str(job.results)
    if job.preset.on_cpu:
        settings["nnUNet_n_proc_DA"] = "0"
    return settings


def work(job: PrepareJob | TrainJob, tell: Callable[[Event], None]) -> None:
    """Do a job in this process, in which nnU-Net's environment is set.

    Args:
        job: The job.
        tell: Called with each event.

    Raises:
        TwinTrackError: If it cannot be done.
    """

    def say(stage: str) -> None:
        tell(Event(network=job.name, stage=stage))

    if isinstance(job, PrepareJob):
        from twintrack.segmentation.training.prepare import prepare  # noqa: PLC0415  (imports nnU-Net)

        prepare(job, say)
        return
    from twintrack.segmentation.training.run_training import run_training  # noqa: PLC0415  (imports nnU-Net)

    def on_epoch(epoch: int, epochs: int, loss: float) -> None:
        tell(Event(network=job.name, epoch=epoch, epochs=epochs, loss=round(loss, 4)))

    run_training(job, say, on_epoch)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
