"""nnU-Net's checkpoints: read without running code, written small.

A checkpoint is a pickle inside a zip archive, and a pickle from elsewhere can run any program when it is loaded. The
``weights_only`` unpickler of torch builds tensors and plain containers and nothing else. What nnU-Net 2 writes besides
(its log holds NumPy scalars) is data too and allowed here by name; all else is refused unless the user vouches for the
file.
"""

from __future__ import annotations

import io
import pickle
import re
import warnings
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from twintrack.errors import ModelError, TwinTrackWarning
from twintrack.images.atomic import replacing

_LARGEST_HALF = 65504.0
_NUMBERS = ("?", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8")  # as NumPy abbreviates them
_WRAPPERS = ("module.", "_orig_mod.")  # what DistributedDataParallel and torch.compile put before every name


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """What prediction needs of a checkpoint.

    Attributes:
        weights: The network's tensors by name, on the CPU.
        trainer_name: The class that trained it.
        configuration: The configuration of the plans it was trained with ("3d_fullres").
        mirroring: Spatial axes along which inputs may be mirrored at test time; None for not at all.
    """

    weights: dict[str, torch.Tensor]
    trainer_name: str
    configuration: str
    mirroring: tuple[int, ...] | None


def load_checkpoint(path: Path, *, trust: bool = False) -> Checkpoint:
    """Read a checkpoint written by nnU-Net or by `save_checkpoint`.

    Args:
        path: The file.
        trust: Whether a file that can run code when loaded is loaded all the same.

    Returns:
        The checkpoint.

    Raises:
        ModelError: If there is no such file, it is damaged, could run code and is not trusted, or is no checkpoint of
            nnU-Net v2.

    Warns:
        TwinTrackWarning: If it was loaded on trust.
    """
    content = _read(Path(path), trust=trust)
    missing = [key for key in ("network_weights", "trainer_name", "init_args") if key not in content]
    arguments = content.get("init_args")
    if missing or not isinstance(arguments, Mapping) or not isinstance(arguments.get("configuration"), str):
        raise ModelError(
            f"{path}: not a checkpoint of nnU-Net v2: it lacks {', '.join(missing) or 'init_args.configuration'}"
        )
    mirroring = content.get("inference_allowed_mirroring_axes")
    return Checkpoint(
        weights=_weights(content["network_weights"], path),
        trainer_name=str(content["trainer_name"]),
        configuration=arguments["configuration"],
        mirroring=tuple(int(axis) for axis in mirroring) if mirroring else None,
    )


def save_checkpoint(path: Path, checkpoint: Checkpoint, *, half: bool = True) -> None:
    """Write what prediction needs of a checkpoint, and nothing else: no optimizer, no log.

    nnU-Net itself can predict with the file; loading it runs no code. The same weights give the same bytes.

    Args:
        path: The file to write; replaced if it exists.
        checkpoint: The checkpoint.
        half: Store float32 as float16 (relative rounding 5e-4); tensors with larger numbers than it holds stay as they
            are.

    Raises:
        OutputError: If the file cannot be written.
    """
    # Pitfall: nnU-Net's decoder holds its encoder, so that tensors occur under two names; converting each by itself
    # would store them twice.
    converted: dict[tuple[Any, ...], torch.Tensor] = {}
    weights = {}
    for name, tensor in checkpoint.weights.items():
        key = (tensor.data_ptr(), tuple(tensor.shape), tensor.stride(), tensor.dtype)
        if key not in converted:
            converted[key] = _compact(tensor.detach().cpu(), half=half)
        weights[name] = converted[key]
    content = {
        "network_weights": weights,
        "trainer_name": checkpoint.trainer_name,
        "init_args": {"configuration": checkpoint.configuration},
        "inference_allowed_mirroring_axes": checkpoint.mirroring,
    }
    # Pitfall: torch writes the file's name into the archive; through memory the temporary name does not get there.
    memory = io.BytesIO()
    torch.save(content, memory)
    with replacing(Path(path)) as temporary:
        temporary.write_bytes(memory.getbuffer())


def _compact(tensor: torch.Tensor, *, half: bool) -> torch.Tensor:
    fits = tensor.dtype == torch.float32 and (tensor.numel() == 0 or float(tensor.abs().max()) <= _LARGEST_HALF)
    # A copy: torch.save writes the whole storage a tensor is a view of.
    return tensor.to(torch.float16 if half and fits else tensor.dtype, copy=True).contiguous()


def _weights(weights: object, path: Path) -> dict[str, torch.Tensor]:
    if not isinstance(weights, Mapping) or not all(isinstance(tensor, torch.Tensor) for tensor in weights.values()):
        raise ModelError(f"{path}: 'network_weights' must give each name a tensor; this is no checkpoint of nnU-Net v2")
    return {_unwrapped(str(name)): tensor for name, tensor in weights.items()}


def _unwrapped(name: str) -> str:
    for wrapper in _WRAPPERS * 2:
        name = name.removeprefix(wrapper)
    return name


def _read(path: Path, *, trust: bool) -> Mapping[str, Any]:
    if not path.is_file():
        raise ModelError(f"{path}: there is no such checkpoint")
    _require_sound(path)
    try:
        with torch.serialization.safe_globals(_numpy_numbers()), warnings.catch_warnings():
            # Of pickles torch did not write; they are refused below.
            warnings.filterwarnings("ignore", message="Detected pickle protocol")
            content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        reason = _unsafe(error)
        if reason is None:
            raise ModelError(_damaged(path, error)) from error
        content = _read_trusted(path, reason, trust=trust)
    except (RuntimeError, EOFError, ValueError, KeyError, AttributeError, TypeError, IndexError, OSError) as error:
        raise ModelError(_damaged(path, error)) from error
    if not isinstance(content, Mapping):
        raise ModelError(f"{path}: holds {type(content).__name__}; a checkpoint of nnU-Net v2 holds a dictionary")
    return content


def _require_sound(path: Path) -> None:
    """Compare the checksums in the archive with what lies there.

    Pitfall: torch does not look at them, and a flipped bit becomes a wrong weight.
    """
    try:
        if not zipfile.is_zipfile(path):
            _require_pickle(path)
            return
        with zipfile.ZipFile(path) as archive:
            bad = archive.testzip()
        if bad is not None:
            raise ModelError(_damaged(path, ValueError(f"the checksum of {bad} is wrong")))
    except (zipfile.BadZipFile, zlib.error, OSError, NotImplementedError) as error:
        raise ModelError(_damaged(path, error)) from error


def _require_pickle(path: Path) -> None:
    """Refuse what is neither an archive nor a pickle, which torch would take for instructions it does not allow."""
    with path.open("rb") as stream:
        if stream.read(1) != pickle.PROTO:
            raise ModelError(_damaged(path, ValueError("neither a zip archive nor a pickle")))


def _read_trusted(path: Path, reason: str, *, trust: bool) -> object:
    if not trust:
        raise ModelError(
            f"{path}: loading this checkpoint could run code: it holds more than tensors and plain data ({reason}). "
            "If you know where it comes from and trust it, say --trust-checkpoint."
        )
    message = f"{path}: loaded on trust, although loading it could run code ({reason})"
    warnings.warn(message, TwinTrackWarning, stacklevel=4)
    try:
        return torch.load(path, map_location="cpu", weights_only=False)
    except Exception as error:
        raise ModelError(_damaged(path, error)) from error


def _unsafe(error: Exception) -> str | None:
    """Give what the unpickler would have had to import or call; None if that is not why it stopped."""
    found = re.search(r"GLOBAL (\S+)", str(error)) or re.search(r"((?:Unsupported|Trying to)[^\n]*)", str(error))
    return found.group(1) if found else None


def _damaged(path: Path, error: Exception) -> str:
    said = (str(error).strip() or type(error).__name__).splitlines()[0][:200]
    return f"{path}: cannot be read as a checkpoint; it is damaged, cut short, or another kind of file ({said})"


def _numpy_numbers() -> list[Any]:
    """Name what NumPy's numbers are pickled with; under both names the module had (NumPy 1 and 2)."""
    scalar = np.float64(0).__reduce__()[0]
    names = ("numpy.core.multiarray.scalar", "numpy._core.multiarray.scalar")
    return [*((scalar, name) for name in names), np.dtype, *(type(np.dtype(name)) for name in _NUMBERS)]
