"""Small files for the tests of cohorts, by SimpleITK and NumPy: nothing that is read was written by the package."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk
from numpy.typing import NDArray

SHAPE = (2, 3, 4)


@pytest.fixture(scope="session")
def mask() -> Callable[..., NDArray[np.uint8]]:
    """Give a function that makes a random mask."""
    return lambda seed, shape=SHAPE: np.random.default_rng(seed).integers(0, 2, shape).astype(np.uint8)


@pytest.fixture(scope="session")
def probability() -> Callable[..., NDArray[np.float32]]:
    """Give a function that makes a random probability map."""
    return lambda seed, shape=SHAPE: np.random.default_rng(seed).random(shape, np.float32)


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    """Write an image below the test's folder; geometry in SimpleITK's order, (x, y, z)."""

    def to_file(name: str, array: NDArray[Any], **geometry: tuple[float, ...]) -> Path:
        image = sitk.GetImageFromArray(array)
        image.SetSpacing(geometry.get("spacing", (0.5, 0.75, 2.0)[: array.ndim]))
        image.SetOrigin(geometry.get("origin", (-7.0, 3.5, 90.0)[: array.ndim]))
        if "direction" in geometry:
            image.SetDirection(geometry["direction"])
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        sitk.WriteImage(image, str(path))
        return path

    return to_file


@pytest.fixture
def write_nnunet(tmp_path: Path, write: Callable[..., Path]) -> Callable[..., Path]:
    """Write what nnU-Net v2 writes of a case: the softmax, the segmentation, the labels."""

    def to_folder(
        folder: str, case: str, foreground: NDArray[np.float32], *, label: str = "tumour", segmented: bool = True
    ) -> Path:
        place = tmp_path / folder
        place.mkdir(parents=True, exist_ok=True)
        (place / "dataset.json").write_text(json.dumps({"labels": {"background": 0, label: 1}}))
        volume = foreground if foreground.ndim == 3 else foreground[None]
        np.savez(place / f"{case}.npz", probabilities=np.stack([1 - volume, volume]))
        if segmented:
            write(f"{folder}/{case}.nii.gz", (foreground > 0.5).astype(np.uint8))
        return place

    return to_folder
