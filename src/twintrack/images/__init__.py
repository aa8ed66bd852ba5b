"""Images on their grids: reading and writing NIfTI, MetaImage, NRRD, NumPy and nnU-Net files."""

from __future__ import annotations

from twintrack.images.grid import Grid
from twintrack.images.nnunet import read_probability
from twintrack.images.read import read_volume
from twintrack.images.volume import Volume
from twintrack.images.write import write_volume

__all__ = ["Grid", "Volume", "read_probability", "read_volume", "write_volume"]
