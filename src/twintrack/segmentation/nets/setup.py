"""What must be done before, while and around using nnU-Net: every trap in this one place, each with its reason."""

from __future__ import annotations

import contextlib
import importlib
import io
import sys
import types
import warnings
from collections.abc import Iterator

import torch

from twintrack.segmentation.extra import require_nnunet

_PRIMUS = "nnunetv2.training.nnUNetTrainer.primus.primus_trainers"


def prepare_nnunet() -> None:
    """Import nnU-Net's inference quietly; costs seconds the first time and nothing after that.

    Raises:
        MissingExtraError: If torch or nnunetv2 is not installed.
    """
    require_nnunet()
    with quiet():
        importlib.import_module("nnunetv2.inference.predict_from_raw_data")


def prepare_trainer_lookup() -> None:
    """Make nnU-Net's search for a trainer by its name possible where torchvision cannot be imported.

    Pitfall: the search imports every trainer there is, also ``primus_trainers``, which imports timm and torchvision.
    A torchvision built for another torch (a CUDA build beside the CPU's torch) raises RuntimeError on import
    ("operator torchvision::nms does not exist"), and with it every search fails. An empty module in the place of
    ``primus_trainers`` leaves all other trainers to be found. It is left alone where it can be imported.
    """
    prepare_nnunet()
    if _PRIMUS in sys.modules:
        return
    try:
        with quiet():
            importlib.import_module(_PRIMUS)
    except Exception:  # noqa: BLE001  (whatever a broken installation raises)
        # Pitfall: what was imported half stays in sys.modules and fails differently the second time.
        for name in [name for name in sys.modules if name.partition(".")[0] in {"timm", "torchvision"}]:
            del sys.modules[name]
        sys.modules[_PRIMUS] = types.ModuleType(_PRIMUS)


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keep nnU-Net from writing to our standard output, from warning, and from changing torch's threads.

    To be held around calls to nnU-Net only, so that nothing of ours is silenced.

    Pitfalls: nnU-Net prints to standard output ("perform_everything_on_device=True is only supported for cuda", "No
    label manager specified"; before 2.8 also that nnUNet_raw, nnUNet_preprocessed and nnUNet_results are not set, which
    inference does not need), where machines read our results. It warns of its own deprecations and of torch's, which a
    user cannot mend. Its resampling and export set torch's number of threads (to nnUNet_def_n_proc, 8 if unset, or 4)
    and do not set it back when they fail or are interrupted.
    """
    threads = torch.get_num_threads()
    try:
        with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        if torch.get_num_threads() != threads:
            torch.set_num_threads(threads)
