"""What a `Case` makes of arrays, volumes, paths and sources."""

from __future__ import annotations

import numpy as np
import pytest

from twintrack.cohort.sources import ImageSource, MaskSource, MemorySource, PredictionSource, as_source
from twintrack.errors import GeometryError, InputError
from twintrack.images import Grid, Volume

GRID = Grid(shape=(2, 3, 4), spacing=(2.0, 0.75, 0.5), origin=(1.0, 2.0, 3.0), direction=(1, 0, 0, 0, 1, 0, 0, 0, 1))


def test_an_array_with_spacing_lies_at_the_origin(mask):
    source = as_source(mask(0), name="rater 1", grid=None, spacing=(2.0, 0.75, 0.5))
    volume = source.read()
    assert (volume.grid.spacing, volume.grid.origin, volume.grid.known) == ((2.0, 0.75, 0.5), (0.0, 0.0, 0.0), True)
    assert (source.name, source.files) == ("rater 1", ())
    np.testing.assert_array_equal(volume.array, mask(0))


def test_an_array_without_spacing_has_no_known_grid(mask):
    assert as_source(mask(0), name="m", grid=None, spacing=None).read().grid == Grid.plain((2, 3, 4))
    assert not as_source(mask(0), name="m", grid=None, spacing=None).read().grid.known


def test_an_array_takes_the_grid_given(mask):
    assert as_source(mask(0), name="m", grid=GRID, spacing=(9.0, 9.0, 9.0)).read().grid is GRID


def test_an_array_that_does_not_fit_the_grid_is_refused_at_once(mask):
    with pytest.raises(GeometryError, match=r"rater 2: the array has shape \(5, 5\), its grid \(2, 3, 4\)"):
        as_source(mask(0, (5, 5)), name="rater 2", grid=GRID, spacing=None)
    with pytest.raises(GeometryError, match="needs 3 spacings"):
        as_source(mask(0), name="m", grid=None, spacing=(1.0, 1.0))


def test_memory_is_not_copied(mask):
    array = mask(0)
    volume = Volume.from_array(array)
    assert as_source(array, name="m", grid=None, spacing=None).read().array is array
    assert as_source(volume, name="m", grid=None, spacing=None).read() is volume


def test_a_volume_keeps_its_own_grid_and_name(mask):
    volume = Volume.from_array(mask(0), spacing=(3.0, 3.0, 3.0), name="mine")
    source = as_source(volume, name="rater 1", grid=GRID, spacing=(1.0, 1.0, 1.0))
    assert isinstance(source, MemorySource)
    assert (source.name, source.read().grid.spacing) == ("mine", (3.0, 3.0, 3.0))


@pytest.mark.parametrize("kind", [str, lambda path: path], ids=["text", "path"])
def test_a_path_is_read_when_asked_and_not_before(tmp_path, write, mask, kind):
    path = tmp_path / "late.nii.gz"
    source = as_source(kind(path), name="rater 1", grid=None, spacing=None)
    assert (source, source.name, source.files) == (ImageSource(path), str(path), (path,))
    with pytest.raises(InputError, match=r"late\.nii\.gz: there is no such file"):
        source.read()
    write("late.nii.gz", mask(0))
    np.testing.assert_array_equal(source.read().array, mask(0))


def test_a_source_is_taken_as_it_is(tmp_path):
    source = PredictionSource(tmp_path / "c1.npz", ("tumour",))
    assert as_source(source, name="m", grid=None, spacing=None) is source
    assert (source.name, source.files) == (str(tmp_path / "c1.npz"), (tmp_path / "c1.npz",))


def test_labels_are_merged_into_one_mask(write):
    labels = np.arange(24, dtype=np.int16).reshape(2, 3, 4) % 4
    path = write("labels.nii.gz", labels)
    merged = MaskSource(path, (2, 3)).read()
    assert merged.array.dtype == np.uint8
    np.testing.assert_array_equal(merged.array, labels >= 2)
    np.testing.assert_array_equal(MaskSource(path).read().array, labels)
    assert (MaskSource(path).name, MaskSource(path).files) == (str(path), (path,))


def test_whole_numbers_stored_as_floats_are_labels(write):
    path = write("float.nii.gz", np.array([[[0.0, 2.0, 3.0]]], np.float32))
    np.testing.assert_array_equal(MaskSource(path, (2,)).read().array, [[[0, 1, 0]]])


@pytest.mark.parametrize("value", [0.25, np.nan])
def test_labels_are_not_looked_for_in_a_probability_map(write, value):
    path = write("p.nii.gz", np.array([[[0.0, 1.0, value, value]]], np.float32))
    with pytest.raises(
        InputError, match=rf"p\.nii\.gz: labels \(1, 2\) .* no label map: 2 of 4 values .* is {value:g}"
    ):
        MaskSource(path, (1, 2)).read()


def test_a_prediction_gives_the_foreground_channel_on_the_grid_of_its_segmentation(write_nnunet, probability):
    folder = write_nnunet("member", "c1", probability(0))
    volume = PredictionSource(folder / "c1.npz", ("tumour",)).read()
    np.testing.assert_array_equal(volume.array, probability(0))
    assert (volume.grid.spacing, volume.grid.origin) == ((2.0, 0.75, 0.5), (-7.0, 3.5, 90.0))
