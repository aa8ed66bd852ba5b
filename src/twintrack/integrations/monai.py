"""A calibration as a MONAI dictionary transform, for the post-processing of a bundle or a script."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from twintrack.calibration import Calibration, load_calibration
from twintrack.errors import InputError, MissingExtraError

try:
    import torch
    from monai.config import KeysCollection
    from monai.data import MetaTensor
    from monai.transforms import MapTransform
    from monai.utils import convert_to_dst_type, convert_to_tensor
except ModuleNotFoundError as error:
    raise MissingExtraError(
        "twintrack.integrations.monai needs MONAI (and torch): pip install 'twintrack[monai]' "
        "(add -c constraints/cpu.txt for a machine without a GPU; docs/install.md)"
    ) from error

from twintrack.integrations.torch import respond_to_case

_SUM_TOLERANCE = 1e-2  # softmax channels sum to 1, also in half precision
_SUM_ROUNDING = 1e-4  # how far above 1 rounding may carry a sum of softmax channels


class CalibrateResponsed(MapTransform):  # type: ignore[misc]  # MONAI is not looked into
    """Turn the probabilities of a case into its response map: the fraction of experts who would label each voxel.

    Put it after the network's activation (softmax or sigmoid) and, where spacing or orientation were changed for the
    network, after `Invertd`, so that voxel sizes are those of the image. As with `MeanEnsembled`, several keys are the
    members of one ensemble; their mean is the probability. Give the members rather than their mean where the
    calibration was fitted to members, or every case is flagged for their number.

    Tensors are channel first, (C, x, y, z) or (C, x, y), as MONAI has them. TwinTrack's (z, y, x) and the voxel size,
    from the affine, are made of them inside; the result is in MONAI's order again.

    Args:
        keys: Where the members' predictions are, floating, one channel (a probability) or several.
        calibration: The calibration, or its file. Any method, also the case-aware one.
        output_key: Where the response goes; None: to the first key, in place of the prediction.
        channels: Which channels are the structure, where there are several.
        merge: How they are merged: "sum" for softmax, whose classes exclude each other; "max" for sigmoid regions,
            which overlap.
        roi_key: Where the ROI is, a mask (1, x, y, z); outside it the response is 0. None: everywhere.
        allow_missing_keys: Whether a missing key is passed over; the members present are then averaged.

    Raises:
        CalibrationError: If the file is no calibration.
        InputError: If `merge` is unknown or no channel is named in `channels`.

    Examples:
        In a bundle's configuration:

            {"_target_": "twintrack.integrations.monai.CalibrateResponsed", "keys": ["pred"],
             "calibration": "calibration.json", "channels": [2], "output_key": "response"}
    """

    def __init__(
        self,
        keys: KeysCollection,
        calibration: Calibration | Path | str,
        *,
        output_key: str | None = None,
        channels: Sequence[int] | None = None,
        merge: Literal["sum", "max"] = "sum",
        roi_key: str | None = None,
        allow_missing_keys: bool = False,
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        self.calibration = calibration if isinstance(calibration, Calibration) else load_calibration(calibration)
        if merge not in ("sum", "max"):
            raise InputError(f"merge is 'sum' (softmax) or 'max' (sigmoid regions), not {merge!r}")
        if channels is not None and not len(channels):
            raise InputError("channels names no channel; None takes the only one there is")
        self.output_key = output_key
        self.channels = None if channels is None else list(channels)
        self.merge = merge
        self.roi_key = roi_key

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Calibrate one case.

        Args:
            data: A dictionary with the keys; a batch is taken apart first (`Decollated`).

        Returns:
            A copy of the dictionary with the response added, float32, (1, x, y, z), with the metadata (affine, pending
            and applied operations) of the first member, as a `MetaTensor` where that is one, and on its device.

        Raises:
            KeyError: If a key is missing and must not be.
            TwinTrackError: If a prediction is not of probabilities, its channels are not clear, or the case does not go
                with the calibration.

        Warns:
            TwinTrackWarning: If the case is unlike those of the calibration.
        """
        found: dict[Hashable, Any] = dict(data)
        keys = list(self.key_iterator(found))
        if not keys:
            return found
        tensors = [convert_to_tensor(found[key], track_meta=isinstance(found[key], MetaTensor)) for key in keys]
        members = [_to_array_order(self._merged(t, key)) for t, key in zip(tensors, keys, strict=True)]
        roi = None
        if self.roi_key is not None:
            roi = _to_array_order(_one_channel(convert_to_tensor(found[self.roi_key]), self.roi_key))
        response = respond_to_case(
            self.calibration, members, spacing=_spacing(tensors[0]), roi=roi, name=_name(tensors[0], keys[0])
        )
        channel_first = _to_array_order(response)[None].contiguous()
        result, *_ = convert_to_dst_type(channel_first, dst=tensors[0], dtype=torch.float32)
        found[keys[0] if self.output_key is None else self.output_key] = result
        return found

    def _merged(self, tensor: torch.Tensor, key: Hashable) -> torch.Tensor:
        """Merge the channels of the structure into one probability, without the channel axis."""
        _require_case(tensor, key)
        tensor = _plain(tensor)
        if self.channels is None:
            return _one_channel(tensor, key)
        if min(self.channels) < 0 or max(self.channels) >= len(tensor):
            raise InputError(f"{key!r} has {len(tensor)} channels, 0 to {len(tensor) - 1}; asked for {self.channels}")
        if self.merge == "max":
            return tensor[self.channels].amax(dim=0)
        total = tensor.sum(dim=0, dtype=torch.float32)
        if not bool(((total - 1).abs() <= _SUM_TOLERANCE).all()):
            low, high = float(total.min()), float(total.max())
            raise InputError(
                f"{key!r}: the channels do not sum to 1 (sums from {low:.4g} to {high:.4g}), so they are not softmax. "
                "Apply Activationsd(softmax=True) before, or say merge='max' for sigmoid regions."
            )
        merged = tensor[self.channels].sum(dim=0, dtype=torch.float32)
        return torch.where((merged > 1) & (merged < 1 + _SUM_ROUNDING), 1.0, merged)


