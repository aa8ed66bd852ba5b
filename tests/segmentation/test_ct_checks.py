"""What is no CT is refused with what was found; what is doubtful is said; CTs pass without a word."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

from twintrack.errors import InputError, TwinTrackWarning
from twintrack.images import Volume, read_volume
from twintrack.segmentation.ct_checks import MOST_LABELS, require_ct


def volume(array):
    return Volume.from_array(np.asarray(array), spacing=(1, 1, 1), name="a.nii.gz")


def noise(low, high, dtype):
    return np.random.default_rng(0).integers(low, high, (10, 11, 12)).astype(dtype)


@pytest.mark.parametrize(
    "array",
    [
        noise(-1024, 3000, np.int16),
        noise(-1024, 3000, np.float32) + 0.5,
        noise(-1024, 3000, np.float64),
        noise(-2, 2, np.int16) * 500,  # a phantom without noise
        noise(-250, 20000, np.int32),  # metal
    ],
)
def test_a_ct_passes_without_a_word(array):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        require_ct(volume(array))


def test_a_real_ct_passes_without_a_word(data_dir):
    path = data_dir / "ct_small" / "torso_3mm.nii.gz"
    if not path.is_file():
        pytest.skip("no CT among the real data")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        require_ct(read_volume(path))


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (noise(0, 2, np.bool_), "its voxels are bool"),
        (noise(0, 200, np.uint8), "its voxels are uint8, which cannot hold Hounsfield units"),
        (noise(-100, 100, np.int8), "its voxels are int8"),
        (noise(0, 1000, np.float32) / 1000, "its values go from 0 to 0.999"),
        (np.zeros((3, 4, 5), np.int16), "its values go from 0 to 0"),
        (noise(0, 4, np.int16), "the whole numbers 0, 1, 2, 3.* label map"),
        (noise(0, MOST_LABELS, np.float32), r"the whole numbers 0, 1, 2, 3, 4, 5, …"),
        (np.where(noise(0, 50, np.int16) == 7, np.nan, 40.0), r"\d+ of 1320 voxels are NaN or infinite"),
        (np.where(noise(0, 50, np.int16) == 7, np.inf, -40.0), "voxels are NaN or infinite"),
    ],
)
def test_what_is_no_ct_is_refused_with_what_was_found(array, message):
    with pytest.raises(InputError, match=f"a.nii.gz: .*{message}"):
        require_ct(volume(array))


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (noise(0, 4000, np.uint16), "from 1 to 3.*were 1000 or 1024 added"),
        (noise(0, MOST_LABELS + 30, np.int16), "nothing is as dark as air"),
        (noise(0, 20, np.float32) + 0.5, "nothing is as dark as air"),
        (noise(-1000, -900, np.int16), "nothing is brighter than air"),
        (noise(-1000, 32000, np.int32) + 100, "no tissue or metal is that bright"),
    ],
)
def test_what_is_doubtful_is_only_said(array, message):
    with pytest.warns(TwinTrackWarning, match=message):
        require_ct(volume(array))


def test_a_label_map_is_told_by_all_its_voxels_where_a_sample_does_not_tell():
    array = np.zeros((130, 130, 130), np.int16)
    others = array.reshape(-1)[1::4000]  # never at the places that are sampled, which are even
    others[:] = np.arange(others.size) + 2
    with pytest.warns(TwinTrackWarning, match="nothing is as dark as air"):
        require_ct(volume(array))
