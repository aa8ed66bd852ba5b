"""A network given as TorchScript: a file torch can run without the Python code it was made with, and a JSON beside it.

TorchScript is a language of its own, which torch interprets: tensors and arithmetic, no Python. Loading such a file
runs none of its author's Python code.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Annotated, Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from twintrack.errors import ModelError
from twintrack.images.nnunet_labels import Output, resolve_foreground
from twintrack.segmentation.model import View
from twintrack.segmentation.nets.device import choose_device, set_threads
from twintrack.segmentation.nets.images import MOST_VOXELS, NetworkImage
from twintrack.segmentation.nets.setup import prepare_nnunet, quiet

prepare_nnunet()

from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor  # noqa: E402
from nnunetv2.preprocessing.resampling.default_resampling import (  # noqa: E402
    compute_new_shape,
    resample_data_or_seg_to_shape,
)

_Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
_Number = Annotated[float, Field(allow_inf_nan=False)]


class Intensity(BaseModel):
    """How HU are normalised: (clip(HU, lower, upper) − mean) / std.

    Attributes:
        lower: Smallest value kept.
        upper: Largest value kept.
        mean: Subtracted.
        std: What it is divided by.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    lower: _Number
    upper: _Number
    mean: _Number
    std: _Positive


class ScriptSettings(BaseModel):
    """What is written beside a TorchScript file.

    Attributes:
        spacing: Voxel size in mm the network was trained at, (z, y, x).
        patch: Size of its windows in voxels, (z, y, x).
        labels: Channel of each foreground label.
        activation: Whether its logits go through a softmax (channel 0 is background) or one sigmoid per label.
        intensity: How HU are normalised.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    spacing: tuple[_Positive, _Positive, _Positive]
    patch: tuple[Annotated[int, Field(ge=1)], Annotated[int, Field(ge=1)], Annotated[int, Field(ge=1)]]
    labels: Annotated[dict[str, Annotated[int, Field(ge=0)]], Field(min_length=1)]
    activation: Literal["softmax", "sigmoid"]
    intensity: Intensity


class TorchScriptModel:
    """A TorchScript module that takes (1, 1, z, y, x) float32 and gives logits (1, channels, z, y, x), as a member.

    Window by window with nnU-Net's sliding window (half a patch of overlap, Gaussian weights), at the voxel size it was
    trained at; logits are resampled back linearly. Loaded on construction.

    Args:
        path: The TorchScript file; its settings (`ScriptSettings`) lie beside it, with the ending ``.json``.
        name: What to call it.
        foreground: Labels merged into the structure: summed after a softmax, the largest after a sigmoid; None takes
            the only one.
        device: "auto" (cuda, then mps, then cpu) or a device's name.
        threads: Threads on the CPU; None leaves the choice to torch.
        most_voxels: Larger images are predicted in overlapping slabs.

    Raises:
        ModelError: If a file is missing, damaged or does not say what it should, or the module cannot be run.
        InputError: If the foreground names no label, or the number of threads makes no sense.
    """

    def __init__(
        self,
        path: Path,
        *,
        name: str,
        foreground: Sequence[str | int] | None,
        device: str = "auto",
        threads: int | None = None,
        most_voxels: int = MOST_VOXELS,
    ) -> None:
        path = Path(path)
        where = path.with_suffix(".json")
        self._settings = _settings(where)
        self._name = name
        self._threads = threads
        self._most_voxels = most_voxels
        self._device = choose_device(device)
        self._module = _module(path, self._device)
        self._channels = self._count_channels(path)
        regions = self._settings.activation == "sigmoid"
        output = Output(dict(self._settings.labels), self._channels, regions, None, str(where))
        self._check_labels(where)
        self._foreground = resolve_foreground(output, foreground, where=str(path))

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
            view: What to look at, 3-D.

        Returns:
            float32 probability of the merged foreground, of the shape of the box.

        Raises:
            ModelError: If the voxel size is not known, or the image is 2-D.
        """
        set_threads(self._threads)
        image = NetworkImage.of(view.image, view.ct, dimensions=3, name=self._name)
        slabs = image.slabs(
            spacing=self._settings.spacing,
            patch=self._settings.patch,
            channels=self._channels,
            most_voxels=self._most_voxels,
        )
        result = np.zeros(image.array.shape, np.float32)
        for slab in slabs:
            result[slab.keep] = self._merged(image.array[slab.read], image.spacing)[slab.kept]
        return result

    def _merged(self, array: NDArray[Any], spacing: tuple[float, ...]) -> NDArray[np.float32]:
        intensity, target = self._settings.intensity, self._settings.spacing
        data = np.clip(array.astype(np.float32), intensity.lower, intensity.upper)
        data = (data - np.float32(intensity.mean)) / np.float32(intensity.std)
        shape = np.maximum(compute_new_shape(array.shape, spacing, target), 1)
        with quiet(), torch.inference_mode():
            data = resample_data_or_seg_to_shape(data[None], shape, spacing, target, order=3, force_separate_z=None)
            logits = self._predictor().predict_sliding_window_return_logits(torch.from_numpy(data)).cpu()
            logits = resample_data_or_seg_to_shape(
                logits.float().numpy(), array.shape, target, spacing, order=1, force_separate_z=None
            )
        return self._merge(torch.from_numpy(logits))

    def _merge(self, logits: torch.Tensor) -> NDArray[np.float32]:
        channels = list(self._foreground.channels)
        if self._foreground.merge == "max":
            merged = logits[channels].amax(0).sigmoid()
        else:
            merged = logits.softmax(0)[channels].sum(0)
        result: NDArray[np.float32] = merged.clamp_(0, 1).numpy()
        return result

    def _predictor(self) -> Any:
        """Give nnU-Net's sliding window around the module; all it asks of plans are the patch and the channels."""
        predictor = nnUNetPredictor(
            tile_step_size=0.5,
            use_mirroring=False,
            perform_everything_on_device=self._device.type == "cuda",
            device=self._device,
            allow_tqdm=False,
        )
        predictor.network = self._module
        predictor.configuration_manager = SimpleNamespace(patch_size=list(self._settings.patch))
        predictor.label_manager = SimpleNamespace(num_segmentation_heads=self._channels)
        return predictor

    def _count_channels(self, path: Path) -> int:
        """Run the module on one empty patch to see what it gives."""
        patch = self._settings.patch
        try:
            with torch.inference_mode():
                shape = tuple(self._module(torch.zeros(1, 1, *patch, device=self._device)).shape)
        except Exception as error:
            raise ModelError(f"{path}: cannot be run on a patch of shape {patch}: {_last_line(error)}") from error
        if len(shape) != 5 or shape[0] != 1 or shape[2:] != patch:
            raise ModelError(f"{path}: gives shape {shape} for a patch; {('1', 'channels', *patch)} is expected")
        return int(shape[1])

    def _check_labels(self, where: Path) -> None:
        first = 1 if self._settings.activation == "softmax" else 0
        labels = self._settings.labels
        wrong = {name: channel for name, channel in labels.items() if not first <= channel < self._channels}
        if wrong:
            raise ModelError(
                f"{where}: the module has channels 0 to {self._channels - 1}"
                f"{' (0 is background)' if first else ''}; no label can be {wrong}"
            )


def _settings(path: Path) -> ScriptSettings:
    try:
        return ScriptSettings.model_validate_json(path.read_bytes())
    except OSError as error:
        raise ModelError(f"{path}: the settings cannot be read: {error.strerror}") from error
    except ValidationError as error:
        problems = "; ".join(f"{'.'.join(map(str, p['loc'])) or 'file'}: {p['msg']}" for p in error.errors())
        raise ModelError(f"{path}: {problems}. It holds spacing, patch, labels, activation and intensity.") from error


def _module(path: Path, device: torch.device) -> Any:
    if not path.is_file():
        raise ModelError(f"{path}: there is no such TorchScript file")
    try:
        with warnings.catch_warnings():
            # torch.jit is deprecated in favour of torch.export; it is what these files are made with all the same.
            warnings.filterwarnings("ignore", message=r".*torch\.jit.*", category=DeprecationWarning)
            return torch.jit.load(str(path), map_location=device).eval()
    except (RuntimeError, ValueError, OSError) as error:
        raise ModelError(f"{path}: is not TorchScript, or is damaged: {_last_line(error)}") from error


def _last_line(error: Exception) -> str:
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[-1][:200]