def _require_case(tensor: torch.Tensor, key: Hashable) -> None:
    if tensor.ndim not in (3, 4) or (isinstance(tensor, MetaTensor) and tensor.is_batch):
        raise InputError(
            f"{key!r} has shape {tuple(tensor.shape)}; one case is (C, x, y, z) or (C, x, y). Take a batch apart with "
            "Decollated or decollate_batch, and add a missing channel axis with EnsureChannelFirstd."
        )


def _one_channel(tensor: torch.Tensor, key: Hashable) -> torch.Tensor:
    _require_case(tensor, key)
    if len(tensor) != 1:
        raise InputError(f"{key!r} has {len(tensor)} channels; say which are the structure, for example channels=[1]")
    return _plain(tensor)[0]


def _plain(tensor: torch.Tensor) -> torch.Tensor:
    """Leave MONAI's metadata behind: it would be carried through every operation."""
    return tensor.as_tensor() if isinstance(tensor, MetaTensor) else tensor


def _to_array_order(tensor: torch.Tensor) -> torch.Tensor:
    """Turn (x, y, z) into (z, y, x), or back; a view."""
    return tensor.permute(*range(tensor.ndim)[::-1])


def _spacing(tensor: torch.Tensor) -> tuple[float, ...] | None:
    """Give the voxel size in mm in array order, (z, y, x), or None where it is not known.

    Pitfall: MONAI gives a tensor that no file was read for the identity as its affine, which says 1 mm of what nobody
    measured.
    """
    if not isinstance(tensor, MetaTensor):
        return None
    identity = torch.eye(len(tensor.affine), dtype=tensor.affine.dtype, device=tensor.affine.device)
    if torch.equal(tensor.affine, identity) and "original_affine" not in tensor.meta:
        return None
    sizes = tensor.pixdim.tolist()[: tensor.ndim - 1]
    return tuple(float(size) for size in reversed(sizes))


def _name(tensor: torch.Tensor, key: Hashable) -> str:
    """Call the case by its file, where that is known."""
    file = tensor.meta.get("filename_or_obj") if isinstance(tensor, MetaTensor) else None
    return Path(file).name if isinstance(file, str) else f"at {key!r}"
