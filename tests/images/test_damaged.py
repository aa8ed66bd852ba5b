"""Damaged files: never a wrong number, never a word from C++, always an InputError that names the file."""

from __future__ import annotations

import contextlib
import itertools
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from twintrack.errors import InputError
from twintrack.images import Volume, read_volume, write_volume
from twintrack.images.read import read_grid

pytestmark = pytest.mark.usefixtures("nothing_printed", "no_temporaries_left")

ARRAY = np.random.default_rng(11).random((4, 5, 6))
SETTINGS = settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])

# Name, how it is written, and which file of it is cut: the voxels' one.
WRITTEN = [
    ("a.nii", "twintrack", "a.nii"),
    ("a.nii.gz", "twintrack", "a.nii.gz"),
    ("a.nii.gz", "simpleitk", "a.nii.gz"),
    ("a.mha", "twintrack", "a.mha"),
    ("a.mha", "raw", "a.mha"),
    ("a.mhd", "raw", "a.raw"),
    ("a.mhd", "simpleitk", "a.zraw"),
    ("a.nrrd", "twintrack", "a.nrrd"),
    ("a.nrrd", "raw", "a.nrrd"),
    ("a.npy", "twintrack", "a.npy"),
    ("a.npz", "twintrack", "a.npz"),
    ("a.tif", "raw", "a.tif"),
    ("a.tif", "simpleitk", "a.tif"),
]
CHECKSUMMED = [("a.nii.gz", 10), ("a.npz", 0), ("a.nrrd", None), ("a.mha", None), ("a.mhd", None)]


def write(folder: Path, name: str, how: str) -> None:
    if how == "twintrack":
        write_volume(folder / name, Volume.from_array(ARRAY, spacing=(3, 2, 1)))
    else:
        array = ARRAY.astype(np.float32) if name.endswith("tif") else ARRAY
        sitk.WriteImage(sitk.GetImageFromArray(array), str(folder / name), how != "raw")


@pytest.mark.parametrize(("name", "how", "cut"), WRITTEN)
@given(share=st.floats(0, 1, exclude_max=True))
@SETTINGS
def test_a_file_cut_short_anywhere_is_refused(tmp_path: Path, name: str, how: str, cut: str, share: float) -> None:
    write(tmp_path, name, how)
    content = (tmp_path / cut).read_bytes()
    (tmp_path / cut).write_bytes(content[: int(share * len(content))])
    with pytest.raises(InputError) as error:
        read_volume(tmp_path / name)
    assert str(tmp_path / cut) in str(error.value)
    assert len(str(error.value).splitlines()) == 1


@pytest.mark.parametrize(("name", "how", "cut"), WRITTEN)
def test_a_file_that_lacks_its_last_byte_is_refused(tmp_path: Path, name: str, how: str, cut: str) -> None:
    write(tmp_path, name, how)
    content = (tmp_path / cut).read_bytes()
    (tmp_path / cut).write_bytes(content[:-1])
    with pytest.raises(InputError):
        read_volume(tmp_path / name)


@pytest.mark.parametrize("cut", [0.1, 0.5, 0.95])
@pytest.mark.parametrize(("name", "how", "file"), WRITTEN)
def test_a_header_that_is_cut_short_gives_no_grid(tmp_path: Path, name: str, how: str, file: str, cut: float) -> None:
    write(tmp_path, name, how)
    content = (tmp_path / name).read_bytes()
    header = {".nii": 348, ".mha": 150, ".nrrd": 150, ".mhd": 150}.get((tmp_path / name).suffix, len(content))
    (tmp_path / name).write_bytes(content[: int(cut * min(header, len(content)))])
    if name == "a.nii.gz":
        (tmp_path / name).write_bytes(content[:20])
    with pytest.raises(InputError):
        read_grid(tmp_path / name)


@pytest.mark.parametrize(("name", "start"), CHECKSUMMED)
@given(share=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
@SETTINGS
def test_a_flipped_bit_in_compressed_data_is_refused_or_harmless(
    tmp_path: Path, name: str, start: int | None, share: float, bit: int
) -> None:
    write(tmp_path, name, "simpleitk" if name == "a.mhd" else "twintrack")
    file = tmp_path / name.replace(".mhd", ".zraw")
    content = bytearray(file.read_bytes())
    if start is None:  # the header, which no checksum covers, ends before the voxels
        packed = {".mha": b"LOCAL\n", ".nrrd": b"\n\n"}.get(file.suffix, b"")
        start = content.index(packed) + len(packed)
    content[start + int(share * (len(content) - start))] ^= 1 << bit
    file.write_bytes(content)
    try:
        volume = read_volume(tmp_path / name)
    except InputError as error:
        assert str(file) in str(error)  # noqa: PT017 - either outcome is right
    else:
        # Some bits carry nothing: a name's time of day, what pads the last byte of a stream.
        np.testing.assert_array_equal(volume.array, ARRAY)
        assert volume.grid.shape == ARRAY.shape


@pytest.mark.parametrize(("name", "start"), [("a.nii.gz", None), ("a.nrrd", None), ("a.mha", None)])
@pytest.mark.parametrize("place", [-1, -4, -8])
def test_a_flipped_bit_in_the_checksum_is_refused(tmp_path: Path, name: str, start: int | None, place: int) -> None:
    # SimpleITK does not look so far. (A zlib stream ends in 4 bytes of checksum, gzip in 4 and 4 of length.)
    write(tmp_path, name, "twintrack")
    content = bytearray((tmp_path / name).read_bytes())
    content[max(place, -4) if name == "a.mha" else place] ^= 1
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match="damaged"):
        read_volume(tmp_path / name)


