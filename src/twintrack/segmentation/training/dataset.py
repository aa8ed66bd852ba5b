"""Writes datasets as nnU-Net wants them: `raw/DatasetNNN_<label>/imagesTr` and `labelsTr`, and the split."""

from __future__ import annotations

import json
import shutil
from collections.abc import Collection
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from twintrack.images import Volume, write_volume
from twintrack.images.atomic import make_folder, write_text
from twintrack.images.hashing import sha256_of_all
from twintrack.segmentation.records import require_file_name

_ENDING = ".nii.gz"


class DatasetWriter:
    """A dataset being written, case by case.

    Args:
        folder: Gets ``raw/`` and ``preprocessed/``; what an earlier run left of ``raw/`` is replaced.
        label: Name of the foreground.
        number: nnU-Net's number of the dataset.
    """

    def __init__(self, folder: Path, *, label: str, number: int) -> None:
        self.folder = folder
        self.name = f"Dataset{number:03d}_{label}"
        self.label = label
        self._raw = folder / "raw" / self.name
        self._cases: list[str] = []
        shutil.rmtree(self._raw, ignore_errors=True)
        for part in ("imagesTr", "labelsTr"):
            make_folder(self._raw / part)

    def add(self, case_id: str, ct: Volume, mask: NDArray[np.bool_]) -> None:
        """Write a case.

        Args:
            case_id: The case.
            ct: Its image.
            mask: The foreground, of the image's shape.

        Raises:
            InputError: If the id cannot be a file's name.
            OutputError: If it cannot be written.
        """
        name = require_file_name(case_id)
        write_volume(self._raw / "imagesTr" / f"{name}_0000{_ENDING}", ct)
        write_volume(self._raw / "labelsTr" / f"{name}{_ENDING}", Volume(mask.view(np.uint8), ct.grid, case_id))
        self._cases.append(name)

    @property
    def cases(self) -> tuple[str, ...]:
        """The cases written so far."""
        return tuple(self._cases)

    def finish(self, held_out: Collection[str]) -> str:
        """Write what nnU-Net must know of the dataset.

        Args:
            held_out: Cases that nnU-Net watches its loss on and does not learn from.

        Returns:
            A hash of everything written, which a later run knows the dataset by.

        Raises:
            OutputError: If it cannot be written.
        """
        about = {
            "channel_names": {"0": "CT"},
            "labels": {"background": 0, self.label: 1},
            "numTraining": len(self._cases),
            "file_ending": _ENDING,
            "overwrite_image_reader_writer": "SimpleITKIO",
        }
        train = sorted(set(self._cases) - set(held_out))
        # nnU-Net cannot do without cases to watch.
        watched = sorted(set(self._cases) & set(held_out)) or train
        prepared = self.folder / "preprocessed" / self.name
        make_folder(prepared)
        write_text(self._raw / "dataset.json", json.dumps(about, indent=1) + "\n")
        write_text(prepared / "splits_final.json", json.dumps([{"train": train, "val": watched}], indent=1) + "\n")
        files = sorted(path for path in self._raw.rglob("*") if path.is_file())
        return sha256_of_all([*files, prepared / "splits_final.json"])
