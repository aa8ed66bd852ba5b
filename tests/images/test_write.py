"""Writing: what is written is what any reader reads, and nothing half-written is ever left."""

from __future__ import annotations

import gzip
import os
import re
import subprocess
import sys
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from twintrack.errors import InputError, OutputError, TwinTrackWarning
from twintrack.images import Grid, Volume, read_volume, write_volume
from twintrack.images.packing.compress import compress_metaimage, compress_nrrd

ITK_ENDINGS = (".nii", ".nii.gz", ".mha", ".nrrd", ".seg.nrrd")
ENDINGS = (*ITK_ENDINGS, ".npy", ".npz")
DTYPES = ("uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64", "int64", "float32", "float64")

pytestmark = pytest.mark.usefixtures("nothing_printed", "no_temporaries_left")


@pytest.mark.parametrize("shape", [(4, 5, 6), (5, 6), (1, 5, 6)])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("ending", ITK_ENDINGS)
def test_simpleitk_reads_what_was_written(
    tmp_path: Path, make_volume: Callable[..., Volume], ending: str, dtype: str, shape: tuple[int, ...]
) -> None:
    volume = make_volume(shape=shape, dtype=dtype)
    write_volume(tmp_path / f"a{ending}", volume)
    image = sitk.ReadImage(str(tmp_path / f"a{ending}"))
    array = sitk.GetArrayFromImage(image)
    assert array.dtype == dtype
    np.testing.assert_array_equal(array, volume.array)
    np.testing.assert_allclose(image.GetSpacing(), volume.grid.spacing[::-1])


@pytest.mark.parametrize("ending", ITK_ENDINGS)
def test_simpleitk_finds_every_voxel_where_the_grid_says(
    tmp_path: Path, make_volume: Callable[..., Volume], grid_3d: Grid, ending: str
) -> None:
    write_volume(tmp_path / f"a{ending}", Volume(make_volume().array, grid_3d))
    image = sitk.ReadImage(str(tmp_path / f"a{ending}"))
    direction = np.reshape(grid_3d.direction, (3, 3))
    for index in ((0, 0, 0), (5, 0, 0), (0, 4, 0), (0, 0, 3), (5, 4, 3)):  # (x, y, z)
        position = np.array(grid_3d.origin) + direction @ (np.array(index) * grid_3d.spacing[::-1])
        np.testing.assert_allclose(image.TransformIndexToPhysicalPoint(index), position, atol=1e-4)


@pytest.mark.parametrize("ending", [".nii", ".nii.gz", ".mha", ".nrrd", ".npz"])
def test_a_grid_comes_back_as_it_was(
    tmp_path: Path, make_volume: Callable[..., Volume], grid_3d: Grid, ending: str
) -> None:
    volume = Volume(make_volume().array, grid_3d)
    write_volume(tmp_path / f"a{ending}", volume)
    back = read_volume(tmp_path / f"a{ending}")
    assert back.grid.known
    assert back.grid.difference(grid_3d) is None
    np.testing.assert_allclose(back.grid.direction, grid_3d.direction, atol=1e-6)
    np.testing.assert_array_equal(back.array, volume.array)


@pytest.mark.parametrize("ending", [".nii", ".nii.gz", ".mha", ".nrrd", ".npz"])
def test_a_turned_2d_grid_comes_back_as_it_was(tmp_path: Path, ending: str) -> None:
    grid = Grid(shape=(5, 6), spacing=(0.5, 0.25), origin=(3.0, -7.0), direction=(-1.0, 0.0, 0.0, -1.0))
    array = np.arange(30, dtype=np.int16).reshape(5, 6)
    write_volume(tmp_path / f"a{ending}", Volume(array, grid))
    back = read_volume(tmp_path / f"a{ending}")
    np.testing.assert_array_equal(back.array, array)
    assert back.grid.difference(grid) is None


