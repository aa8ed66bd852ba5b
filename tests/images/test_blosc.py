"""Blosc2 arrays: what was written comes back, and nothing else is taken for it."""

import json
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import twintrack as tt
from twintrack.errors import InputError, MissingExtraError
from twintrack.images import blosc

blosc2 = pytest.importorskip("blosc2")

TYPES = st.sampled_from(["u1", "i2", "i4", "f4", "f8"])


@settings(deadline=None, max_examples=25)
@given(st.lists(st.integers(1, 9), min_size=2, max_size=3), TYPES, st.integers(0, 3), st.integers(0, 999))
def test_what_was_written_comes_back_bit_by_bit(tmp_path_factory, shape, kind, level, seed):
    rng = np.random.default_rng(seed)
    array = (100 * rng.normal(size=shape)).astype(kind)
    grid = tt.Grid.plain(tuple(shape), spacing=tuple(rng.uniform(0.2, 5, len(shape))))
    file = tmp_path_factory.mktemp("b") / "a.b2nd"
    tt.write_volume(file, tt.Volume(array, grid), compression_level=level)
    back = tt.read_volume(file)
    assert back.array.dtype == array.dtype
    assert back.array.tobytes() == array.tobytes()
    assert back.grid == grid


def test_a_turned_grid_and_an_unknown_one_come_back(tmp_path):
    plain = tt.Grid.plain((2, 3, 4), spacing=(3.0, 1.0, 0.5))
    direction = (0.0, 1.0, 0.0, -1.0, 0.0, 0.0, 0.0, 0.0, 1.0)
    turned = tt.Grid(shape=plain.shape, spacing=plain.spacing, origin=(1.0, -2.0, 7.5), direction=direction)
    for grid in (turned, tt.Grid.plain((2, 3, 4))):
        tt.write_volume(tmp_path / "a.b2nd", tt.Volume(np.zeros(grid.shape, np.uint8), grid))
        assert tt.read_volume(tmp_path / "a.b2nd").grid == grid
        assert tt.images.read.read_grid(tmp_path / "a.b2nd") == grid


def test_the_same_volume_gives_the_same_bytes(tmp_path):
    # So large that there are many blocks, which threads could finish in any order.
    array = np.random.default_rng(0).random((60, 200, 200), np.float32)
    volume = tt.Volume.from_array(array, spacing=(1, 1, 1))
    for name in ("a", "b", "c"):
        tt.write_volume(tmp_path / f"{name}.b2nd", volume)
    assert len({(tmp_path / f"{name}.b2nd").read_bytes() for name in ("a", "b", "c")}) == 1


def test_a_damaged_file_never_gives_other_numbers(tmp_path):
    file, array = tmp_path / "a.b2nd", np.random.default_rng(0).random((2, 3, 4)).astype(np.float32)
    tt.write_volume(file, tt.Volume.from_array(array, spacing=(3, 1, 2)))
    whole, expected = file.read_bytes(), tt.read_volume(file)
    reasons = []
    for place in range(0, len(whole), 3):
        changed = bytearray(whole)
        changed[place] ^= (1, 64)[place % 2]
        file.write_bytes(changed)
        try:
            found = tt.read_volume(file)
        except InputError as error:
            reasons.append(str(error))
        else:  # a byte that says nothing
            assert found.array.tobytes() == expected.array.tobytes()
            assert (found.array.dtype, found.grid) == (expected.array.dtype, expected.grid)
    assert len(reasons) > array.nbytes / 3
    assert all("a.b2nd: it is damaged" in reason for reason in reasons)
    for length in range(1, len(whole), 7):
        file.write_bytes(whole[:length])
        with pytest.raises(InputError, match="it is damaged"):
            tt.read_volume(file)


def test_an_array_of_another_program_is_refused(tmp_path):
    file = tmp_path / "a.b2nd"
    file.write_bytes(blosc2.asarray(np.zeros((2, 3, 4), np.float32)).to_cframe())
    with pytest.raises(InputError, match="no array that TwinTrack wrote"):
        tt.read_volume(file)
    file.write_bytes(b"something else")
    with pytest.raises(InputError, match="no array that TwinTrack wrote"):
        tt.read_volume(file)


def test_without_the_library_it_is_said_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "blosc2", None)
    with pytest.raises(MissingExtraError, match=r"need blosc2; install twintrack\[blosc2\]"):
        tt.write_volume(tmp_path / "a.b2nd", tt.Volume.from_array(np.zeros((2, 3), np.uint8)))
    assert list(tmp_path.iterdir()) == []


def test_it_is_not_imported_before_it_is_needed():
    code = "import sys, twintrack.images.read, twintrack.images.write; print('blosc2' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"


def test_the_geometry_travels_as_json(tmp_path):
    tt.write_volume(tmp_path / "a.b2nd", tt.Volume.from_array(np.zeros((2, 3), np.uint8), spacing=(2, 1)))
    stored = blosc2.ndarray_from_cframe((tmp_path / "a.b2nd").read_bytes())
    about = json.loads(stored.schunk.vlmeta["twintrack"])
    assert about["spacing"] == [2, 1]
    assert set(about) == {"sha256", "spacing", "origin", "direction"}
    assert blosc.read_b2nd(tmp_path / "a.b2nd")[1].spacing == (2, 1)
