"""NumPy files: which array is the image, no pickles, and the same arrays as numpy.load gives."""

from __future__ import annotations

import pickle
import struct
import time
import zipfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.lib import format as npy_format

from twintrack.errors import InputError
from twintrack.images import Volume, read_volume
from twintrack.images.npz import array_names, read_header, read_member, read_npy, read_rows

IMAGE = np.arange(24, dtype=np.float32).reshape(2, 3, 4)


class Bomb:
    """Leaves a file behind when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Callable[..., object], tuple[str, str]]:
        return open, (str(self.path), "w")


@given(
    array=hnp.arrays(
        st.sampled_from(["?", "u1", "<i2", ">i2", "f2", ">f4", "f8", "c8"]),
        hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=5),
    ),
    fortran=st.booleans(),
    save=st.sampled_from([np.savez, np.savez_compressed]),
)
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_arrays_are_those_of_numpy(tmp_path: Path, array: np.ndarray, fortran: bool, save: Callable[..., None]) -> None:
    array = np.asfortranarray(array) if fortran else array
    save(tmp_path / "a.npz", first=np.arange(3), image=array)
    np.save(tmp_path / "a.npy", array)
    assert array_names(tmp_path / "a.npz") == ("first", "image")
    for found in (read_member(tmp_path / "a.npz", "image"), read_npy(tmp_path / "a.npy")):
        assert (found.shape, found.dtype) == (array.shape, array.dtype.newbyteorder("="))
        np.testing.assert_array_equal(found, array)
        assert found.dtype.isnative
        assert found.flags.writeable


@pytest.mark.parametrize("name", ["probability", "mask", "array", "anything"])
def test_the_only_array_is_the_image(tmp_path: Path, name: str) -> None:
    np.savez(tmp_path / "a.npz", **{name: IMAGE})
    volume = read_volume(tmp_path / "a.npz")
    np.testing.assert_array_equal(volume.array, IMAGE)
    assert not volume.grid.known


def test_a_named_array_is_the_image_among_others(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", other=np.zeros(3), probability=IMAGE, spacing=[3, 2, 1])
    volume = read_volume(tmp_path / "a.npz")
    np.testing.assert_array_equal(volume.array, IMAGE)
    assert volume.grid.known
    assert volume.grid.spacing == (3, 2, 1)


@pytest.mark.parametrize(
    "arrays",
    [{"a": IMAGE, "b": IMAGE}, {"mask": IMAGE, "probability": IMAGE}, {"spacing": np.ones(3)}, {}],
)
def test_where_it_is_not_clear_which_array_is_meant_all_are_listed(
    tmp_path: Path, arrays: dict[str, np.ndarray]
) -> None:
    np.savez(tmp_path / "a.npz", **arrays)
    with pytest.raises(InputError, match="it holds " + (", ".join(arrays) or "nothing")):
        read_volume(tmp_path / "a.npz")


@pytest.mark.parametrize("key", ["probabilities", "softmax"])
def test_nnunets_files_are_sent_to_their_own_reader(tmp_path: Path, key: str) -> None:
    np.savez(tmp_path / "a.npz", **{key: IMAGE[None]})
    with pytest.raises(InputError, match="read it with read_probability"):
        read_volume(tmp_path / "a.npz")


@pytest.mark.parametrize(
    ("array", "said"),
    [
        (np.zeros(3), "2-D or 3-D"),
        (np.zeros((1, 2, 3, 4)), "2-D or 3-D"),
        (np.zeros((0, 3)), "2-D or 3-D"),
        (np.zeros((2, 3), complex), "real numbers"),
        (np.zeros((2, 3), "U4"), "real numbers"),
        (np.zeros((2, 3), "M8[s]"), "real numbers"),
        (np.zeros((2, 3), [("a", "f4")]), "real numbers"),
    ],
)
def test_arrays_that_are_no_images_are_refused(tmp_path: Path, array: np.ndarray, said: str) -> None:
    np.save(tmp_path / "a.npy", array)
    np.savez(tmp_path / "a.npz", array=array)
    for name in ("a.npy", "a.npz"):
        with pytest.raises(InputError, match=said):
            read_volume(tmp_path / name)


@pytest.mark.parametrize(
    ("geometry", "said"),
    [
        ({"spacing": [1.0, 1.0]}, "needs 3 spacings"),
        ({"spacing": [1.0, 0.0, 1.0]}, "positive"),
        ({"spacing": ["1", "1", "1"]}, "must be numbers"),
        ({"spacing": [1.0, 1.0, 1.0], "direction": np.ones(9)}, "not orthonormal"),
    ],
)
def test_a_geometry_that_makes_no_sense_is_refused(tmp_path: Path, geometry: dict[str, object], said: str) -> None:
    np.savez(tmp_path / "a.npz", array=IMAGE, **geometry)  # type: ignore[arg-type]
    with pytest.raises(InputError, match=said) as error:
        read_volume(tmp_path / "a.npz")
    assert "a.npz" in str(error.value)


def test_pickled_content_is_refused_and_not_run(tmp_path: Path) -> None:
    bomb = np.array([[Bomb(tmp_path / "exploded")]], dtype=object)
    np.save(tmp_path / "a.npy", bomb)
    np.savez(tmp_path / "a.npz", array=bomb)
    (tmp_path / "b.npy").write_bytes(pickle.dumps(Bomb(tmp_path / "exploded")))
    (tmp_path / "b.npz").write_bytes(pickle.dumps(Bomb(tmp_path / "exploded")))
    for name, said in (("a.npy", "never loaded"), ("a.npz", "never loaded"), ("b.npy", "NumPy"), ("b.npz", "zip")):
        with pytest.raises(InputError, match=said):
            read_volume(tmp_path / name)
    assert not (tmp_path / "exploded").exists()
    np.load(tmp_path / "a.npy", allow_pickle=True)[0, 0].close()
    assert (tmp_path / "exploded").exists()  # it would have


def test_a_wrong_checksum_is_refused(tmp_path: Path) -> None:
    for save in (np.savez, np.savez_compressed):
        save(tmp_path / "a.npz", array=IMAGE)
        content = bytearray((tmp_path / "a.npz").read_bytes())
        place = content.index(b"PK\1\2") + 16  # the directory's checksum of the first member
        content[place] ^= 1
        (tmp_path / "a.npz").write_bytes(content)
        with pytest.raises(InputError, match=r"checksum|CRC"):
            read_volume(tmp_path / "a.npz")


@given(
    array=hnp.arrays(
        st.sampled_from(["u1", ">i2", "f2", "<f4", ">f8"]),
        hnp.array_shapes(min_dims=1, max_dims=4, min_side=0, max_side=5),
    ),
    fortran=st.booleans(),
    save=st.sampled_from([np.savez, np.savez_compressed]),
    data=st.data(),
)
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_rows_are_those_of_the_array(
    tmp_path: Path, array: np.ndarray, fortran: bool, save: Callable[..., None], data: st.DataObject
) -> None:
    array = np.asfortranarray(array) if fortran else array
    save(tmp_path / "a.npz", image=array)
    indices = range(len(array))
    rows = data.draw(st.lists(st.sampled_from(indices), min_size=1, unique=True)) if indices else []
    assert read_header(tmp_path / "a.npz", "image").shape == array.shape
    found = read_rows(tmp_path / "a.npz", "image", rows)
    assert found.dtype == array.dtype.newbyteorder("=")
    np.testing.assert_array_equal(found, array[rows])


def test_rows_are_put_together_from_pieces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("twintrack.images.packing.inflate.CHUNK", 7)
    np.savez_compressed(tmp_path / "a.npz", image=IMAGE)
    np.testing.assert_array_equal(read_rows(tmp_path / "a.npz", "image", [1, 0]), IMAGE[[1, 0]])


@pytest.mark.parametrize("mark", [16, 24])  # of the directory's entry: checksum, length
def test_rows_of_a_damaged_array_are_refused(tmp_path: Path, mark: int) -> None:
    np.savez_compressed(tmp_path / "a.npz", array=IMAGE)
    content = bytearray((tmp_path / "a.npz").read_bytes())
    content[content.index(b"PK\1\2") + mark] ^= 1
    (tmp_path / "a.npz").write_bytes(content)
    with pytest.raises(InputError, match=r"a\.npz"):
        read_rows(tmp_path / "a.npz", "array", [0])


def test_a_false_length_does_not_reserve_memory(tmp_path: Path) -> None:
    np.savez_compressed(tmp_path / "a.npz", array=IMAGE)
    content = bytearray((tmp_path / "a.npz").read_bytes())
    directory = content.index(b"PK\1\2")
    struct.pack_into("<I", content, directory + 24, 0xFFFFFFF0)
    (tmp_path / "a.npz").write_bytes(content)
    with pytest.raises(InputError, match="impossible length"):
        read_volume(tmp_path / "a.npz")
    struct.pack_into("<I", content, directory + 20, 0xFFFFFFF0)
    (tmp_path / "a.npz").write_bytes(content)
    with pytest.raises(InputError, match=r"cut short|Corrupt|damaged"):
        read_volume(tmp_path / "a.npz")


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_rare_compressions_are_read_too(tmp_path: Path, method: int) -> None:
    np.save(tmp_path / "array.npy", IMAGE)
    with zipfile.ZipFile(tmp_path / "a.npz", "w", method) as archive:
        archive.write(tmp_path / "array.npy", "array.npy")
    np.testing.assert_array_equal(read_volume(tmp_path / "a.npz").array, IMAGE)


def test_encrypted_and_foreign_members_are_refused(tmp_path: Path) -> None:
    np.savez_compressed(tmp_path / "a.npz", array=IMAGE)
    content = bytearray((tmp_path / "a.npz").read_bytes())
    for mark, place in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
        content[content.index(mark) + place] |= 1
    (tmp_path / "a.npz").write_bytes(content)
    with pytest.raises(InputError, match="encrypted"):
        read_volume(tmp_path / "a.npz")
    with zipfile.ZipFile(tmp_path / "b.npz", "w") as archive:
        archive.writestr("readme.txt", "no array")
    with pytest.raises(InputError, match=r"readme\.txt"):
        read_volume(tmp_path / "b.npz")


def test_content_longer_or_shorter_than_the_header_says_is_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", IMAGE)
    content = (tmp_path / "a.npy").read_bytes()
    for wrong in (content + b"x", content[:-1], content[:40], content[:7]):
        (tmp_path / "a.npy").write_bytes(wrong)
        with pytest.raises(InputError, match=r"a\.npy"):
            read_volume(tmp_path / "a.npy")


def test_a_header_whose_type_is_no_type_is_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", IMAGE)
    content = (tmp_path / "a.npy").read_bytes().replace(b"'<f4'", b"',f4'", 1)
    (tmp_path / "a.npy").write_bytes(content)
    with pytest.raises(InputError, match=r"a\.npy"):
        read_volume(tmp_path / "a.npy")


def test_the_file_of_an_array_is_its_name(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", IMAGE)
    assert isinstance(read_volume(tmp_path / "a.npy"), Volume)
    assert read_volume(tmp_path / "a.npy").name == str(tmp_path / "a.npy")


def test_no_two_threads_parse_headers_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.npz"
    np.savez_compressed(path, a=np.zeros((2, 3)))
    plain, inside, most = npy_format.read_array_header_1_0, [], []

    def watched(stream: Any) -> Any:
        inside.append(None)
        most.append(len(inside))
        time.sleep(0.01)
        found = plain(stream)
        inside.pop()
        return found

    monkeypatch.setattr(npy_format, "read_array_header_1_0", watched)
    with ThreadPoolExecutor(4) as pool:
        found = set(pool.map(lambda _: read_header(path, "a").shape, range(8)))
    assert found == {(2, 3)}
    assert max(most) == 1
