"""What the tests of segmentation share."""

from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path

import pytest

from . import fakes as fake_models


@pytest.fixture(scope="session", autouse=True)
def one_thread():
    """Networks this small are slower on several threads."""
    if find_spec("torch") is None:
        yield
        return
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def fakes():
    """Models whose answers are known, and images for them."""
    return fake_models


def write_result_folder(folder: Path, *, labels=("pancreas", "tumour"), folds=("0",), reader="SimpleITKIO") -> Path:
    """Write what looks like an nnU-Net result folder until the weights are loaded."""
    plans = {"configurations": {"3d_fullres": {}}, "image_reader_writer": reader}
    numbers = {name: number for number, name in enumerate(("background", *labels))}
    dataset = {"labels": numbers, "channel_names": {"0": "CT"}, "file_ending": ".nii.gz"}
    for fold in folds:
        (folder / f"fold_{fold}").mkdir(parents=True)
        (folder / f"fold_{fold}" / "checkpoint_final.pth").write_bytes(f"{folder.name} {fold}".encode())
        (folder / f"fold_{fold}" / "progress.png").write_bytes(b"not needed")
    (folder / "plans.json").write_text(json.dumps(plans))
    (folder / "dataset.json").write_text(json.dumps(dataset))
    return folder


@pytest.fixture
def result_folder(tmp_path):
    """A function that writes a result folder of a name."""
    return lambda name, **given: write_result_folder(tmp_path / "trained" / name, **given)
