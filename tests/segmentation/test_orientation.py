"""Turning an image and turning results back: views, exact, and as SimpleITK and nibabel understand the codes."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import given
from hypothesis import strategies as st

from twintrack.errors import ModelError
from twintrack.images import Grid, Volume
from twintrack.segmentation.orientation import axis_code, oriented

CODES = [
    "".join(letters) for order in itertools.permutations(("RL", "AP", "IS")) for letters in itertools.product(*order)
]


def rotation(a, b, c):
    def about(angle, i, j):
        turn = np.eye(3)
        turn[[i, i, j, j], [i, j, i, j]] = np.cos(angle), -np.sin(angle), np.sin(angle), np.cos(angle)
        return turn

    return about(a, 0, 1) @ about(b, 1, 2) @ about(c, 0, 2)


def signed_permutation(order, signs):
    return np.eye(3)[:, order] * np.array(signs)


directions = st.builds(
    lambda order, signs, angles: rotation(*angles) @ signed_permutation(list(order), signs),
    st.permutations(range(3)),
    st.tuples(*[st.sampled_from([-1.0, 1.0])] * 3),
    st.tuples(*[st.floats(-0.5, 0.5)] * 3),
)


def volume_of(direction):
    grid = Grid(
        shape=(3, 4, 5),
        spacing=(2.5, 0.8, 0.7),
        origin=(-3.0, 4.0, 50.0),
        direction=tuple(np.asarray(direction).ravel().tolist()),
    )
    return Volume(np.arange(60, dtype=np.float32).reshape(3, 4, 5), grid, "noise")


def image_of(volume):
    image = sitk.GetImageFromArray(np.ascontiguousarray(volume.array))
    image.SetSpacing(volume.grid.spacing[::-1])
    image.SetOrigin(volume.grid.origin)
    image.SetDirection(volume.grid.direction)
    return image


@given(directions, st.sampled_from(CODES))
def test_it_is_what_simpleitk_makes_of_the_code(direction, code):
    turned, _ = oriented(volume_of(direction), code)
    reference = sitk.DICOMOrient(image_of(volume_of(direction)), code)
    np.testing.assert_array_equal(turned.array, sitk.GetArrayFromImage(reference))
    assert turned.grid.spacing == pytest.approx(reference.GetSpacing()[::-1])
    assert turned.grid.origin == pytest.approx(reference.GetOrigin())
    assert turned.grid.direction == pytest.approx(reference.GetDirection(), abs=1e-12)
    assert axis_code(turned.grid) == code


@pytest.mark.parametrize("seed", range(6))
def test_ras_is_nibabels_canonical_orientation_which_nnunet_turns_images_to(seed):
    orientations = pytest.importorskip("nibabel.orientations")
    rng = np.random.default_rng(seed)
    direction = rotation(*rng.uniform(-0.5, 0.5, 3)) @ signed_permutation(
        rng.permutation(3), rng.choice([-1.0, 1.0], 3)
    )
    volume = volume_of(direction)
    affine = np.eye(4)
    affine[:3, :3] = np.diag([-1, -1, 1]) @ direction @ np.diag(volume.grid.spacing[::-1])
    canonical = orientations.apply_orientation(volume.array.transpose(2, 1, 0), orientations.io_orientation(affine))
    turned, _ = oriented(volume, "RAS")
    np.testing.assert_array_equal(turned.array, canonical.transpose(2, 1, 0))


@given(directions, st.sampled_from([*CODES, None]))
def test_the_turn_takes_arrays_and_boxes_there_and_back(direction, code):
    volume = volume_of(direction)
    turned, turn = oriented(volume, code)
    np.testing.assert_array_equal(turn(turned.array), volume.array)
    np.testing.assert_array_equal(turn.forward(volume.array), turned.array)
    box = (slice(1, 3), slice(0, 2), slice(2, 5))
    np.testing.assert_array_equal(turn(turned.array[turn.box(box)]), volume.array[box])
    assert turned.grid.crop(turn.box(box)).corners().min(axis=0) == pytest.approx(
        volume.grid.crop(box).corners().min(axis=0)
    )


@given(directions, st.sampled_from(CODES))
def test_every_voxel_stays_where_it_is_in_the_patient(direction, code):
    volume = volume_of(direction)
    turned, _ = oriented(volume, code)

    def places(one):
        image = image_of(one)
        indices = [tuple(int(i) for i in np.argwhere(one.array == value)[0][::-1]) for value in (0, 17, 59)]
        return [image.TransformIndexToPhysicalPoint(index) for index in indices]

    np.testing.assert_allclose(places(turned), places(volume), atol=1e-9)


def test_nothing_is_copied():
    volume = volume_of(np.eye(3))
    turned, turn = oriented(volume, "ASR")
    assert np.shares_memory(turned.array, volume.array)
    assert np.shares_memory(turn(turned.array), volume.array)


def test_as_stored_and_two_dimensional_images_are_left_as_they_are():
    volume = volume_of(signed_permutation([1, 2, 0], (1, -1, 1)))
    assert oriented(volume, None)[0] is volume
    flat = Volume.from_array(np.zeros((3, 4)), spacing=(1, 1))
    assert oriented(flat, "RAS")[0] is flat


def test_an_image_that_does_not_say_how_it_lies_is_refused():
    with pytest.raises(ModelError, match=r"turned to RAS, and this file does not say how it lies"):
        oriented(Volume.from_array(np.zeros((3, 4, 5)), name="a.npy"), "RAS")