@given(
    array=hnp.arrays(
        st.sampled_from([np.uint8, np.int16, np.float32, np.float64]),
        hnp.array_shapes(min_dims=2, max_dims=3, max_side=7),
    ),
    ending=st.sampled_from(ENDINGS),
    level=st.integers(0, 3),
)
@settings(deadline=None, max_examples=60)
def test_any_array_comes_back_bit_for_bit(
    tmp_path_factory: pytest.TempPathFactory, array: np.ndarray, ending: str, level: int
) -> None:
    path = tmp_path_factory.mktemp("any") / f"a{ending}"
    write_volume(path, Volume.from_array(array, spacing=(2.0,) * array.ndim), compression_level=level)
    back = read_volume(path).array
    assert back.shape == array.shape
    assert back.tobytes() == array.tobytes()  # NaN included


@pytest.mark.parametrize("ending", ENDINGS)
def test_truth_values_are_stored_as_uint8_and_float16_as_float32(tmp_path: Path, ending: str) -> None:
    mask = np.eye(4, dtype=bool)
    write_volume(tmp_path / f"m{ending}", Volume.from_array(mask, spacing=(1, 1)))
    half = np.linspace(0, 1, 16, dtype=np.float16).reshape(4, 4)
    write_volume(tmp_path / f"h{ending}", Volume.from_array(half, spacing=(1, 1)))
    stored_mask, stored_half = read_volume(tmp_path / f"m{ending}").array, read_volume(tmp_path / f"h{ending}").array
    assert (stored_mask.dtype, stored_half.dtype) == (np.uint8, np.float32)
    np.testing.assert_array_equal(stored_mask, mask)
    np.testing.assert_array_equal(stored_half, half)


@pytest.mark.parametrize("ending", ENDINGS)
def test_views_and_foreign_byte_order_are_stored_as_they_look(tmp_path: Path, ending: str) -> None:
    for array in (
        np.arange(120, dtype=">i2").reshape(4, 5, 6),
        np.arange(960, dtype=np.float32).reshape(8, 10, 12)[::2, ::-2, ::2],
        np.asfortranarray(np.arange(120, dtype=np.float64).reshape(4, 5, 6)),
    ):
        write_volume(tmp_path / f"a{ending}", Volume.from_array(array, spacing=(1, 1, 1)))
        np.testing.assert_array_equal(read_volume(tmp_path / f"a{ending}").array, array)


@pytest.mark.parametrize("dtype", ["complex64", "U3", "object", "longdouble"])
@pytest.mark.parametrize("ending", ENDINGS)
def test_types_that_no_image_holds_are_refused(tmp_path: Path, ending: str, dtype: str) -> None:
    with pytest.raises(InputError, match="cannot be stored"):
        write_volume(tmp_path / f"a{ending}", Volume.from_array(np.zeros((2, 2), dtype), spacing=(1, 1)))
    assert not (tmp_path / f"a{ending}").exists()


def test_arrays_without_voxels_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="there must be voxels"):
        write_volume(tmp_path / "a.nii", Volume.from_array(np.zeros((0, 2)), spacing=(1, 1)))


@pytest.mark.parametrize("name", ["a.mhd", "a.tif", "a.tiff", "a.txt", "a"])
def test_formats_that_are_not_written_are_refused(
    tmp_path: Path, make_volume: Callable[..., Volume], name: str
) -> None:
    with pytest.raises(InputError, match=r"\.nii\.gz"):
        write_volume(tmp_path / name, make_volume())


@pytest.mark.parametrize("level", [-1, 4, 9])
def test_other_compression_levels_are_refused(tmp_path: Path, make_volume: Callable[..., Volume], level: int) -> None:
    with pytest.raises(InputError, match="must be 0, 1, 2 or 3"):
        write_volume(tmp_path / "a.nii.gz", make_volume(), compression_level=level)


@pytest.mark.parametrize("ending", ITK_ENDINGS)
def test_an_unknown_grid_is_not_written_as_a_known_one_in_silence(tmp_path: Path, ending: str) -> None:
    with pytest.warns(TwinTrackWarning, match="grid of mine is not known"):
        write_volume(tmp_path / f"a{ending}", Volume.from_array(np.zeros((2, 3)), name="mine"))


