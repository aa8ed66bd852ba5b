"""A planner for small networks: nnU-Net's, with a patch of given size instead of what fits a GPU's memory."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from dynamic_network_architectures.building_blocks.helper import convert_dim_to_conv_op, get_matching_instancenorm
from nnunetv2.experiment_planning.experiment_planners.default_experiment_planner import ExperimentPlanner
from nnunetv2.experiment_planning.experiment_planners.network_topology import get_pool_and_conv_props
from nnunetv2.experiment_planning.experiment_planners.resampling.resample_with_torch import nnUNetPlanner_torchres
from nnunetv2.experiment_planning.experiment_planners.residual_unets.residual_encoder_unet_planners import (
    nnUNetPlannerResEncL,
    nnUNetPlannerResEncM,
    nnUNetPlannerResEncXL,
)
from numpy.typing import NDArray

from twintrack.segmentation.training.presets import Preset, Role, TinyPlan

_LEAST_EDGE = 4
"""Shortest edge of a feature map, as in nnU-Net."""


class TinyPlanner(nnUNetPlanner_torchres):  # type: ignore[misc]
    """Plans small U-Nets, resampled by torch, which is an order of magnitude faster than nnU-Net's default.

    Attributes:
        tiny: What the network is made of; to be set before planning.
    """

    tiny: TinyPlan

    def determine_fullres_target_spacing(self) -> NDArray[np.float64]:
        """Give the voxel size (mm) images are resampled to: nnU-Net's, but not finer than the plan wants it."""
        spacing: NDArray[np.float64] = super().determine_fullres_target_spacing()
        return np.maximum(spacing, self.tiny.least_spacing)

    def determine_transpose(self) -> tuple[list[int], list[int]]:
        """Keep the axes (z, y, x).

        Pitfall: nnU-Net puts the axis of the largest spacing first; of a single slice that may be an axis within it.
        """
        return [0, 1, 2], [0, 1, 2]

    def get_plans_for_configuration(
        self,
        spacing: Sequence[float],
        median_shape: Sequence[int],
        data_identifier: str,
        approximate_n_voxels_dataset: float,  # noqa: ARG002  (nnU-Net's signature)
        _cache: dict[str, Any],
    ) -> dict[str, Any]:
        """Plan one configuration; the result has the keys of nnU-Net's own."""
        dimensions = len(spacing)
        wanted = _patch(np.asarray(spacing, float), np.asarray(median_shape[-dimensions:], float), self.tiny)
        _, strides, kernels, patch, _ = get_pool_and_conv_props(spacing, wanted, _LEAST_EDGE, self.tiny.stages - 1)
        data, data_options, seg, seg_options = self.determine_resampling()
        probabilities, probabilities_options = self.determine_segmentation_softmax_export_fn()
        schemes, masked = self.determine_normalization_scheme_and_whether_mask_is_used_for_norm()
        return {
            "data_identifier": data_identifier,
            "preprocessor_name": self.preprocessor_name,
            "batch_size": self.tiny.batch_size,
            "patch_size": patch,
            "median_image_size_in_voxels": median_shape,
            "spacing": spacing,
            "normalization_schemes": schemes,
            "use_mask_for_norm": masked,
            "resampling_fn_data": data.__name__,
            "resampling_fn_seg": seg.__name__,
            "resampling_fn_data_kwargs": data_options,
            "resampling_fn_seg_kwargs": seg_options,
            "resampling_fn_probabilities": probabilities.__name__,
            "resampling_fn_probabilities_kwargs": probabilities_options,
            "architecture": self._architecture(dimensions, strides, kernels),
        }

    def _architecture(self, dimensions: int, strides: Sequence[Any], kernels: Sequence[Any]) -> dict[str, Any]:
        n_stages = len(strides)
        conv = convert_dim_to_conv_op(dimensions)
        norm = get_matching_instancenorm(conv)
        return {
            "network_class_name": f"{self.UNet_class.__module__}.{self.UNet_class.__name__}",
            "arch_kwargs": {
                "n_stages": n_stages,
                "features_per_stage": [
                    min(self.tiny.most_features, self.tiny.features * 2**stage) for stage in range(n_stages)
                ],
                "conv_op": f"{conv.__module__}.{conv.__name__}",
                "kernel_sizes": kernels,
                "strides": strides,
                "n_conv_per_stage": [2] * n_stages,
                "n_conv_per_stage_decoder": [2] * (n_stages - 1),
                "conv_bias": True,
                "norm_op": f"{norm.__module__}.{norm.__name__}",
                "norm_op_kwargs": {"eps": 1e-5, "affine": True},
                "dropout_op": None,
                "dropout_op_kwargs": None,
                "nonlin": "torch.nn.LeakyReLU",
                "nonlin_kwargs": {"inplace": True},
            },
            "_kw_requires_import": ("conv_op", "norm_op", "dropout_op", "nonlin"),
        }


def planner_for(preset: Preset, role: Role, dataset: str) -> ExperimentPlanner:
    """Make the planner of a preset.

    Args:
        preset: The preset.
        role: What the network is for.
        dataset: nnU-Net's name of the dataset, whose fingerprint is there.

    Returns:
        The planner.
    """
    own = (ExperimentPlanner, nnUNetPlannerResEncM, nnUNetPlannerResEncL, nnUNetPlannerResEncXL, TinyPlanner)
    planner = {one.__name__: one for one in own}[preset.planner](dataset, plans_name=preset.plans_name)
    tiny = preset.of(role).tiny
    if tiny is not None:
        planner.tiny = tiny
    return planner


def _patch(spacing: NDArray[np.float64], shape: NDArray[np.float64], tiny: TinyPlan) -> list[int]:
    """Give a patch as cubic in mm as the images allow: what an axis is too short for goes to the others."""
    patch = np.zeros(len(shape))
    open_axes = list(range(len(shape)))
    while open_axes:
        left = tiny.patch_voxels / np.prod([patch[axis] for axis in range(len(shape)) if axis not in open_axes])
        edge = (left * np.prod(spacing[open_axes])) ** (1 / len(open_axes))
        patch[open_axes] = edge / spacing[open_axes]
        short = [axis for axis in open_axes if patch[axis] > shape[axis]]
        if not short:
            break
        patch[short] = shape[short]
        open_axes = [axis for axis in open_axes if axis not in short]
    step = 2 ** (tiny.stages - 1)
    # To the nearest size that can be halved at each stage; nnU-Net itself would round up, to twice the voxels.
    return [max(step, step * round(size / step)) if size >= step else max(_LEAST_EDGE, round(size)) for size in patch]
