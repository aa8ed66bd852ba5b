"""A member whose probabilities were predicted elsewhere: a folder of nnU-Net predictions or of probability maps."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from twintrack.errors import ModelError
from twintrack.images import Volume, read_probability, read_volume
from twintrack.images.folders import images_in
from twintrack.images.nnunet import foreground_names, is_nnunet_folder, is_nnunet_npz
from twintrack.segmentation.model import View
from twintrack.segmentation.orientation import axis_code, oriented


class PrecomputedModel:
    """Gives, case by case, what a folder holds.

    Args:
        folder: ``<case>.npz`` as nnU-Net saves it (``--save_probabilities``), or ``<case>.nii.gz`` (or another image
            format) with the structure's probability.
        name: What to call the member.
        foreground: Labels that are the structure, for nnU-Net's predictions.

    Raises:
        ModelError: If there is no such folder.
        InputError: If the foreground cannot be resolved.
    """

    def __init__(self, folder: Path, *, name: str, foreground: Sequence[str | int] | None = None) -> None:
        if not folder.is_dir():
            raise ModelError(f"member {name}: there is no folder {folder} of precomputed probabilities")
        self.folder = folder
        self.name = name
        self._wanted = tuple(foreground) if foreground else None
        self.foreground = foreground_names(folder, self._wanted)

    def file(self, case_id: str) -> Path:
        """Give the file of a case.

        Args:
            case_id: The case.

        Returns:
            The file.

        Raises:
            ModelError: If there is none.
        """
        saved = self.folder / f"{case_id}.npz"
        if is_nnunet_npz(saved):
            return saved
        # Beside nnU-Net's .npz lie segmentations, which are no probabilities: a case without .npz has none.
        path = None if is_nnunet_folder(self.folder) else images_in(self.folder).get(case_id)
        if path is None:
            raise ModelError(
                f"member {self.name}: {self.folder} holds no probability of case {case_id}; expected "
                f"{case_id}.npz (nnU-Net's --save_probabilities) or an image {case_id}.nii.gz with probabilities"
            )
        return path

    def probability(self, view: View) -> NDArray[np.float32]:
        """Read the case's probability.

        Args:
            view: What is asked about.

        Returns:
            float32 probability on the view's box.

        Raises:
            ModelError: If there is none of this case, or it is no probability map.
            GeometryError: If it does not lie on the CT's grid.
            InputError: If the file cannot be read.
        """
        volume = self._read(self.file(view.case_id))
        if volume.array.dtype.kind != "f":
            raise ModelError(
                f"{volume.name}: a probability map holds floating-point numbers; this one is {volume.array.dtype}"
            )
        if volume.grid.known and view.ct.grid.known and len(volume.grid.shape) == 3:
            volume, _ = oriented(volume, axis_code(view.ct.grid))
        view.ct.grid.require_same(volume.grid, name=view.ct.name, other_name=volume.name)
        return np.array(volume.array[view.box], np.float32)

    def _read(self, path: Path) -> Volume:
        return read_probability(path, foreground=self._wanted) if is_nnunet_npz(path) else read_volume(path)
