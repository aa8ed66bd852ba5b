"""Reading: what is refused, and why."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from twintrack.errors import InputError
from twintrack.images import Volume, read_volume, write_volume
from twintrack.images.read import read_grid

from .conftest import patched_nifti

pytestmark = pytest.mark.usefixtures("nothing_printed", "no_temporaries_left")


@pytest.mark.parametrize("read", [read_volume, read_grid])
@pytest.mark.parametrize("ending", [".nii", ".nii.gz", ".mha", ".nrrd"])
def test_images_with_more_than_one_number_per_voxel_are_refused(
    tmp_path: Path, read: Callable[[Path], object], ending: str
) -> None:
    path = tmp_path / f"a{ending}"
    for array, is_vector, said in (
        (np.zeros((2, 4, 5, 6), np.float32), False, r"4 axes.*\(6, 5, 4, 2\)"),
        (np.zeros((4, 5, 6, 3), np.float32), True, "3 numbers"),
        (np.zeros((5, 6, 3), np.uint8), True, "3 numbers"),
    ):
        sitk.WriteImage(sitk.GetImageFromArray(array, isVector=is_vector), str(path))
        with pytest.raises(InputError, match=said) as error:
            read(path)
        assert str(path) in str(error.value)


def test_complex_and_coloured_images_are_refused(tmp_path: Path) -> None:
    sitk.WriteImage(sitk.GetImageFromArray(np.zeros((4, 5, 6), np.complex64)), str(tmp_path / "a.nii"))
    with pytest.raises(InputError, match="complex"):
        read_volume(tmp_path / "a.nii")
    sitk.WriteImage(sitk.GetImageFromArray(np.zeros((5, 6, 3), np.uint8), isVector=True), str(tmp_path / "a.tif"))
    with pytest.raises(InputError, match="3 numbers"):
        read_volume(tmp_path / "a.tif")


@pytest.mark.parametrize("read", [read_volume, read_grid])
def test_paths_that_are_no_image_files_are_refused_in_words(tmp_path: Path, read: Callable[[Path], object]) -> None:
    (tmp_path / "folder.nii.gz").mkdir()
    (tmp_path / "empty.nii.gz").touch()
    (tmp_path / "text.txt").write_text("x")
    for name, said in (
        ("folder.nii.gz", "is a folder"),
        ("empty.nii.gz", r"empty \(0 bytes\)"),
        ("missing.nii.gz", "no such file"),
        ("text.txt", "known endings"),
    ):
        with pytest.raises(InputError, match=said) as error:
            read(tmp_path / name)
        assert name in str(error.value)


@pytest.mark.parametrize("read", [read_volume, read_grid])
@pytest.mark.parametrize("ending", [".nii", ".nii.gz", ".mha", ".mhd", ".nrrd", ".tif", ".npy", ".npz"])
def test_another_format_under_the_name_is_refused(tmp_path: Path, read: Callable[[Path], object], ending: str) -> None:
    for content in (b"hello " * 200, b"\x89PNG\r\n\x1a\n" + bytes(500), bytes(2000), b"\x1f\x8b", b"x"):
        (tmp_path / f"a{ending}").write_bytes(content)
        with pytest.raises(InputError) as error:
            read(tmp_path / f"a{ending}")
        assert len(str(error.value).splitlines()) == 1


def test_gzip_data_named_nii_is_refused_with_the_remedy(tmp_path: Path, make_volume: Callable[..., Volume]) -> None:
    write_volume(tmp_path / "a.nii.gz", make_volume())
    (tmp_path / "a.nii.gz").rename(tmp_path / "a.nii")
    for read in (read_volume, read_grid):
        with pytest.raises(InputError, match=r"rename it to end in \.nii\.gz"):
            read(tmp_path / "a.nii")


@pytest.mark.parametrize("read", [read_volume, read_grid])
@pytest.mark.parametrize(
    ("place", "form", "values", "said"),
    [
        (40, "<4h", (3, 6, 5, -4), r"dim is \(3, 6, 5, -4"),  # SimpleITK reads one slice
        (40, "<h", (77,), "dim is"),
        (70, "<h", (9999,), "datatype 9999"),
        (80, "<f", (0,), "voxel sizes"),  # SimpleITK reads 1 mm
        (84, "<f", (float("nan"),), "voxel sizes"),
        (80, "<f", (2,), "contradicts itself"),  # SimpleITK takes one of the two
        (280, "<f", (0.5,), "contradicts itself"),
        (280, "<f", (float("nan"),), "contradicts itself"),
        (108, "<f", (float("inf"),), "vox_offset"),
        (344, "<4s", (b"ni1\0",), "single-file"),
        (0, "<i", (540,), "NIfTI-2 is not read"),
        (0, ">i", (540,), "NIfTI-2 is not read"),
        (0, "<i", (349,), "single-file"),
    ],
)
def test_nifti_headers_that_simpleitk_would_misread_are_refused(
    tmp_path: Path, read: Callable[[Path], object], place: int, form: str, values: tuple[float, ...], said: str
) -> None:
    with pytest.raises(InputError, match=said):
        read(patched_nifti(tmp_path, place, form, *values))


@pytest.mark.parametrize("read", [read_volume, read_grid])
def test_sheared_axes_are_refused_with_a_hint(tmp_path: Path, read: Callable[[Path], object]) -> None:
    nifti = patched_nifti(tmp_path, 280, "<12f", 1, 1.2, 0, 0, 0, 1.6, 0, 0, 0, 0, 3, 0)
    content = bytearray(nifti.read_bytes())
    struct.pack_into("<h", content, 252, 0)  # qform_code: only the sheared sform is left
    nifti.write_bytes(content)
    with pytest.raises(InputError, match="Repair the sform and qform"):
        read(nifti)
    for ending, old, new in (
        (".mha", b"TransformMatrix = 1 0 0", b"TransformMatrix = 1 0.5 0"),
        (".nrrd", b"(1,0,0)", b"(1,0.5,0)"),
    ):
        path = tmp_path / f"a{ending}"
        write_volume(path, Volume.from_array(np.zeros((4, 5, 6)), spacing=(1, 1, 1)))
        content = path.read_bytes()
        assert old in content
        path.write_bytes(content.replace(old, new))
        with pytest.raises(InputError, match="not orthonormal"):
            read(path)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (b"NDims = 3\n", b"NDims = 2\n", "but DimSize"),
        (b"NDims = 3\n", b"", "no NDims"),
        (b"DimSize = 6 5 4", b"DimSize = 6 5 four", "damaged: DimSize"),
        (b"DimSize = 6 5 4", b"DimSize = 6 5 0", "damaged: DimSize"),
        (b"DimSize = 6 5 4", b"DimSize = 6 5 2", "damaged: the header promises"),
        (b"DimSize = 6 5 4", b"DimSize = 6 5 8", "cut short"),
        (b"MET_FLOAT", b"MET_OTHER", "MET_OTHER is not known"),
        (b"BinaryData = True", b"BinaryData = False", "as text"),
        (b"BinaryData = True", b"BinaryData = \x0bTrue", "as text"),  # so SimpleITK would take it
        (b"DimSize", b"HeaderSize = 12\nDimSize", "HeaderSize of 12"),
        (b"CompressedDataSize = ", b"CompressedDataSize = x", "damaged: CompressedDataSize"),
        (b"CompressedDataSize = ", b"CompressedDataSize = 1\nComment = ", "cut short"),
        (b"LOCAL", b"LIST", "spread over many files"),
        (b"LOCAL", b"slice%03d.raw 1 4 1", "spread over many files"),
        (b"LOCAL", b"away.raw", r"not there: .*away\.raw"),
        (b"ElementSpacing = 0.6875", b"ElementSpacing = 0", "Zero-valued spacing"),
        (b"BinaryData", b"\nB\xc3\xa4naryData", "line 4"),
        (b"ElementDataFile = LOCAL", b"", "MetaImage header"),
    ],
)
def test_metaimage_headers_that_simpleitk_would_misread_are_refused(
    tmp_path: Path, make_volume: Callable[..., Volume], old: bytes, new: bytes, said: str
) -> None:
    path = tmp_path / "a.mha"
    write_volume(path, make_volume())
    content = path.read_bytes()
    assert old in content
    path.write_bytes(content.replace(old, new, 1))
    with pytest.raises(InputError, match=said):
        read_volume(path)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (b"encoding: gzip", b"encoding: bzip2", "bzip2 is not read"),
        (b"encoding: gzip\n", b"", "not read"),
        (b"encoding: gzip", b"encoding: gzip\nbyte skip: 7", "byte skip: 7"),
        (b"encoding: gzip", b"encoding: gzip\ndata file: a.raw", r"data file: a\.raw"),
        (b"sizes: 6 5 4", b"sizes: 6 5 400", r"SimpleITK cannot read it: .*expected"),
        (b"type: float", b"type: unknown", "SimpleITK cannot read it"),
    ],
)
def test_nrrd_headers_that_are_not_understood_are_refused(
    tmp_path: Path, make_volume: Callable[..., Volume], old: bytes, new: bytes, said: str
) -> None:
    path = tmp_path / "a.nrrd"
    write_volume(path, make_volume())
    content = path.read_bytes()
    assert old in content
    path.write_bytes(content.replace(old, new, 1))
    with pytest.raises(InputError, match=said) as error:
        read_volume(path)
    assert "twintrack-" not in str(error.value)  # the temporary's name would tell the reader nothing
