"""A trained nnU-Net as a model of the ensemble: nnU-Net's own preprocessing, sliding window and resampling, in-process.

On a box the numbers are those of nnU-Net's predictor on the crop. Networks whose plans normalise each image by itself
(ZScoreNormalization, not CTNormalization) see the crop's mean and deviation, as they would if the crop were a file.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from twintrack.errors import InputError
from twintrack.images import Volume
from twintrack.images.nnunet_labels import resolve_foreground
from twintrack.segmentation.model import View
from twintrack.segmentation.nets.checkpoint import load_checkpoint
from twintrack.segmentation.nets.device import choose_device, set_threads
from twintrack.segmentation.nets.engine import Engine
from twintrack.segmentation.nets.images import MOST_VOXELS, NetworkImage
from twintrack.segmentation.nets.lattice import place
from twintrack.segmentation.nets.result_folder import CHECKPOINT, open_result_folder
from twintrack.segmentation.nets.slabs import Slab, whole


class NnunetModel:
    """A trained nnU-Net v2, as a member or as the coarse network. Loaded on construction.

    Args:
        folder: The result folder: plans.json, dataset.json, fold_*/checkpoint.
        name: What to call it.
        foreground: Labels merged into the structure, by name or channel number; None takes the only one.
        folds: Folds whose logits are averaged, as nnU-Net does; None for all that hold the checkpoint.
        checkpoint: Name of the checkpoint in each fold.
        device: "auto" (cuda, then mps, then cpu) or a device's name.
        threads: Threads on the CPU; None leaves the choice to torch.
        trust_checkpoint: Whether a checkpoint that can run code when loaded is accepted.
        mirroring: Whether to average over mirrored inputs, where the training allows it; 8 times slower in 3-D.
        step: Step of the sliding window as a fraction of the patch.
        most_voxels: Larger images are predicted in overlapping slabs (see `NetworkImage.slabs`); not so where the plans
            normalise each image by itself, because slabs would be normalised differently.

    Raises:
        ModelError: If the folder or the checkpoint cannot be used, or the device is not there.
        InputError: If the foreground names no label, or the threads or the step make no sense.

    Warns:
        TwinTrackWarning: If a checkpoint is loaded on trust, or its trainer is not known here.
    """

    def __init__(
        self,
        folder: Path,
        *,
        name: str,
        foreground: Sequence[str | int] | None,
        folds: Sequence[int | str] | None = None,
        checkpoint: str = CHECKPOINT,
        device: str = "auto",
        threads: int | None = None,
        trust_checkpoint: bool = False,
        mirroring: bool = True,
        step: float = 0.5,
        most_voxels: int = MOST_VOXELS,
    ) -> None:
        if not 0 < step <= 1:
            raise InputError(f"the step of the sliding window is {step}; it is a fraction of the patch, in (0, 1]")
        files = open_result_folder(folder, folds=folds, checkpoint=checkpoint)
        self._foreground = resolve_foreground(files.output, foreground, where=str(folder))
        self._name = name
        self._threads = threads
        self._most_voxels = most_voxels
        self._engine = Engine(
            files,
            [load_checkpoint(path, trust=trust_checkpoint) for path in files.checkpoints],
            device=choose_device(device),
            mirroring=mirroring,
            step=step,
        )
        self.orientation_hint = files.orientation_hint

    @property
    def name(self) -> str:
        """What to call it in messages and files."""
        return self._name

    @property
    def foreground(self) -> tuple[str, ...]:
        """The labels merged into the structure."""
        return self._foreground.names

    def probability(self, view: View) -> NDArray[np.float32]:
        """Predict the structure.

        Args:
            view: What to look at; the CT may be 2-D if the network is.

        Returns:
            float32 probability of the merged foreground, of the shape of the box.

        Raises:
            ModelError: If the voxel size is not known, or a 3-D network is asked about a 2-D image.
        """
        set_threads(self._threads)
        image = self._image(view.image, view.ct)
        result = np.zeros(image.array.shape, np.float32)
        for slab in self._slabs(image, self._most_voxels):
            result[slab.keep] = self._merged(image.array[slab.read], image.spacing)[slab.kept]
        return result.reshape(view.image.shape)

    def locate(self, ct: Volume) -> NDArray[np.bool_]:
        """Find the foreground on the whole CT at the network's own resolution; nothing is resampled back.

        Args:
            ct: The CT, (z, y, x), HU.

        Returns:
            Mask over the CT's whole field of view, about as fine as the network's voxels (see `CoarseModel`).

        Raises:
            ModelError: If the voxel size is not known, or a 3-D network is asked about a 2-D image.
        """
        set_threads(self._threads)
        image = self._image(ct.array, ct)
        spacing = self._engine.spacing_on(image.spacing)
        shape = image.array.shape
        cells = [max(1, round(n * own / new)) for n, own, new in zip(shape, image.spacing, spacing, strict=True)]
        lattice = np.zeros(cells, bool)
        # Without logits at the image's resolution a voxel needs half the memory.
        for slab in self._slabs(image, 2 * self._most_voxels):
            logits, covered = self._engine.logits(image.array[slab.read], image.spacing)
            covers = tuple(
                slice(read.start + part.start, read.start + part.stop)
                for read, part in zip(slab.read, covered, strict=True)
            )
            place(lattice, self._labelled(logits), shape=shape, covers=covers, keep=slab.keep)
        return lattice.reshape(lattice.shape[-ct.array.ndim :])

    def _image(self, array: NDArray[Any], ct: Volume) -> NetworkImage:
        return NetworkImage.of(array, ct, dimensions=self._engine.dimensions, name=self._name)

    def _slabs(self, image: NetworkImage, most_voxels: int) -> list[Slab]:
        engine = self._engine
        if engine.normalises_each_image:
            return [whole(image.array.shape)]
        return image.slabs(
            spacing=engine.spacing_on(image.spacing),
            patch=engine.patch,
            channels=engine.channels,
            most_voxels=most_voxels,
        )

    def _merged(self, array: NDArray[Any], spacing: tuple[float, ...]) -> NDArray[np.float32]:
        """Give the probability of the merged foreground of one slab."""
        result = np.zeros(array.shape, np.float32)  # outside the part that is not zero there is background
        logits, covered = self._engine.logits(array, spacing)
        logits = self._engine.at_image_resolution(logits, result[covered].shape, spacing)
        channels = list(self._foreground.channels)
        # Slice by slice: the probabilities of all channels never exist at once.
        for target, part in zip(result[covered], np.moveaxis(logits, 1, 0), strict=True):
            chosen = self._engine.activate(part[:, None])[channels, 0]
            merged = chosen.sum(0) if self._foreground.merge == "sum" else chosen.amax(0)
            target[...] = merged.clamp_(0, 1).numpy()
        return result

    def _labelled(self, logits: NDArray[Any]) -> NDArray[np.bool_]:
        """Say where the foreground wins: a chosen class is the likeliest, or a chosen region likelier than not."""
        channels = list(self._foreground.channels)
        if self._foreground.merge == "max":
            return np.asarray((logits[channels] > 0).any(0))
        return np.isin(logits.argmax(0), channels)
