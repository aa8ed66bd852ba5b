"""Models whose answers are known: what the tests put in the networks' place."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from twintrack.images import Grid, Volume
from twintrack.segmentation.bundle import Bundle, MemberEntry, RoiSettings
from twintrack.segmentation.bundle_files import LoadedBundle
from twintrack.segmentation.model import View


class FakeMember:
    """Says a probability that depends on the voxel and on where in the turned image it lies."""

    def __init__(self, name="a", *, foreground=("tumour",), change=None):
        self.name = name
        self.foreground = foreground
        self.change = change or (lambda array: array)
        self.views: list[View] = []

    def probability(self, view):
        self.views.append(view)
        places = np.meshgrid(
            *(np.arange(size)[part] for size, part in zip(view.ct.grid.shape, view.box, strict=True)), indexing="ij"
        )
        position = sum(place * weight for place, weight in zip(places, (0.31, 0.17, 0.07), strict=False))
        wave = np.sin(position + view.image / 400.0)
        return self.change((0.5 + 0.49 * wave).astype(np.float32))


class FakeCoarse:
    """Finds what is brighter than a threshold, on a lattice of every second voxel."""

    name = "coarse"

    def __init__(self, *, above=200.0, change=None):
        self.above = above
        self.change = change or (lambda array: array)
        self.asked = 0

    def locate(self, ct):
        self.asked += 1
        padded = [(0, size % 2) for size in ct.array.shape]
        bright = np.pad(ct.array > self.above, padded)
        z, y, x = (size // 2 for size in bright.shape)
        return self.change(bright.reshape(z, 2, y, 2, x, 2).any(axis=(1, 3, 5)))


class FakeNetworks:
    """The models of an ensemble, without files."""

    def __init__(self, *members, coarse=None):
        self.members = members or (FakeMember("a"), FakeMember("b", change=lambda array: array / 2))
        self.coarse = coarse


def loaded_bundle(folder=Path("bundle"), **fields):
    """A bundle that lies nowhere."""
    entries = fields.pop("members", (MemberEntry(name="a", path="a"), MemberEntry(name="b", path="b")))
    given = {"name": "fake", "structure": "tumour", "foreground": ("tumour",), "members": entries, **fields}
    return LoadedBundle(Bundle(**given), folder, "0" * 64)


def small_roi(**fields):
    """ROI settings that suit images of a few centimetres."""
    return RoiSettings(**{"margin": 3.0, "smallest": 20.0, **fields})


def ct_volume(shape=(12, 14, 16), *, spacing=(2.0, 1.0, 1.5), direction=None, seed=0, lesion=True):
    """Air, noise and a bright lesion off the middle."""
    rng = np.random.default_rng(seed)
    array = rng.integers(-1000, 100, shape).astype(np.int16)
    if lesion:
        array[tuple(slice(size // 4, size // 4 + 4) for size in shape)] = 500
    n = len(shape)
    cosines = np.eye(n) if direction is None else np.asarray(direction)
    grid = Grid(shape=shape, spacing=spacing, origin=(5.0, -7.0, 11.0)[:n], direction=tuple(cosines.ravel().tolist()))
    return Volume(array, grid, "ct.nii.gz")
