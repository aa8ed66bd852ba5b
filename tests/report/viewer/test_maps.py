"""What the viewer is given of a case's volumes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from twintrack.errors import GeometryError, InputError
from twintrack.images import Grid, Volume, read_volume
from twintrack.report.viewer.cases import find_cases
from twintrack.report.viewer.maps import CT, cut, maps_of, read_shown, write_shown

from .conftest import GRID, SHAPE, response, write


def test_maps_are_cut_to_what_is_not_0_and_stay_where_they_lie(cases):
    shown = read_shown(cases[0], "response")

    assert (shown.array == response()[1:3, 2:5, 3:6]).all()
    assert shown.grid.shape == (2, 3, 3)
    assert shown.grid.origin == pytest.approx((3 * 0.7, 2 * 0.8, 1 * 3.0))


@given(arrays(np.float32, (3, 4, 5), elements=st.sampled_from([0.0, 0.0, 0.5])))
def test_a_cut_map_put_back_is_the_map(array):
    grid = Grid.plain(array.shape, spacing=(1.0, 1.0, 1.0))

    part = cut(Volume(array, grid))

    again = np.zeros_like(array)
    x, y, z = (round(at) for at in part.grid.origin)
    nz, ny, nx = part.array.shape
    again[z : z + nz, y : y + ny, x : x + nx] = part.array
    assert (again == array).all()
    assert part.array.size == 1 or all(
        part.array.any(axis=tuple({0, 1, 2} - {k})).take([0, -1]).all() for k in range(3)
    )


def test_every_map_that_is_there_is_offered_and_read(cases):
    a, b = cases
    assert maps_of(a) == ["response", "lower", "probability", "raters"]
    assert maps_of(b) == ["response", "lower", "probability"]
    assert read_shown(a, "lower").array.max() == pytest.approx(0.45)
    assert read_shown(a, "probability").array.max() == pytest.approx(0.3)
    votes = 3 * read_shown(a, "raters").array
    assert np.bincount(votes.round().astype(int).ravel(), minlength=4).tolist() == [0, 17, 0, 1]


def test_the_ct_is_whole_and_black_where_there_is_none(cases):
    assert (read_shown(cases[0], CT).array == -50).all()
    blank = read_shown(replace(cases[0], ct=None), CT)
    assert (blank.array.shape, blank.array.any()) == (SHAPE, False)


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("bool", "int16"),
        ("uint8", "int16"),
        ("int8", "int16"),
        ("uint16", "int16"),
        ("int32", "int16"),
        ("float64", "float32"),
    ],
)
def test_voxels_become_int16_or_float32_with_their_values(applied, tmp_path, given, shown):
    array = (np.arange(np.prod(SHAPE)) % 100).reshape(SHAPE).astype(given)
    write(tmp_path / "cts" / "a.nii.gz", array)

    volume = read_shown(find_cases(applied, images=[tmp_path / "cts"])[0], CT)

    assert volume.array.dtype == shown
    assert (volume.array == array).all()


def test_what_int16_does_not_hold_is_float32(applied, tmp_path):
    write(tmp_path / "cts" / "a.nii.gz", np.full(SHAPE, 40_000, np.int32))

    volume = read_shown(find_cases(applied, images=[tmp_path / "cts"])[0], CT)

    assert (volume.array.dtype, volume.array[0, 0, 0]) == (np.float32, 40_000)


def test_a_ct_on_another_grid_is_refused(applied, tmp_path):
    write(tmp_path / "cts" / "a.nii.gz", np.zeros(SHAPE, np.int16), Grid.plain(SHAPE, spacing=(1.0, 1.0, 1.0)))

    with pytest.raises(GeometryError, match="spacings differ"):
        read_shown(find_cases(applied, images=[tmp_path / "cts"])[0], CT)


def test_a_response_outside_0_to_1_is_refused(tmp_path):
    write(tmp_path / "c.nii.gz", response() * 2)

    with pytest.raises(InputError, match="are not in"):
        read_shown(find_cases(tmp_path)[0], "response")


def test_a_response_without_geometry_lies_where_its_ct_does(tmp_path):
    write(tmp_path / "out" / "c.npy", response())
    write(tmp_path / "cts" / "c.nii.gz", np.zeros(SHAPE, np.int16))

    (case,) = find_cases(tmp_path / "out", images=[tmp_path / "cts"])

    assert read_shown(case, "response").grid.spacing == pytest.approx(GRID.spacing)


def test_a_2d_image_becomes_one_slice(tmp_path):
    flat = Grid.plain((5, 6), spacing=(0.5, 0.7))
    write(tmp_path / "c.nii.gz", np.eye(5, 6, dtype=np.float32), flat)

    volume = read_shown(find_cases(tmp_path)[0], "response")

    assert (volume.array.shape, volume.grid.spacing) == ((1, 5, 5), pytest.approx((0.5, 0.5, 0.7)))


def test_what_is_written_is_what_is_shown(cases, tmp_path):
    path = write_shown(cases[0], "response", tmp_path)

    assert path.name == "response.nii"
    again, shown = read_volume(path), read_shown(cases[0], "response")
    assert (again.array == shown.array).all()
    assert again.grid.difference(shown.grid) is None


def test_a_response_that_is_a_link_out_of_the_folder_is_refused(applied, tmp_path):
    secret = write(tmp_path / "elsewhere" / "secret.nii.gz", response())
    (applied / "a.nii.gz").unlink()
    (applied / "a.nii.gz").symlink_to(secret)

    with pytest.raises(InputError, match="outside the folders that were named"):
        read_shown(find_cases(applied)[0], "response")


def test_a_header_that_names_voxels_elsewhere_is_refused(tmp_path):
    (tmp_path / "secret.raw").write_bytes(bytes(4 * 8))
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "c.mhd").write_text(
        "ObjectType = Image\nNDims = 3\nDimSize = 2 2 2\nElementSpacing = 1 1 1\nElementType = MET_FLOAT\n"
        f"ElementDataFile = {tmp_path / 'secret.raw'}\n"
    )

    with pytest.raises(InputError, match="outside the folders that were named"):
        read_shown(find_cases(tmp_path / "out")[0], "response")
