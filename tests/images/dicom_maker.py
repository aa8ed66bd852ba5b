"""Writes small DICOM series, whole or spoilt, with SimpleITK's GDCM writer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import SimpleITK as sitk

UPRIGHT = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)


def write_slice(
    path: Path,
    array: np.ndarray,
    *,
    position: Sequence[float],
    cosines: Sequence[float] = UPRIGHT,
    pixel: Sequence[float] = (0.8, 0.7),
    tags: Mapping[str, str] | None = None,
) -> None:
    """Write one slice; `pixel` is row and column distance."""
    image = sitk.GetImageFromArray(array, isVector=array.ndim == 3)
    image.SetSpacing((pixel[1], pixel[0]))
    given = {
        "0008|0060": "CT",
        "0008|103e": "abdomen",
        "0020|000d": "1.2.826.0.1.3680043.2.1125.1",
        "0020|000e": "1.2.826.0.1.3680043.2.1125.2",
        "0020|0011": "4",
        "0020|0032": "\\".join(f"{value:.6f}" for value in position),
        "0020|0037": "\\".join(f"{value:.8f}" for value in cosines),
        "0018|0050": "2.5",
        **(tags or {}),
    }
    for tag, value in given.items():
        image.SetMetaData(tag, value)
    writer = sitk.ImageFileWriter()
    writer.SetImageIO("GDCMImageIO")
    writer.KeepOriginalImageUIDOn()
    writer.SetFileName(str(path))
    path.parent.mkdir(parents=True, exist_ok=True)
    writer.Execute(image)


def write_series(
    folder: Path,
    array: np.ndarray,
    *,
    step: float = 2.5,
    cosines: Sequence[float] = UPRIGHT,
    origin: Sequence[float] = (-12.0, 7.0, 40.0),
    tags: Mapping[str, str] | None = None,
    prefix: str = "a",
) -> None:
    """Write a series whose file names run against the order of the slices."""
    normal = np.cross(cosines[:3], cosines[3:])
    for k, plane in enumerate(array):
        position = np.asarray(origin) + k * step * normal
        write_slice(folder / f"{prefix}{len(array) - k}", plane, position=position, cosines=cosines, tags=tags)
