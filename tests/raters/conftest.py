"""What the tests of the raters share: simulated raters, and readers of the real ones."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import SimpleITK
from numpy.typing import NDArray

Masks = list[NDArray[np.uint8]]


@pytest.fixture(scope="session")
def simulated_raters() -> Callable[..., Masks]:
    """Give a function that simulates raters: each draws an ellipsoid of their own, with stray errors."""

    def simulate(*, raters: int, shape: tuple[int, ...] = (24, 30, 28), seed: int = 0, error: float = 0.002) -> Masks:
        rng = np.random.default_rng(seed)
        axes = np.ogrid[tuple(slice(size) for size in shape)]
        masks = []
        for _ in range(raters):
            radius = rng.uniform(0.18, 0.32, size=len(shape)) * shape
            centre = np.array(shape) / 2 + rng.uniform(-1.5, 1.5, size=len(shape))
            distance = sum(((axis - c) / r) ** 2 for axis, c, r in zip(axes, centre, radius, strict=True))
            masks.append(((distance < 1) ^ (rng.random(shape) < error)).astype(np.uint8))
        return masks

    return simulate


@pytest.fixture(scope="session")
def read_raters() -> Callable[..., Masks]:
    """Give a function that reads all annotation files of a case as binary masks of one label."""

    def read(folder: Path, *, label: int = 1) -> Masks:
        files = sorted(folder.glob("annotation_*.nii.gz"))
        return [
            (SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(file))) == label).astype(np.uint8) for file in files
        ]

    return read