@pytest.mark.parametrize("ending", [".npy", ".npz"])
def test_numpy_files_leave_an_unknown_grid_unknown(tmp_path: Path, ending: str) -> None:
    write_volume(tmp_path / f"a{ending}", Volume.from_array(np.zeros((2, 3))))
    assert not read_volume(tmp_path / f"a{ending}").grid.known


@pytest.mark.parametrize("ending", ENDINGS)
def test_the_same_voxels_give_the_same_bytes(
    tmp_path: Path, make_volume: Callable[..., Volume], monkeypatch: pytest.MonkeyPatch, ending: str
) -> None:
    write_volume(tmp_path / f"a{ending}", make_volume())
    monkeypatch.setattr("time.time", lambda: 2e9)
    write_volume(tmp_path / f"b{ending}", make_volume())
    assert (tmp_path / f"a{ending}").read_bytes() == (tmp_path / f"b{ending}").read_bytes()


def test_the_gzip_header_holds_neither_time_nor_name(tmp_path: Path, make_volume: Callable[..., Volume]) -> None:
    write_volume(tmp_path / "secret.nii.gz", make_volume())
    head = (tmp_path / "secret.nii.gz").read_bytes()[:10]
    assert head[:4] == b"\x1f\x8b\x08\x00"  # deflate, no flags: no name, no comment
    assert head[4:8] == bytes(4)  # no time


@pytest.mark.parametrize("dtype", ["uint8", "float64"])
def test_mha_is_read_by_any_reader_that_has_zlib(
    tmp_path: Path, make_volume: Callable[..., Volume], dtype: str
) -> None:
    volume = make_volume(dtype=dtype)
    write_volume(tmp_path / "a.mha", volume)
    content = (tmp_path / "a.mha").read_bytes()
    head, _, packed = content.partition(b"ElementDataFile = LOCAL\n")
    assert b"\nCompressedData = True\n" in head
    size = re.search(rb"CompressedDataSize = (\d+)\n", head)
    assert size is not None
    assert int(size[1]) == len(packed)
    np.testing.assert_array_equal(np.frombuffer(zlib.decompress(packed), dtype).reshape(4, 5, 6), volume.array)


def test_nrrd_and_nifti_are_read_by_any_reader_that_has_gzip(
    tmp_path: Path, make_volume: Callable[..., Volume]
) -> None:
    volume = make_volume()
    write_volume(tmp_path / "a.nrrd", volume)
    head, _, packed = (tmp_path / "a.nrrd").read_bytes().partition(b"\n\n")
    assert b"\nencoding: gzip\n" in head
    assert gzip.decompress(packed) == volume.array.tobytes()
    write_volume(tmp_path / "a.nii.gz", volume)
    assert gzip.decompress((tmp_path / "a.nii.gz").read_bytes())[352:] == volume.array.tobytes()


@pytest.mark.parametrize("ending", [".nii.gz", ".mha", ".nrrd", ".npz"])
def test_compression_makes_empty_masks_small(tmp_path: Path, ending: str) -> None:
    mask = np.zeros((40, 100, 100), np.uint8)
    write_volume(tmp_path / f"a{ending}", Volume.from_array(mask, spacing=(1, 1, 1)))
    assert (tmp_path / f"a{ending}").stat().st_size < mask.nbytes / 20


@pytest.mark.parametrize("ending", [".nii.gz", ".mha", ".nrrd"])
def test_images_larger_than_one_chunk_are_written_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ending: str
) -> None:
    monkeypatch.setattr("twintrack.images.packing.compress.CHUNK", 1000)
    array = np.random.default_rng(0).integers(0, 999, (20, 30, 7), dtype=np.int16)
    write_volume(tmp_path / f"a{ending}", Volume.from_array(array, spacing=(1, 1, 1)))
    np.testing.assert_array_equal(sitk.GetArrayFromImage(sitk.ReadImage(str(tmp_path / f"a{ending}"))), array)


@pytest.mark.parametrize("ending", ENDINGS)
def test_what_cannot_be_written_says_so_and_leaves_the_folder_alone(
    tmp_path: Path, make_volume: Callable[..., Volume], ending: str
) -> None:
    with pytest.raises(OutputError, match="there is no folder"):
        write_volume(tmp_path / "none" / f"a{ending}", make_volume())


