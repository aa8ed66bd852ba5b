"""Volumes the image tests share."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from twintrack.images import Grid, Volume, write_volume


def rotation(angle_z: float, angle_x: float) -> np.ndarray:
    c, s, d, t = np.cos(angle_z), np.sin(angle_z), np.cos(angle_x), np.sin(angle_x)
    return np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]]) @ np.array([[1, 0, 0], [0, d, -t], [0, t, d]])


DIRECTIONS = {
    "axis-aligned": np.eye(3),
    "flipped": np.diag([-1.0, -1.0, 1.0]),
    "mirrored": np.diag([1.0, 1.0, -1.0]),
    "swapped": np.array([[0.0, 0, 1], [1, 0, 0], [0, 1, 0]]),
    "oblique": rotation(0.3, -0.7),
}


@pytest.fixture(params=sorted(DIRECTIONS))
def grid_3d(request: pytest.FixtureRequest) -> Grid:
    direction = DIRECTIONS[request.param]
    return Grid(
        shape=(4, 5, 6),
        spacing=(2.5, 0.75, 0.6875),
        origin=(-123.25, 17.5, -801.125),
        direction=tuple(direction.ravel().tolist()),
    )


@pytest.fixture
def make_volume() -> Callable[..., Volume]:
    """A volume of noise: nothing in it repeats, so no voxel can stand for another."""

    def make(*, shape: tuple[int, ...] = (4, 5, 6), dtype: str = "float32") -> Volume:
        rng = np.random.default_rng(7)
        array = rng.integers(0, 2 if dtype == "bool" else 120, shape).astype(dtype)
        if np.dtype(dtype).kind == "f":
            array = rng.random(shape).astype(dtype)
        return Volume.from_array(array, spacing=(2.5, 0.75, 0.6875)[-len(shape) :], name="noise")

    return make


@pytest.fixture
def nothing_printed(capfd: pytest.CaptureFixture[str]) -> Iterator[None]:
    """SimpleITK prints from C++; nothing of it may reach the terminal."""
    capfd.readouterr()
    yield
    assert capfd.readouterr() == ("", "")


@pytest.fixture
def no_temporaries_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder of its own for temporaries, which must be empty afterwards."""
    folder = tmp_path / "temporaries"
    folder.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    yield folder
    assert list(folder.iterdir()) == []


def patched_nifti(folder: Path, place: int, form: str, *values: float) -> Path:
    """Write a NIfTI whose header has other numbers at a byte."""
    path = folder / "a.nii"
    write_volume(path, Volume.from_array(np.zeros((4, 5, 6), np.float32), spacing=(3, 2, 1)))
    content = bytearray(path.read_bytes())
    struct.pack_into(form, content, place, *values)
    path.write_bytes(content)
    return path
