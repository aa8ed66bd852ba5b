"""The part of a case that the challenge scores."""

from __future__ import annotations

import numpy as np
import pytest

from twintrack.errors import InputError
from twintrack.evaluation.curvas2024 import in_plane_box


def test_it_spans_what_is_above_0_in_any_slice_and_keeps_every_slice():
    # MONAI 1.6.1's CropForeground gives starts (2, 1) and ends (8, 6) for this image.
    image = np.full((4, 9, 9), -5, np.int16)
    image[1, 2:4, 5] = 3
    image[3, 7, 1] = 1
    assert in_plane_box(image) == (slice(0, 4), slice(2, 8), slice(1, 6))


def test_a_voxel_of_0_is_outside():
    image = np.zeros((1, 3, 3))
    image[0, 1, 1] = 0.5
    assert in_plane_box(image) == (slice(0, 1), slice(1, 2), slice(1, 2))


def test_it_crops_stacks_and_volumes_alike():
    image = np.zeros((2, 4, 5))
    image[1, 1:3, 2] = 1
    box = in_plane_box(image)
    assert np.zeros((3, 2, 4, 5))[(..., *box)].shape == (3, 2, 2, 1)
    assert image[box].shape == (2, 2, 1)


@pytest.mark.parametrize("image", [np.zeros((3, 3)), np.full((2, 2, 2), "a")])
def test_what_is_no_ct_is_refused(image):
    with pytest.raises(InputError, match="image must be a CT"):
        in_plane_box(image)


def test_nothing_above_0_is_refused():
    with pytest.raises(InputError, match="no voxel above 0"):
        in_plane_box(np.full((2, 3, 3), -1000))