def test_a_temporary_folder_that_is_not_there_is_said_to_be_so(
    tmp_path: Path, make_volume: Callable[..., Volume], monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("tempfile.tempdir", str(tmp_path / "gone"))
        with pytest.raises(OutputError, match="TMPDIR"):
            write_volume(tmp_path / "a.nii.gz", make_volume())
    assert not (tmp_path / "a.nii.gz").exists()


@pytest.mark.parametrize("compress", [compress_metaimage, compress_nrrd])
@pytest.mark.parametrize("missing", [1, 300, 900])
def test_what_a_full_disk_cut_short_is_not_compressed(
    tmp_path: Path, make_volume: Callable[..., Volume], compress: Callable[..., None], missing: int
) -> None:
    ending = {compress_metaimage: ".mha", compress_nrrd: ".nrrd"}[compress]
    raw = tmp_path / f"a{ending}"
    sitk.WriteImage(sitk.GetImageFromArray(make_volume().array), str(raw))
    raw.write_bytes(raw.read_bytes()[:-missing])
    with pytest.raises(OutputError, match="is the disk full"):
        compress(raw, tmp_path / "packed", voxel_bytes=480, level=1)
    assert not (tmp_path / "packed").exists()


FULL_DISK = """
import resource, sys
from pathlib import Path
import numpy as np
from twintrack.errors import OutputError
from twintrack.images import Volume, write_volume
array = np.random.default_rng(0).random((30, 40, 50))  # 480,000 bytes that do not compress
volume = Volume.from_array(array, spacing=(1, 1, 1))
limit = int(sys.argv[1])
resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))  # stands for a disk with so much room
for name in sys.argv[2:]:
    try:
        write_volume(Path(name), volume)
    except OutputError as error:
        print("refused:", error)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="file size limits are a POSIX notion")
@pytest.mark.parametrize("limit", [0, 100, 100_000, 440_000])
def test_a_full_disk_leaves_the_old_files_and_nothing_else(
    tmp_path: Path, no_temporaries_left: Path, limit: int
) -> None:
    folder = tmp_path / "out"
    folder.mkdir()
    paths = [folder / f"a{ending}" for ending in ENDINGS]
    for path in paths:
        path.write_text("old")
    environment = os.environ | {"TMPDIR": str(no_temporaries_left), "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", FULL_DISK, str(limit), *map(str, paths)]
    result = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    said = result.stdout.splitlines()
    assert len(said) == len(paths)
    assert all(line.startswith("refused: ") for line in said)
    assert "Traceback" not in result.stderr  # the NIfTI library prints a line of its own
    assert sorted(folder.iterdir()) == sorted(paths)
    assert {path.read_text(encoding="utf-8") for path in paths} == {"old"}


@pytest.mark.parametrize("ending", [".nrrd", ".seg.nrrd"])
def test_further_fields_stand_in_a_nrrd_header(tmp_path: Path, make_volume: Callable[..., Volume], ending: str) -> None:
    volume = make_volume(dtype="uint8")
    write_volume(tmp_path / f"a{ending}", volume, fields={"Segment0_Name": "größer = 1", "b": "2: 3"})
    image = sitk.ReadImage(str(tmp_path / f"a{ending}"))
    assert (image.GetMetaData("Segment0_Name"), image.GetMetaData("b")) == ("größer = 1", "2: 3")
    assert (read_volume(tmp_path / f"a{ending}").array == volume.array).all()


@pytest.mark.parametrize("ending", [".nii.gz", ".mha", ".npz"])
def test_other_formats_refuse_further_fields(tmp_path: Path, make_volume: Callable[..., Volume], ending: str) -> None:
    with pytest.raises(InputError, match="only .nrrd and .seg.nrrd can hold further fields"):
        write_volume(tmp_path / f"a{ending}", make_volume(), fields={"a": "b"})
    assert not list(tmp_path.glob("a*"))
