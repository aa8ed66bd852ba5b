"""Probabilities that lie flipped against the segmentation beside them are refused, where no dataset.json vouches."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from twintrack.errors import InputError
from twintrack.images import Grid, Volume, read_probability, write_volume
from twintrack.images.nnunet import read_probability_in_parts

SHAPE = (6, 7, 8)
GRID = Grid.plain(SHAPE, spacing=(2.0, 1.0, 1.0))


def save(folder: Path, *, flipped: tuple[int, ...] = (), drawn: tuple[slice, ...] | None = None) -> Path:
    """A lesion in a corner, seen by a network of three classes, beside its segmentation."""
    p = np.full(SHAPE, 0.01, np.float32)
    p[1:3, 1:4, 1:4] = 0.9
    other = np.full(SHAPE, 0.02, np.float32)
    np.savez_compressed(folder / "case.npz", probabilities=np.stack([1 - p - other, p, other]))
    labels = np.zeros(SHAPE, np.uint8)
    labels[drawn or (slice(1, 3), slice(1, 4), slice(1, 4))] = 1
    write_volume(folder / "case.nii.gz", Volume(np.flip(labels, flipped).copy(), GRID))
    return folder / "case.npz"


def test_what_lies_alike_is_read(tmp_path: Path) -> None:
    assert read_probability(save(tmp_path), foreground=[1]).array[1, 1, 1] == np.float32(0.9)


@pytest.mark.parametrize("flipped", [(0,), (1,), (2,), (0, 1), (1, 2), (0, 1, 2)])
def test_what_lies_flipped_is_refused_and_the_axes_named(tmp_path: Path, flipped: tuple[int, ...]) -> None:
    path = save(tmp_path, flipped=flipped)
    with pytest.raises(
        InputError, match=rf"lies flipped against .*case\.nii\.gz: .*axes {list(flipped)}".replace("[", r"\[")
    ):
        read_probability(path, foreground=[1])
    with pytest.raises(InputError, match="lies flipped"):
        read_probability_in_parts(path, foreground=[1]).whole(np.float32)


def test_a_dataset_json_vouches_for_the_geometry(tmp_path: Path) -> None:
    path = save(tmp_path, flipped=(2,))
    content = {"labels": {"background": 0, "tumour": 1, "cyst": 2}, "file_ending": ".nii.gz"}
    (tmp_path / "dataset.json").write_text(json.dumps(content))
    assert read_probability(path, foreground=["tumour"]).array[1, 1, 1] == np.float32(0.9)


def test_a_segmentation_that_was_mended_by_hand_is_no_flip(tmp_path: Path) -> None:
    path = save(tmp_path, drawn=(slice(1, 3), slice(2, 4), slice(1, 4)))
    assert read_probability(path, foreground=[1]).array[1, 1, 1] == np.float32(0.9)
