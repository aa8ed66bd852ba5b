"""Volumes in parts: the same voxels as whole ones, the same refusals, the same files, and never all in memory."""

from __future__ import annotations

import json
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from twintrack.errors import InputError, OutputError, TwinTrackWarning
from twintrack.images import Grid, Volume, read_probability, write_volume
from twintrack.images.nnunet import read_probability_in_parts
from twintrack.images.parts import PART, VolumeParts
from twintrack.images.write import write_parts

SHAPE = (5, 250, 251)  # a part and a bit
WRITTEN = (".nii.gz", ".nii", ".mha", ".nrrd", ".npy", ".npz")


@pytest.fixture
def small_parts(monkeypatch: pytest.MonkeyPatch) -> int:
    for module in ("parts", "nnunet"):
        monkeypatch.setattr(f"twintrack.images.{module}.PART", 7)
    return 7


def prediction(folder: Path, array: np.ndarray, save: Callable[..., None] = np.savez_compressed) -> Path:
    folder.mkdir(exist_ok=True)
    save(folder / "case.npz", probabilities=array)
    names = ["background", "tumour", "cyst", "duct"][: len(array)]
    labels = {name: number for number, name in enumerate(names)}
    (folder / "dataset.json").write_text(json.dumps({"labels": labels, "file_ending": ".nii.gz"}))
    grid = Grid.plain(array.shape[1:], spacing=(3.0, 0.7, 0.7))
    write_volume(folder / "case.nii.gz", Volume(np.zeros(grid.shape, np.uint8), grid))
    return folder / "case.npz"


