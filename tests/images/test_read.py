"""Reading: every format SimpleITK reads, and the surroundings it is read in."""

from __future__ import annotations

import gzip
import shutil
import struct
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from twintrack.errors import InputError, OutputError
from twintrack.images import Grid, Volume, read_volume, write_volume
from twintrack.images.read import read_grid

from .conftest import patched_nifti

pytestmark = pytest.mark.usefixtures("nothing_printed", "no_temporaries_left")

FORMATS = [
    *[(ending, False) for ending in (".nii", ".nii.gz", ".mha", ".mhd", ".nrrd", ".tif", ".tiff")],
    *[(ending, True) for ending in (".mha", ".mhd", ".nrrd", ".tif")],
]


@pytest.fixture
def image() -> sitk.Image:
    array = np.random.default_rng(3).integers(-900, 900, (4, 5, 6)).astype(np.int16)
    image = sitk.GetImageFromArray(array)
    image.SetSpacing((0.5, 0.75, 3.0))
    image.SetOrigin((-10.0, 20.5, 33.25))
    image.SetDirection((0, -1, 0, 1, 0, 0, 0, 0, -1))
    return image


@pytest.mark.parametrize(("ending", "compressed"), FORMATS)
def test_what_simpleitk_wrote_is_read(tmp_path: Path, image: sitk.Image, ending: str, compressed: bool) -> None:
    path = tmp_path / f"a{ending}"
    stored = sitk.Cast(image, sitk.sitkUInt16) if "tif" in ending else image
    sitk.WriteImage(stored, str(path), compressed)
    volume = read_volume(path)
    assert volume.name == str(path)
    assert volume.array.dtype == sitk.GetArrayFromImage(stored).dtype
    np.testing.assert_array_equal(volume.array, sitk.GetArrayFromImage(stored))
    assert read_grid(path) == volume.grid
    if "tif" in ending:  # a TIFF has no slice distance and no position
        assert volume.grid == Grid.plain((4, 5, 6))
        return
    assert volume.grid.spacing == (3.0, 0.75, 0.5)
    np.testing.assert_allclose(volume.grid.origin, image.GetOrigin())
    np.testing.assert_allclose(volume.grid.direction, image.GetDirection(), atol=1e-7)


@pytest.mark.parametrize("ending", [".nii.gz", ".mha", ".nrrd", ".npz", ".npy", ".tif"])
def test_endings_in_capitals_are_read(tmp_path: Path, make_volume: Callable[..., Volume], ending: str) -> None:
    lower, upper = tmp_path / f"a{ending}", tmp_path / f"B{ending.upper()}"
    if ending == ".tif":
        sitk.WriteImage(sitk.GetImageFromArray(make_volume().array), str(lower))
    else:
        write_volume(lower, make_volume())
    lower.rename(upper)
    np.testing.assert_array_equal(read_volume(upper).array, make_volume().array)
    assert read_grid(upper).shape == (4, 5, 6)


def test_metaimage_that_does_not_say_its_compressed_length_is_read(tmp_path: Path, image: sitk.Image) -> None:
    # SimpleITK itself reads such a file as garbage.
    path = tmp_path / "a.mha"
    sitk.WriteImage(image, str(path), True)
    lines = path.read_bytes().split(b"\n")
    path.write_bytes(b"\n".join(line for line in lines if not line.startswith(b"CompressedDataSize")))
    np.testing.assert_array_equal(read_volume(path).array, sitk.GetArrayFromImage(image))


@pytest.mark.parametrize("missing", [1, 4])
def test_metaimage_voxels_without_their_whole_checksum_are_refused(
    tmp_path: Path, image: sitk.Image, missing: int
) -> None:
    path = tmp_path / "a.mha"
    sitk.WriteImage(image, str(path), True)
    lines = path.read_bytes().split(b"\n")
    content = b"\n".join(line for line in lines if not line.startswith(b"CompressedDataSize"))
    path.write_bytes(content[:-missing])
    with pytest.raises(InputError, match="cut short"):
        read_volume(path)


def test_metaimage_header_in_the_style_of_other_writers_is_read(tmp_path: Path) -> None:
    head = "\r\n".join(
        [
            "NDims : 3",
            "DimSize : 3 2 1",
            "ElementType : MET_LONG",
            "ElementSpacing: 1 2 4",
            "HeaderSize: -1",
            "ElementDataFile : local\r\n",
        ]
    )
    (tmp_path / "a.mha").write_bytes(head.encode() + np.arange(6, dtype="<i4").tobytes())
    volume = read_volume(tmp_path / "a.mha")
    assert volume.array.tolist() == [[[0, 1, 2], [3, 4, 5]]]
    assert volume.grid.spacing == (4, 2, 1)


