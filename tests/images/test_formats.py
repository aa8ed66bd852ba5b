"""File names: which are images, and what the case is called."""

from __future__ import annotations

from pathlib import Path

import pytest

from twintrack.errors import InputError
from twintrack.images.formats import image_ending, image_stem, is_image


@pytest.mark.parametrize(
    ("name", "stem", "ending"),
    [
        ("a.b.nii.gz", "a.b", ".nii.gz"),
        ("case.nii", "case", ".nii"),
        ("CASE.NII.GZ", "CASE", ".nii.gz"),
        ("x.seg.nrrd", "x", ".seg.nrrd"),
        ("x.nrrd", "x", ".nrrd"),
        ("x.mha", "x", ".mha"),
        ("x.mhd", "x", ".mhd"),
        ("x.1.npz", "x.1", ".npz"),
        ("x.npy", "x", ".npy"),
        ("x.tif", "x", ".tif"),
        ("x.tiff", "x", ".tiff"),
    ],
)
def test_the_stem_is_the_name_without_the_whole_ending(name: str, stem: str, ending: str) -> None:
    path = Path("folder.nii") / name
    assert (image_stem(path), image_ending(path), is_image(path)) == (stem, ending, True)


@pytest.mark.parametrize("name", ["a.gz", "a.txt", "a.pkl", "nii", ".nii.gz", "a.png"])
def test_other_names_are_no_images(name: str) -> None:
    assert image_ending(Path(name)) is None
    assert not is_image(Path(name))
    with pytest.raises(InputError, match="known endings are"):
        image_stem(Path(name))


@pytest.mark.parametrize("name", ["._case.nii.gz", ".123-abc-case.nii.gz"])
def test_hidden_files_are_no_images(name: str) -> None:
    assert not is_image(Path(name))
