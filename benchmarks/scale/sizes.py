"""The sizes that are measured, and the files of one case of each."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import nibabel
import numpy as np
from benchmarks.speed import data

AFFINE = np.diag([0.7, 0.7, 1.0, 1.0])


@dataclass(frozen=True)
class Size:
    """What the work on a case grows with.

    Attributes:
        shape: Slices, rows, columns.
        members: Number of members.
        raters: Number of raters.
    """

    shape: tuple[int, int, int]
    members: int
    raters: int

    @property
    def voxels(self) -> int:
        """Number of voxels."""
        return int(np.prod(self.shape))


USUAL = Size((300, 512, 512), members=3, raters=5)
"""A CT, for which everything is extrapolated."""

MEASURED = (
    Size((32, 128, 128), 3, 5),
    Size((64, 256, 256), 3, 5),
    Size((128, 256, 256), 3, 5),
    Size((128, 256, 256), 1, 5),
    Size((128, 256, 256), 5, 5),
    Size((128, 256, 256), 3, 1),
    Size((128, 256, 256), 3, 9),
    Size((128, 512, 512), 3, 5),
)
"""One after another: voxels, then members, then raters, then voxels again."""


@dataclass(frozen=True)
class Files:
    """The files of a case, as nnU-Net and raters leave them."""

    members: list[Path]
    raters: list[Path]

    @property
    def size(self) -> int:
        """Bytes of what is read."""
        return sum(path.stat().st_size for path in (*self.members, *self.raters))


def write(size: Size, folder: Path) -> Files:
    """Write a made-up case: nnU-Net's compressed arrays, with the segmentation beside, and masks."""
    members, raters = [], []
    for k in range(size.members):
        place = folder / f"member_{k}"
        place.mkdir(parents=True)
        p = data.member(size.shape, seed=k)
        np.savez_compressed(place / "case.npz", probabilities=np.stack([1 - p, p]))
        save((p > 0.5).astype(np.uint8), place / "case.nii.gz")
        content = {"labels": {"background": 0, "tumour": 1}, "file_ending": ".nii.gz"}
        (place / "dataset.json").write_text(json.dumps(content), encoding="utf-8")
        members.append(place / "case.npz")
    for k in range(size.raters):
        raters.append(folder / f"annotation_{k + 1}.nii.gz")
        save(data.rater(size.shape, seed=k), raters[-1])
    return Files(members, raters)


def save(array: np.ndarray, path: Path) -> None:
    """Write an array (z, y, x) as NIfTI."""
    nibabel.save(nibabel.Nifti1Image(array.T, AFFINE), path)
