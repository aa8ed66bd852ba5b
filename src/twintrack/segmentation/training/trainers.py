"""nnU-Net's trainer as the presets use it: seeded, reporting, with its threads set; and a small one for processors."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from nnunetv2.training.lr_scheduler.polylr import PolyLRScheduler
from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer

from twintrack.errors import ModelError
from twintrack.segmentation.nets.device import set_threads
from twintrack.segmentation.training.presets import NetworkPreset, Schedule

OnEpoch = Callable[[int, int, float], None]
"""Called at the end of each epoch with its number from 1, how many there are, and the training loss."""


class ReportingTrainer(nnUNetTrainer):  # type: ignore[misc]
    """nnU-Net's trainer; it trains as the stock one does, and says how far it is.

    Attributes:
        on_epoch: Told at the end of each epoch.
        threads: Threads of torch on the CPU; None leaves them alone.
    """

    on_epoch: OnEpoch | None = None
    threads: int | None = None

    def on_train_start(self) -> None:
        """Begin.

        Pitfall: nnU-Net sets torch's threads to the number of cores, or of its workers, on the way here; two networks
        that train side by side would then fight for the cores and be several times slower.
        """
        super().on_train_start()
        set_threads(self.threads)

    def on_epoch_end(self) -> None:
        """Tell.

        Raises:
            ModelError: If the loss is no longer a number: what follows would be wasted.
        """
        loss = float(self.logger.get_value("train_losses", step=-1))
        if not math.isfinite(loss):
            raise ModelError(f"the loss is {loss} in epoch {self.current_epoch + 1}; try another seed (--seed)")
        epoch, epochs = self.current_epoch + 1, self.num_epochs
        super().on_epoch_end()
        if self.on_epoch is not None:
            self.on_epoch(epoch, epochs, loss)


class TinyTrainer(ReportingTrainer):
    """The trainer of small networks: AdamW, short epochs, no mirrored images, and no pictures of its progress.

    Mirroring is left out because organs lie on their sides: a coarse network that must not know left from right learns
    more slowly, and predictions are not averaged over mirrored images, which takes eight times as long.

    Attributes:
        schedule: How long and how fast; to be set before training.
    """

    schedule: Schedule

    def apply(self, schedule: Schedule) -> None:
        """Set the schedule; before training."""
        self.schedule = schedule
        self.num_epochs = schedule.epochs
        self.num_iterations_per_epoch = schedule.iterations
        # nnU-Net's logger wants a validation loss for each epoch; members are judged on whole cases afterwards.
        self.num_val_iterations_per_epoch = 1
        self.initial_lr = schedule.learning_rate
        self.oversample_foreground_percent = schedule.foreground
        # Batches of two would otherwise hold exactly one foreground patch, whatever the fraction.
        self.probabilistic_oversampling = True
        self.save_every = max(1, schedule.epochs)
        # Pitfall: nnU-Net weighs the coarsest of the supervised resolutions by 0 and divides by the sum: with two
        # resolutions only one is supervised, and every loss is NaN.
        self.enable_deep_supervision = len(self.configuration_manager.pool_op_kernel_sizes) > 2

    def configure_optimizers(self) -> tuple[torch.optim.Optimizer, Any]:
        """Give AdamW with nnU-Net's polynomial decay, which converges in hundreds of iterations."""
        optimizer = torch.optim.AdamW(self.network.parameters(), self.initial_lr, weight_decay=1e-4)
        return optimizer, PolyLRScheduler(optimizer, self.initial_lr, self.num_epochs)

    def configure_rotation_dummyDA_mirroring_and_inital_patch_size(self) -> tuple[Any, ...]:  # noqa: N802  (nnU-Net's)
        """Leave mirroring out."""
        rotation, dummy_2d, initial, _ = super().configure_rotation_dummyDA_mirroring_and_inital_patch_size()
        self.inference_allowed_mirroring_axes = None
        return rotation, dummy_2d, initial, ()

    def plot_network_architecture(self) -> None:
        """Draw nothing."""

    def _save_debug_information(self) -> None:
        """Write nothing: it would ask for the machine's name."""

    def save_checkpoint(self, filename: str) -> None:
        """Write the last checkpoint only."""
        if filename.endswith("checkpoint_final.pth"):
            super().save_checkpoint(filename)

    def on_train_start(self) -> None:
        """Begin.

        Pitfall: the picture of the progress costs seconds after each epoch, longer than a short epoch itself.
        """
        super().on_train_start()
        self.logger.plot_progress_png = lambda _: None


def trainer_for(
    network: NetworkPreset, plans: dict[str, Any], configuration: str, dataset: dict[str, Any], device: torch.device
) -> ReportingTrainer:
    """Make the trainer of a preset.

    Args:
        network: How the network is made.
        plans: nnU-Net's plans.
        configuration: The configuration that is trained.
        dataset: nnU-Net's ``dataset.json``.
        device: Where.

    Returns:
        The trainer, for fold 0.
    """
    kind = ReportingTrainer if network.schedule is None else TinyTrainer
    # nnU-Net takes this key out of the plans itself.
    trainer = kind(
        plans={**plans, "continue_training": False},
        configuration=configuration,
        fold=0,
        dataset_json=dataset,
        device=device,
    )
    if isinstance(trainer, TinyTrainer) and network.schedule is not None:
        trainer.apply(network.schedule)
    elif network.epochs is not None:
        trainer.num_epochs = network.epochs
    return trainer


def seed_everything(seed: int) -> None:
    """Seed python, NumPy and torch: weights, patches and augmentation are drawn from all three."""
    random.seed(seed)
    np.random.seed(seed % 2**32)  # noqa: NPY002  (nnU-Net draws from the global generator)
    torch.manual_seed(seed)