def test_an_uncompressed_file_named_nii_gz_is_read(tmp_path: Path, make_volume: Callable[..., Volume]) -> None:
    write_volume(tmp_path / "a.nii", make_volume())
    (tmp_path / "a.nii").rename(tmp_path / "a.nii.gz")
    np.testing.assert_array_equal(read_volume(tmp_path / "a.nii.gz").array, make_volume().array)
    assert read_grid(tmp_path / "a.nii.gz").shape == (4, 5, 6)


def test_a_gzip_file_of_several_members_is_read(tmp_path: Path, make_volume: Callable[..., Volume]) -> None:
    write_volume(tmp_path / "a.nii", make_volume())
    plain = (tmp_path / "a.nii").read_bytes()
    (tmp_path / "b.nii.gz").write_bytes(gzip.compress(plain[:500]) + gzip.compress(plain[500:]))
    np.testing.assert_array_equal(read_volume(tmp_path / "b.nii.gz").array, make_volume().array)


@pytest.mark.parametrize("ending", [".nii", ".nii.gz", ".mha", ".nrrd", ".npy", ".npz"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_nan_and_infinity_are_not_read_as_zero(tmp_path: Path, ending: str, dtype: str) -> None:
    array = np.array([[np.nan, np.inf, -np.inf], [1, 0, -2]], dtype)
    write_volume(tmp_path / f"a{ending}", Volume.from_array(array, spacing=(1, 1)))
    np.testing.assert_array_equal(read_volume(tmp_path / f"a{ending}").array, array)


def test_stored_values_of_a_nifti_are_scaled(tmp_path: Path) -> None:
    write_volume(tmp_path / "a.nii", Volume.from_array(np.arange(6, dtype=np.int16).reshape(2, 3), spacing=(1, 1)))
    content = bytearray((tmp_path / "a.nii").read_bytes())
    struct.pack_into("<2f", content, 112, 0.5, -10)  # scl_slope, scl_inter
    (tmp_path / "a.nii").write_bytes(content)
    np.testing.assert_allclose(read_volume(tmp_path / "a.nii").array, np.arange(6).reshape(2, 3) * 0.5 - 10)


def test_foreign_byte_order_is_read(tmp_path: Path) -> None:
    array = np.arange(24, dtype=">f4").reshape(2, 3, 4)
    array[0, 0, 0] = np.nan
    head = bytearray(352)
    struct.pack_into(">i", head, 0, 348)
    struct.pack_into(">8h", head, 40, 3, 4, 3, 2, 1, 1, 1, 1)
    struct.pack_into(">hh", head, 70, 16, 32)
    struct.pack_into(">9f", head, 76, 1, 0.5, 2, 3, 0, 0, 0, 0, 352)
    head[123] = 2  # xyzt_units: mm
    head[344:348] = b"n+1\0"
    (tmp_path / "a.nii").write_bytes(bytes(head) + array.tobytes())
    volume = read_volume(tmp_path / "a.nii")
    np.testing.assert_array_equal(volume.array, array)
    assert volume.grid.spacing == (3, 2, 0.5)


@pytest.mark.parametrize("ending", [".nii", ".nii.gz", ".mha", ".nrrd"])
def test_a_fourth_axis_of_one_is_dropped(tmp_path: Path, ending: str) -> None:
    array = np.arange(120, dtype=np.float32).reshape(1, 4, 5, 6)
    image = sitk.GetImageFromArray(array, isVector=False)
    image.SetSpacing((1, 2, 3, 4))
    sitk.WriteImage(image, str(tmp_path / f"a{ending}"))
    volume = read_volume(tmp_path / f"a{ending}")
    np.testing.assert_array_equal(volume.array, array[0])
    assert volume.grid == read_grid(tmp_path / f"a{ending}") == Grid.plain((4, 5, 6), spacing=(3, 2, 1))


def test_no_room_to_unpack_names_the_remedy(
    tmp_path: Path, make_volume: Callable[..., Volume], monkeypatch: pytest.MonkeyPatch
) -> None:
    write_volume(tmp_path / "a.nii.gz", make_volume())

    def full(*_: object, **__: object) -> Iterator[bytes]:
        yield b"some"
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("twintrack.images.packing.unpack.gunzipped", full)
    with pytest.raises(OutputError, match=r"cannot unpack .*a\.nii\.gz into .*No space left.*TMPDIR"):
        read_volume(tmp_path / "a.nii.gz")


def test_a_file_that_may_not_be_read_says_so(
    tmp_path: Path, make_volume: Callable[..., Volume], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    for ending in (".nii", ".nii.gz", ".mha", ".nrrd", ".npy", ".npz"):
        write_volume(tmp_path / f"a{ending}", make_volume())
        with monkeypatch.context() as patch:
            patch.setattr(Path, "open", refused)
            patch.setattr("zipfile.ZipFile.__init__", refused)
            with pytest.raises(InputError, match=r"cannot read .*: Permission denied"):
                read_volume(tmp_path / f"a{ending}")


def test_what_simpleitk_warns_of_is_not_printed(tmp_path: Path) -> None:
    # The sizes by sform and pixdim differ by half a per cent: SimpleITK prints "unexpected scales in sform".
    path = patched_nifti(tmp_path, 280, "<f", 1.005)
    assert read_volume(path).grid.spacing == (3, 2, 1)
    assert read_grid(path).spacing == (3, 2, 1)


def test_simpleitks_own_warnings_stay_as_they_were(tmp_path: Path, make_volume: Callable[..., Volume]) -> None:
    write_volume(tmp_path / "a.nii", make_volume())
    for shown in (True, False):
        sitk.ProcessObject.SetGlobalWarningDisplay(shown)
        read_volume(tmp_path / "a.nii")
        assert sitk.ProcessObject.GetGlobalWarningDisplay() is shown
    sitk.ProcessObject.SetGlobalWarningDisplay(True)


def test_the_array_may_be_changed(tmp_path: Path, make_volume: Callable[..., Volume]) -> None:
    for ending in (".nii.gz", ".mha", ".nrrd", ".npy", ".npz"):
        write_volume(tmp_path / f"a{ending}", make_volume())
        array = read_volume(tmp_path / f"a{ending}").array
        array += 1
        assert array.flags.c_contiguous


@pytest.mark.parametrize("order", "<>")
def test_bigtiff_is_read_and_nonsense_in_it_refused(tmp_path: Path, order: str) -> None:
    array = np.arange(6, dtype=f"{order}u2").reshape(2, 3)
    tags = [(256, 3, 3), (257, 3, 2), (258, 3, 16), (259, 3, 1), (262, 3, 1), (273, 16, 16), (277, 3, 1)]
    tags += [(278, 3, 2), (279, 16, 12)]
    content = struct.pack(order + "2sHHHQ", b"II" if order == "<" else b"MM", 43, 8, 0, 32) + array.tobytes()
    content += bytes(4) + struct.pack(order + "Q", len(tags))
    for tag, kind, value in tags:
        content += struct.pack(order + "HHQ", tag, kind, 1) + struct.pack(order + {3: "H6x", 16: "Q"}[kind], value)
    (tmp_path / "a.tif").write_bytes(content + bytes(8))
    np.testing.assert_array_equal(read_volume(tmp_path / "a.tif").array, array)
    (tmp_path / "b.tif").write_bytes(content + b"\xff" * 8)  # the next page lies beyond any file
    with pytest.raises(InputError, match="damaged"):
        read_volume(tmp_path / "b.tif")


def test_real_images_are_read_as_simpleitk_reads_them(data_dir: Path, tmp_path: Path) -> None:
    cases = sorted((data_dir / "lidc2d").glob("LIDC*"))[:20]
    files = [file for case in cases for file in case.glob("*.nii.gz")]
    files += [data_dir / "ct_small" / "torso_3mm.nii.gz"]
    files += sorted((data_dir / "kits23_raters").glob("*/*.nii.gz"))[:3]
    assert len(files) > 50
    for file in files:
        image = sitk.ReadImage(str(file))
        volume = read_volume(file)
        np.testing.assert_array_equal(volume.array, sitk.GetArrayFromImage(image))
        assert volume.grid == read_grid(file)
        assert volume.grid.spacing == image.GetSpacing()[::-1]
        assert volume.grid.origin == image.GetOrigin()
        assert volume.grid.direction == image.GetDirection()


@pytest.mark.parametrize("ending", [".nii.gz", ".mha", ".nrrd", ".npz"])
def test_a_real_ct_survives_every_format(data_dir: Path, tmp_path: Path, ending: str) -> None:
    ct = read_volume(data_dir / "ct_small" / "torso_3mm.nii.gz")
    write_volume(tmp_path / f"ct{ending}", ct)
    back = read_volume(tmp_path / f"ct{ending}")
    np.testing.assert_array_equal(back.array, ct.array)
    assert back.grid.difference(ct.grid) is None


def test_names_beyond_ascii_are_read_and_written(tmp_path: Path, make_volume: Callable[..., Volume]) -> None:
    for ending in (".nii", ".nii.gz", ".mha", ".nrrd", ".npz"):
        path = tmp_path / f"Fäll σ 一{ending}"
        write_volume(path, make_volume())
        shutil.copy(path, tmp_path / "b")
        np.testing.assert_array_equal(read_volume(path).array, make_volume().array)
