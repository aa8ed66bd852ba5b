"""nnU-Net's predictor, taken apart: preprocessing, logits at the network's resolution, and resampling back.

Taken together the parts do what nnUNetPredictor.predict_single_npy_array does. Apart, they need less memory and time:
the resampling of a segmentation that is not there is left out, the coarse network's result is not resampled back, and
softmax is left to the caller.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from twintrack.errors import ModelError
from twintrack.segmentation.model import Box
from twintrack.segmentation.nets.checkpoint import Checkpoint
from twintrack.segmentation.nets.network import build_network, parameters_of
from twintrack.segmentation.nets.result_folder import ResultFolder
from twintrack.segmentation.nets.setup import prepare_nnunet, quiet

prepare_nnunet()

from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor  # noqa: E402
from nnunetv2.utilities.plans_handling.plans_handler import ConfigurationManager, PlansManager  # noqa: E402

_SAME_FOR_ALL_IMAGES = frozenset({"CTNormalization", "NoNormalization", "RGBTo01Normalization"})


class Engine:
    """The network of a result folder with all its folds, ready to run.

    Args:
        files: The result folder.
        checkpoints: The checkpoints of the folds, at least one.
        device: Where to run.
        mirroring: Whether to average over mirrored inputs where the training allows it.
        step: Step of the sliding window as a fraction of the patch.

    Raises:
        ModelError: If plans, dataset and checkpoints do not fit together, or the network needs more than a CT.
    """

    def __init__(
        self,
        files: ResultFolder,
        checkpoints: Sequence[Checkpoint],
        *,
        device: torch.device,
        mirroring: bool,
        step: float,
    ) -> None:
        first = checkpoints[0]
        for path, other in zip(files.checkpoints, checkpoints, strict=True):
            if other.configuration != first.configuration:
                found = f"'{other.configuration}', the first fold of '{first.configuration}'"
                raise ModelError(f"{path}: is of configuration {found}")
        self._plans, self._configuration = _plans(files, first.configuration)
        with quiet():
            self._labels = self._plans.get_label_manager(files.dataset)
        network = build_network(
            self._plans, self._configuration, first, channels=self.channels, where=files.checkpoints[0]
        )
        parameters = [
            parameters_of(network, checkpoint, path)
            for path, checkpoint in zip(files.checkpoints, checkpoints, strict=True)
        ]
        self._dataset = files.dataset
        with quiet():
            self._predictor = nnUNetPredictor(
                tile_step_size=step,
                use_mirroring=mirroring,
                perform_everything_on_device=device.type == "cuda",
                device=device,
                allow_tqdm=False,
            )
            self._predictor.manual_initialization(
                network=network,
                plans_manager=self._plans,
                configuration_manager=self._configuration,
                parameters=parameters,
                dataset_json=files.dataset,
                trainer_name=first.trainer_name,
                inference_allowed_mirroring_axes=first.mirroring,
            )

    @property
    def channels(self) -> int:
        """Number of output channels."""
        return int(self._labels.num_segmentation_heads)

    @property
    def dimensions(self) -> int:
        """Dimensions of the network's patches: 2 or 3."""
        return len(self._configuration.patch_size)

    @property
    def patch(self) -> tuple[int, ...]:
        """The network's patch in its voxels, in the image's order of axes; a 2-D network's is one slice thick."""
        patch = [1, *self._configuration.patch_size][-3:]
        return tuple(int(patch[axis]) for axis in self._plans.transpose_backward)

    @property
    def normalises_each_image(self) -> bool:
        """Whether an image's values decide how it is normalised, so that a part of it is normalised differently."""
        return not _SAME_FOR_ALL_IMAGES.issuperset(self._configuration.normalization_schemes)

    def spacing_on(self, spacing: Sequence[float]) -> tuple[float, ...]:
        """Give the network's voxel size for an image.

        Args:
            spacing: The image's voxel size in mm, (z, y, x).

        Returns:
            Voxel size in mm in the image's order of axes; across the slices of a 2-D network the image's own.
        """
        target = self._spacing(spacing)
        return tuple(float(target[axis]) for axis in self._plans.transpose_backward)

    def logits(self, array: NDArray[Any], spacing: tuple[float, ...]) -> tuple[NDArray[Any], Box]:
        """Preprocess an image and run the network over it; the folds' logits are averaged.

        Args:
            array: The image, (z, y, x).
            spacing: Its voxel size in mm.

        Returns:
            Logits (channels, z, y, x) at the network's resolution, and the box of the image they cover: its voxels that
            are not zero. Both in the image's order of axes.
        """
        properties = {"spacing": list(spacing)}
        with quiet(), torch.inference_mode():
            preprocessor = self._configuration.preprocessor_class(verbose=False)
            data, _, properties = preprocessor.run_case_npy(
                array[None], None, properties, self._plans, _WithoutSegmentation(self._configuration), self._dataset
            )
            logits = self._averaged(torch.from_numpy(np.ascontiguousarray(data)))
        back = self._plans.transpose_backward
        bounds: Any = properties["bbox_used_for_cropping"]
        covered = tuple(slice(*map(int, bounds[axis])) for axis in back)
        return logits.numpy().transpose(0, *(axis + 1 for axis in back)), covered

    def at_image_resolution(
        self, logits: NDArray[Any], shape: Sequence[int], spacing: tuple[float, ...]
    ) -> NDArray[Any]:
        """Resample logits back as the plans say.

        Args:
            logits: (channels, z, y, x) at the network's resolution.
            shape: The image's shape.
            spacing: The image's voxel size in mm.

        Returns:
            Logits (channels, z, y, x) of the image's shape.
        """
        forward = self._plans.transpose_forward
        with quiet():
            resampled = self._configuration.resampling_fn_probabilities(
                logits.transpose(0, *(axis + 1 for axis in forward)),
                [shape[axis] for axis in forward],
                self._spacing(spacing),
                [spacing[axis] for axis in forward],
            )
        array = np.asarray(resampled)
        return array.transpose(0, *(axis + 1 for axis in self._plans.transpose_backward))

    def activate(self, logits: NDArray[Any]) -> torch.Tensor:
        """Make probabilities of logits: softmax over classes, or a sigmoid for each region.

        Args:
            logits: (channels, …).

        Returns:
            float32 of the same shape.
        """
        return self._labels.apply_inference_nonlin(torch.from_numpy(np.ascontiguousarray(logits)))

    def _spacing(self, spacing: Sequence[float]) -> list[float]:
        """Give the network's voxel size, in the network's order of axes."""
        own = [float(step) for step in self._configuration.spacing]
        return own if len(own) == 3 else [float(spacing[self._plans.transpose_forward[0]]), *own]

    def _averaged(self, data: torch.Tensor) -> torch.Tensor:
        """Average the logits over the folds.

        Pitfall: nnU-Net's own loop over the folds sets torch's threads to nnUNet_def_n_proc.
        """
        parameters = self._predictor.list_of_parameters
        if len(parameters) == 1:
            return self._predictor.predict_sliding_window_return_logits(data).cpu()
        total = torch.zeros(())
        for weights in parameters:
            self._predictor.network.load_state_dict(weights)
            total = total + self._predictor.predict_sliding_window_return_logits(data).cpu()
        return total / len(parameters)


