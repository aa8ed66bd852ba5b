"""Opens what a bundle names: each network when it is first needed, and once."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Protocol

from typing_extensions import Self

from twintrack.errors import ModelError
from twintrack.segmentation.bundle import MemberEntry
from twintrack.segmentation.bundle_files import LoadedBundle
from twintrack.segmentation.extra import require_nnunet
from twintrack.segmentation.model import CoarseModel, FineModel
from twintrack.segmentation.precomputed import PrecomputedModel

WORKER_THREADS = 1
"""Threads of a worker's networks on the CPU, unless the user says otherwise."""


class Networks(Protocol):
    """The models of an ensemble."""

    @property
    def coarse(self) -> CoarseModel | None:
        """The network that finds the region, or None where there is none."""

    @property
    def members(self) -> tuple[FineModel, ...]:
        """The members of the ensemble."""


class BundleNetworks:
    """The models a bundle names, opened when first asked for.

    Args:
        bundle: The bundle.
        device: "auto" (cuda, then mps, then cpu) or a device's name.
        threads: Threads on the CPU; None leaves the choice to the machine.
        trust_checkpoint: Whether checkpoints that can run code when loaded are accepted.
    """

    def __init__(
        self, bundle: LoadedBundle, *, device: str = "auto", threads: int | None = None, trust_checkpoint: bool = False
    ) -> None:
        self._bundle = bundle
        self._device = device
        self._threads = threads
        self._trust = trust_checkpoint

    def apart(self) -> Self:
        """Give the same for a worker: not opened yet, and with one thread where nothing else was asked for.

        The last bits of a network's result depend on the number of threads, so that must not depend on how many
        workers share the cores.

        Returns:
            A copy that can be pickled.
        """
        return type(self)(
            self._bundle, device=self._device, threads=self._threads or WORKER_THREADS, trust_checkpoint=self._trust
        )

    @cached_property
    def coarse(self) -> CoarseModel | None:
        """The network that finds the region.

        Raises:
            ModelError: If it cannot be loaded.
            MissingExtraError: If networks cannot be run here.
        """
        entry, path = self._bundle.bundle.coarse, self._bundle.coarse_path
        if entry is None or path is None:
            return None
        require_nnunet()
        from twintrack.segmentation.nets.nnunet import NnunetModel  # noqa: PLC0415  (imports torch)

        return NnunetModel(
            path,
            name="coarse",
            foreground=entry.labels,
            folds=entry.folds,
            checkpoint=entry.checkpoint,
            device=self._device,
            threads=self._threads,
            trust_checkpoint=self._trust,
            mirroring=self._bundle.bundle.mirroring,
            step=self._bundle.bundle.step,
        )

    @cached_property
    def members(self) -> tuple[FineModel, ...]:
        """The members of the ensemble.

        Raises:
            ModelError: If one cannot be loaded, or they differ in what they call foreground.
            MissingExtraError: If networks cannot be run here.
        """
        members = tuple(self.open(entry) for entry in self._bundle.bundle.members)
        require_same_foreground(members, where=str(self._bundle.folder))
        return members

    def open(self, entry: MemberEntry) -> FineModel:
        """Open one member.

        Args:
            entry: The member.

        Returns:
            The model, loaded.

        Raises:
            ModelError: If it cannot be loaded.
            MissingExtraError: If networks cannot be run here.
        """
        path, foreground = self._bundle.path_of(entry), self._bundle.bundle.foreground
        if entry.kind == "precomputed":
            return PrecomputedModel(path, name=entry.name, foreground=foreground)
        require_nnunet()
        if entry.kind == "torchscript":
            from twintrack.segmentation.nets.torchscript import TorchScriptModel  # noqa: PLC0415  (imports torch)

            return TorchScriptModel(
                path, name=entry.name, foreground=foreground, device=self._device, threads=self._threads
            )
        from twintrack.segmentation.nets.nnunet import NnunetModel  # noqa: PLC0415  (imports torch)

        return NnunetModel(
            path,
            name=entry.name,
            foreground=foreground,
            folds=entry.folds,
            checkpoint=entry.checkpoint,
            device=self._device,
            threads=self._threads,
            trust_checkpoint=self._trust,
            mirroring=self._bundle.bundle.mirroring,
            step=self._bundle.bundle.step,
        )


def require_same_foreground(members: Sequence[FineModel], *, where: str) -> None:
    """Raise unless all members that say what they predict say the same.

    Args:
        members: The members.
        where: What to name in the message.

    Raises:
        ModelError: If two differ.
    """
    if len({member.foreground for member in members if member.foreground}) > 1:
        said = "; ".join(f"{member.name}: {', '.join(member.foreground or ('not said',))}" for member in members)
        raise ModelError(f"{where}: the members do not predict the same foreground: {said}")