@given(
    dtype=st.sampled_from(["<f4", ">f4", "<f2", ">f8"]),
    channels=st.integers(2, 4),
    shape=st.tuples(*[st.integers(1, 4)] * 3),
    fortran=st.booleans(),
    save=st.sampled_from([np.savez, np.savez_compressed]),
    several=st.booleans(),
)
@settings(
    deadline=None,
    max_examples=60,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_parts_are_those_of_the_whole(
    tmp_path: Path,
    small_parts: int,
    dtype: str,
    channels: int,
    shape: tuple[int, int, int],
    fortran: bool,
    save: Callable[..., None],
    several: bool,
) -> None:
    array = np.random.default_rng(3).random((channels, *shape)).astype(dtype) / channels
    path = prediction(tmp_path / "in", np.asfortranarray(array) if fortran else array, save)
    foreground = ["tumour", "cyst"] if several and channels > 2 else ["tumour"]
    whole, parts = (read(path, foreground=foreground) for read in (read_probability, read_probability_in_parts))
    assert (parts.grid, parts.name) == (whole.grid, whole.name)
    found = list(parts.parts)
    assert [part.size for part in found[:-1]] == [small_parts] * (len(found) - 1)
    assert {part.dtype for part in found} == {np.dtype(np.float32)}
    assert np.concatenate(found).tobytes() == whole.array.tobytes()


@pytest.mark.parametrize("shape", [(2, 3), (2, 3, 4), (1, 7, 1), (1, 1)])
def test_a_volume_is_cut_and_put_together(small_parts: int, shape: tuple[int, ...]) -> None:
    volume = Volume.from_array(np.arange(np.prod(shape), dtype=np.int16).reshape(shape), name="mine")
    back = VolumeParts.of(volume).whole(np.int16)
    np.testing.assert_array_equal(back.array, volume.array)
    assert (back.grid, back.name) == (volume.grid, volume.name)
    assert {part.size for part in list(VolumeParts.of(volume).parts)[:-1]} <= {small_parts}


def test_missing_voxels_are_noticed(tmp_path: Path) -> None:
    grid = Grid.plain((2, 3), spacing=(1, 1))
    for path in (tmp_path / "a.nii.gz", tmp_path / "a.mha"):
        parts = (np.zeros(size, np.float32) for size in (3, 2))
        with pytest.raises(ValueError, match="mine"):
            write_parts(path, VolumeParts(parts, grid, "mine"))
    assert not list(tmp_path.iterdir())


def test_neither_channel_is_ever_whole_in_memory(tmp_path: Path) -> None:
    array = np.zeros((2, 30, 512, 512), np.float32)
    array[1, ::2] = 0.5
    path = prediction(tmp_path / "in", array)
    tracemalloc.start()
    n_voxels = sum(part.size for part in read_probability_in_parts(path).parts)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert n_voxels == array[1].size
    assert peak < array[1].nbytes / 3  # 31 MB


DAMAGE: dict[str, Callable[[bytearray], object]] = {
    "checksum": lambda content: content.__setitem__(content.index(b"PK\1\2") + 16, content[16] ^ 0xA5),
    "length": lambda content: content.__setitem__(content.index(b"PK\1\2") + 24, content[24] ^ 0xA5),
    "a byte in the middle": lambda content: content.__setitem__(len(content) // 2, content[len(content) // 2] ^ 255),
    "end": lambda content: content.__delitem__(slice(-1000, None)),
    "the middle": lambda content: content.__delitem__(slice(len(content) // 2, len(content) // 2 + 999)),
}


@pytest.mark.parametrize("damage", DAMAGE)
@pytest.mark.parametrize("channel", [0, 1])
def test_what_is_damaged_is_refused_as_it_is_whole_and_never_given_to_its_end(
    tmp_path: Path, damage: str, channel: int
) -> None:
    array = np.random.default_rng(1).random((2, *SHAPE), np.float32)
    path = prediction(tmp_path / "in", array)
    content = bytearray(path.read_bytes())
    DAMAGE[damage](content)
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"case\.npz: (damaged|cut short)") as whole:
        read_probability(path, foreground=[1] if channel else None)
    with pytest.raises(InputError) as in_parts:
        list(read_probability_in_parts(path, foreground=[1] if channel else None).parts)
    assert str(in_parts.value) == str(whole.value)


@pytest.mark.parametrize("ending", WRITTEN)
@pytest.mark.parametrize("shape", [(3, 4), SHAPE])
def test_parts_give_the_file_that_the_whole_gives(tmp_path: Path, ending: str, shape: tuple[int, ...]) -> None:
    array = np.random.default_rng(2).random(shape, np.float32)
    array[array < 0.9] = 0
    volume = Volume(array, Grid.plain(shape, spacing=(2.0, 0.5, 0.25)[: len(shape)]), "mine")
    write_volume(tmp_path / f"a{ending}", volume)
    write_parts(tmp_path / f"b{ending}", VolumeParts.of(volume))
    assert (tmp_path / f"a{ending}").read_bytes() == (tmp_path / f"b{ending}").read_bytes()


@pytest.mark.parametrize("dtype", ["uint8", "int16", "float32", "float64"])
@pytest.mark.parametrize("axes", [2, 3])
def test_the_header_is_the_one_simpleitk_writes(tmp_path: Path, grid_3d: Grid, dtype: str, axes: int) -> None:
    grid = (
        grid_3d if axes == 3 else Grid(shape=(5, 6), spacing=(0.5, 0.25), origin=(3.0, -7.0), direction=(-1, 0, 0, -1))
    )
    array = np.arange(np.prod(grid.shape)).astype(dtype).reshape(grid.shape)
    write_volume(tmp_path / "a.nii", Volume(array, grid))
    image = sitk.GetImageFromArray(array)
    image.SetSpacing(grid.spacing[::-1])
    image.SetOrigin(grid.origin)
    image.SetDirection(grid.direction)
    sitk.WriteImage(image, str(tmp_path / "b.nii"))
    assert (tmp_path / "a.nii").read_bytes() == (tmp_path / "b.nii").read_bytes()


@pytest.mark.parametrize("ending", WRITTEN)
@pytest.mark.parametrize("error", [InputError("the last part is bad"), KeyboardInterrupt()])
def test_a_part_that_fails_leaves_the_old_file(tmp_path: Path, ending: str, error: BaseException) -> None:
    path = tmp_path / f"a{ending}"
    path.write_text("old")

    def parts() -> object:
        yield np.zeros(PART, np.float32)
        raise error

    grid = Grid.plain((2, 512, PART // 512), spacing=(1, 1, 1))
    with pytest.raises(type(error)):
        write_parts(path, VolumeParts(parts(), grid, "mine"))  # type: ignore[arg-type]
    assert [each.name for each in tmp_path.iterdir()] == [path.name]
    assert path.read_text(encoding="utf-8") == "old"


@pytest.mark.parametrize(("name", "said"), [("a.txt", "known endings"), ("a.tif", "is not written")])
def test_a_format_that_is_not_written_is_refused_before_anything_is_asked_for(
    tmp_path: Path, name: str, said: str
) -> None:
    def parts() -> object:
        raise AssertionError
        yield

    with pytest.raises(InputError, match=said):
        write_parts(tmp_path / name, VolumeParts(parts(), Grid.plain((2, 2)), "mine"))  # type: ignore[arg-type]


def test_an_unknown_grid_is_said_at_the_call(tmp_path: Path) -> None:
    with pytest.warns(TwinTrackWarning, match="grid of mine is not known") as said:
        write_parts(tmp_path / "a.nii.gz", VolumeParts.of(Volume.from_array(np.zeros((2, 3), np.float32), name="mine")))
    assert said[0].filename == __file__


@pytest.mark.parametrize("shape", [(2, 40_000), (40_000, 2, 1)])
def test_more_voxels_along_an_axis_than_nifti_holds_are_refused(tmp_path: Path, shape: tuple[int, ...]) -> None:
    volume = Volume.from_array(np.zeros(shape, np.uint8), spacing=(1,) * len(shape))
    with pytest.raises(OutputError, match="32767"):
        write_volume(tmp_path / "a.nii.gz", volume)
    assert not list(tmp_path.iterdir())