class _WithoutSegmentation:
    """A configuration by which the preprocessor does not resample the segmentation it makes of nothing.

    Args:
        configuration: The configuration all else is taken from.
    """

    def __init__(self, configuration: ConfigurationManager) -> None:
        self._configuration = configuration

    def __getattr__(self, name: str) -> Any:
        return getattr(self._configuration, name)

    @staticmethod
    def resampling_fn_seg(seg: NDArray[Any], *_: object) -> NDArray[Any]:
        """Leave the segmentation as it is; nobody looks at it."""
        return seg


def _plans(files: ResultFolder, configuration: str) -> tuple[PlansManager, ConfigurationManager]:
    where = files.path / "plans.json"
    if configuration not in files.plans["configurations"]:
        known = ", ".join(files.plans["configurations"])
        raise ModelError(f"{where}: the checkpoint is of configuration '{configuration}'; the plans have {known}")
    try:
        with quiet():
            plans = PlansManager(files.plans)
            manager = plans.get_configuration(configuration)
    except Exception as error:
        raise ModelError(f"{where}: nnU-Net cannot read these plans: {type(error).__name__}: {error}") from error
    if manager.previous_stage_name is not None:
        raise ModelError(
            f"{where}: '{configuration}' is the second stage of a cascade and needs the result of the first; use "
            "3d_fullres or 3d_lowres"
        )
    return plans, manager