@pytest.mark.parametrize("name", ["a.nii.gz", "a.nrrd", "a.mha", "a.npz"])
def test_a_flipped_bit_in_the_middle_is_refused(tmp_path: Path, name: str) -> None:
    write(tmp_path, name, "twintrack")
    content = bytearray((tmp_path / name).read_bytes())
    content[len(content) // 2] ^= 4
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match="damaged"):
        read_volume(tmp_path / name)


def test_something_behind_a_gzip_stream_is_refused(tmp_path: Path) -> None:
    write(tmp_path, "a.nii.gz", "twintrack")
    with (tmp_path / "a.nii.gz").open("ab") as file:
        file.write(b"something else")
    with pytest.raises(InputError, match="damaged"):
        read_volume(tmp_path / "a.nii.gz")


@pytest.mark.parametrize("ending", [".nii", ".mha", ".nrrd", ".npy", ".npz", ".tif", ".nii.gz"])
@given(changes=st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), min_size=1, max_size=4))
@SETTINGS
def test_damaged_headers_give_an_image_or_words_and_nothing_else(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], ending: str, changes: list[tuple[float, int]]
) -> None:
    write(tmp_path, f"a{ending}", "raw" if ending in (".mha", ".nrrd", ".tif") else "twintrack")
    content = bytearray((tmp_path / f"a{ending}").read_bytes())
    for share, value in changes:
        content[int(share * min(len(content), 400))] = value
    (tmp_path / f"a{ending}").write_bytes(content)
    for read in (read_volume, read_grid):
        with contextlib.suppress(InputError):
            read(tmp_path / f"a{ending}")
    if ending == ".tif":
        capfd.readouterr()  # libtiff prints of tags that do not matter; it cannot be kept from it


# What changes, on which page, which tag becomes (tag, type, count, value), and what is said.
TIFF_CHANGES: list[tuple[str, int, int, tuple[int, int, int, int], str]] = [
    ("a second page of another width", 1, 256, (256, 3, 1, 5), "differ"),
    ("a second page of another type", 1, 258, (258, 3, 1, 16), "differ"),
    ("a page that is a preview", 1, 254, (254, 4, 1, 1), "preview"),
    ("an unknown compression", 0, 259, (259, 3, 1, 9999), "compression 9999"),
    ("voxels behind the end", 0, 273, (273, 4, 1, 1 << 20), "behind the end"),
    ("too few voxels", 0, 279, (279, 4, 1, 3), "fewer voxels"),
    ("a width that is text", 0, 256, (256, 2, 1, 6), "type or count"),
    ("no width", 0, 256, (256, 3, 0, 6), "type or count"),
    ("no place of the voxels", 0, 273, (272, 2, 1, 0), "lacks tags"),
    ("tags in disorder", 0, 256, (1000, 3, 1, 6), "not in order"),
    ("more strips than their lengths", 0, 273, (273, 4, 2, 8), "shorter|longer|behind"),
    ("a value behind the end", 0, 273, (273, 4, 9, 1 << 20), "description lies behind"),
]


@pytest.mark.parametrize(
    ("page", "tag", "change", "said"), [row[1:] for row in TIFF_CHANGES], ids=[row[0] for row in TIFF_CHANGES]
)
def test_tiff_pages_that_simpleitk_would_trip_over_are_refused(
    tmp_path: Path, page: int, tag: int, change: tuple[int, int, int, int], said: str
) -> None:
    write(tmp_path, "a.tif", "raw")
    content = bytearray((tmp_path / "a.tif").read_bytes())
    place = struct.unpack_from("<I", content, 4)[0]
    for _ in range(page):
        place = struct.unpack_from("<I", content, place + 2 + 12 * struct.unpack_from("<H", content, place)[0])[0]
    entries = [place + 2 + 12 * i for i in range(struct.unpack_from("<H", content, place)[0])]
    (entry,) = (entry for entry in entries if struct.unpack_from("<H", content, entry)[0] == tag)
    struct.pack_into("<HHII", content, entry, *change)
    (tmp_path / "a.tif").write_bytes(content)
    with pytest.raises(InputError, match=said):
        read_volume(tmp_path / "a.tif")


def test_a_tiff_whose_pages_go_in_a_circle_is_refused(tmp_path: Path) -> None:
    write(tmp_path, "a.tif", "raw")
    content = bytearray((tmp_path / "a.tif").read_bytes())
    first = struct.unpack_from("<I", content, 4)[0]
    struct.pack_into("<I", content, first + 2 + 12 * struct.unpack_from("<H", content, first)[0], first)
    (tmp_path / "a.tif").write_bytes(content)
    with pytest.raises(InputError, match="circle"):
        read_volume(tmp_path / "a.tif")


def test_a_large_image_is_checked_piece_by_piece(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make_volume: Callable[..., Volume]
) -> None:
    monkeypatch.setattr("twintrack.images.packing.inflate.CHUNK", 1000)
    monkeypatch.setattr("twintrack.images.packing.inflate._PACKED", 100)
    noise = make_volume(shape=(20, 30, 40), dtype="int16")
    empty = Volume(np.zeros_like(noise.array), noise.grid)
    periodic = Volume(np.resize(noise.array.ravel()[:99], noise.array.shape), noise.grid)
    for ending, volume in itertools.product((".nii.gz", ".mha", ".nrrd", ".npz"), (noise, empty, periodic)):
        path = tmp_path / f"a{ending}"
        write_volume(path, volume)
        np.testing.assert_array_equal(read_volume(path).array, volume.array)
        path.write_bytes(path.read_bytes()[:-20])
        with pytest.raises(InputError, match=r"cut short|not a zip file"):
            read_volume(path)
