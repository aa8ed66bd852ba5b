"""Makes tiny nnU-Nets with random weights: result folders as nnU-Net's training leaves them, in milliseconds.

Needs torch and nnunetv2; tests that use it begin with `pytest.importorskip`.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

LABELS = {"background": 0, "pancreas": 1, "tumour": 2}
REGIONS = {"background": 0, "whole": [1, 2], "tumour": 2}


def architecture(dimensions: int = 3, *, residual: bool = False, features: Sequence[int] = (4, 8)) -> dict[str, Any]:
    """The network's entry in the plans."""
    stages = len(features)
    blocks = "n_blocks_per_stage" if residual else "n_conv_per_stage"
    return {
        "network_class_name": "dynamic_network_architectures.architectures.unet."
        + ("ResidualEncoderUNet" if residual else "PlainConvUNet"),
        "arch_kwargs": {
            "n_stages": stages,
            "features_per_stage": list(features),
            "conv_op": f"torch.nn.modules.conv.Conv{dimensions}d",
            "kernel_sizes": [[3] * dimensions] * stages,
            "strides": [[1] * dimensions] + [[2] * dimensions] * (stages - 1),
            blocks: [1] * stages,
            "n_conv_per_stage_decoder": [1] * (stages - 1),
            "conv_bias": True,
            "norm_op": f"torch.nn.modules.instancenorm.InstanceNorm{dimensions}d",
            "norm_op_kwargs": {"eps": 1e-5, "affine": True},
            "dropout_op": None,
            "dropout_op_kwargs": None,
            "nonlin": "torch.nn.LeakyReLU",
            "nonlin_kwargs": {"inplace": True},
        },
        "_kw_requires_import": ["conv_op", "norm_op", "dropout_op", "nonlin"],
    }


def make_plans(
    *,
    spacing: Sequence[float] = (2.0, 1.5, 1.5),
    patch: Sequence[int] = (8, 16, 16),
    transpose: Sequence[int] = (0, 1, 2),
    normalization: str = "CTNormalization",
    residual: bool = False,
    torch_resampling: bool = False,
    reader: str = "SimpleITKIO",
) -> dict[str, Any]:
    """Plans with one configuration, "3d_fullres" or "2d" by the length of the patch."""
    dimensions = len(patch)
    data = {"is_seg": False, "order": 3, "order_z": 0, "force_separate_z": None}
    probabilities = {"is_seg": False, "order": 1, "order_z": 0, "force_separate_z": None}
    function = "resample_data_or_seg_to_shape"
    if torch_resampling:
        function, data = "resample_torch_fornnunet", {"is_seg": False, "force_separate_z": False}
        probabilities = data
    return {
        "dataset_name": "Dataset001_Tiny",
        "plans_name": "nnUNetPlans",
        "original_median_spacing_after_transp": [2.0, 1.5, 1.5],
        "original_median_shape_after_transp": [24, 48, 48],
        "image_reader_writer": reader,
        "transpose_forward": list(transpose),
        "transpose_backward": [int(axis) for axis in np.argsort(transpose)],
        "experiment_planner_used": "ExperimentPlanner",
        "label_manager": "LabelManager",
        "foreground_intensity_properties_per_channel": {
            "0": {
                "mean": 50.0,
                "std": 80.0,
                "percentile_00_5": -150.0,
                "percentile_99_5": 250.0,
                "min": -200.0,
                "max": 300.0,
                "median": 45.0,
            }
        },
        "configurations": {
            "2d" if dimensions == 2 else "3d_fullres": {
                "data_identifier": "nnUNetPlans_tiny",
                "preprocessor_name": "DefaultPreprocessor",
                "batch_size": 2,
                "patch_size": list(patch),
                "median_image_size_in_voxels": [24, 48, 48],
                "spacing": list(spacing),
                "normalization_schemes": [normalization],
                "use_mask_for_norm": [False],
                "resampling_fn_data": function,
                "resampling_fn_seg": function,
                "resampling_fn_data_kwargs": data,
                "resampling_fn_seg_kwargs": {**data, "is_seg": True} | ({} if torch_resampling else {"order": 1}),
                "resampling_fn_probabilities": function,
                "resampling_fn_probabilities_kwargs": probabilities,
                "architecture": architecture(dimensions, residual=residual),
                "batch_dice": False,
            }
        },
    }


def make_dataset(labels: dict[str, Any] = LABELS, *, channels: Sequence[str] = ("CT",)) -> dict[str, Any]:
    """What dataset.json holds; regions where a label stands for several values."""
    dataset: dict[str, Any] = {
        "channel_names": {str(number): name for number, name in enumerate(channels)},
        "labels": labels,
        "numTraining": 1,
        "file_ending": ".nii.gz",
    }
    if any(isinstance(value, list) for value in labels.values()):
        dataset["regions_class_order"] = list(range(1, len(labels)))
    return dataset


def random_weights(plans: dict[str, Any], dataset: dict[str, Any], *, seed: int, gain: float = 3.0) -> dict[str, Any]:
    """Weights of the plans' network; the gain of the last layer makes probabilities that are not all one half."""
    from nnunetv2.utilities.get_network_from_plans import get_network_from_plans

    configuration = next(iter(plans["configurations"].values()))
    entry = configuration["architecture"]
    labels = dataset["labels"]
    regions = any(isinstance(value, list) for value in labels.values())
    torch.manual_seed(seed)
    network = get_network_from_plans(
        entry["network_class_name"],
        entry["arch_kwargs"],
        entry["_kw_requires_import"],
        len(dataset["channel_names"]),
        len(labels) - 1 if regions else len(labels),
        allow_init=True,
        deep_supervision=True,
    )
    weights = network.state_dict()
    for name, tensor in weights.items():
        if "seg_layers" in name:
            tensor.copy_(torch.randn_like(tensor) * gain * (0.5 if name.endswith("weight") else 0.1))
    return weights


def write_result_folder(
    folder: Path,
    *,
    plans: dict[str, Any] | None = None,
    dataset: dict[str, Any] | None = None,
    folds: Sequence[int | str] = (0,),
    seed: int = 0,
    trainer: str = "nnUNetTrainer",
    mirroring: Sequence[int] | None = None,
    checkpoint: str = "checkpoint_final.pth",
    extra: dict[str, Any] | None = None,
) -> Path:
    """Write a result folder; each fold has weights of its own. `extra` goes into the checkpoints as it is."""
    plans = plans or make_plans()
    dataset = dataset or make_dataset()
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "plans.json").write_text(json.dumps(plans))
    (folder / "dataset.json").write_text(json.dumps(dataset))
    for number, fold in enumerate(folds):
        content = {
            "network_weights": random_weights(plans, dataset, seed=seed + 100 * number),
            "trainer_name": trainer,
            "init_args": {"configuration": next(iter(plans["configurations"])), "fold": fold},
            "inference_allowed_mirroring_axes": tuple(mirroring) if mirroring else None,
            **(extra or {}),
        }
        (folder / f"fold_{fold}").mkdir(exist_ok=True)
        torch.save(content, folder / f"fold_{fold}" / checkpoint)
    return folder


def make_ct(shape: Sequence[int] = (20, 40, 44), *, seed: int = 0) -> np.ndarray:
    """A smooth int16 CT-like array with air around a body."""
    from scipy.ndimage import gaussian_filter

    noise = gaussian_filter(np.random.default_rng(seed).normal(size=tuple(shape)), [min(2.0, n / 4) for n in shape])
    return (noise / noise.std() * 100 + 40).astype(np.int16)
