"""From a response map on disk and its series to objects: what fits together, and what does not."""

from __future__ import annotations

import json

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk

pytest.importorskip("highdicom", reason="the extra dicom is not installed")

from twintrack.errors import GeometryError, InputError, OutputError
from twintrack.images import Grid, Volume, read_volume, write_volume
from twintrack.images.dicom import read_dicom_series
from twintrack.pipeline.dicom import write_dicom

from ..report.dicom import ct_series  # noqa: TID252  (the maker of valid series)

SHAPE = (6, 14, 16)


@pytest.fixture
def series(tmp_path):
    return ct_series.write_series(tmp_path / "ct", np.zeros(SHAPE, np.int16), cosines=ct_series.OBLIQUE)


@pytest.fixture
def response(tmp_path, series):
    array = np.zeros(SHAPE, np.float32)
    array[1:5, 3:10, 4:12] = 0.5
    array[2:4, 5:8, 6:9] = 1
    array[0, 1, 2] = 0.3
    path = tmp_path / "c1.nii.gz"
    write_volume(path, Volume(array, read_dicom_series(series).grid))
    return path


def summary_of(tmp_path, response, **changes):
    array, grid = read_volume(response).array, read_volume(response).grid
    content = {
        "expected_volume_mm3": float(array.sum(dtype=float)) * grid.voxel_volume,
        "interval": {"low_mm3": 10.0, "high_mm3": 900.0, "level": 0.9, "promised": 0.67, "n_cases": 5},
        "distribution": {"quantiles_mm3": {"0.5": 300.0}},
        "n_raters": 4,
        "foreground": ["tumour", "cyst"],
        "notes": ["a note"],
        "flags": ["it is large"],
        "calibration": {"method": "beta"},
        **changes,
    }
    path = tmp_path / "summary.json"
    path.write_text(json.dumps(content))
    return path


def test_a_summary_says_what_the_map_does_not(tmp_path, series, response):
    written = write_dicom(tmp_path / "out", series=series, response=response, said=summary_of(tmp_path, response))
    result = written.result
    assert (result.n_raters, written.structure.name) == (4, "tumour, cyst")
    assert (result.volume.rater_interval.low, result.volume.rater_interval.level) == (10.0, 0.67)
    assert result.notes == ("a note", "Unlike the calibration cases: it is large")
    assert result.parameters == {"calibration_method": "beta"}
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == sorted(path.name for path in written.files)


def test_without_one_the_number_of_raters_must_be_said(tmp_path, series, response):
    with pytest.raises(InputError, match="how many experts"):
        write_dicom(tmp_path / "out", series=series, response=response)
    written = write_dicom(tmp_path / "out", series=series, response=response, n_raters=2)
    assert (written.result.n_raters, written.structure.name) == (2, "lesion")
    assert written.result.volume.rater_interval is None


def test_what_is_given_wins_over_the_summary(tmp_path, series, response):
    written = write_dicom(
        tmp_path / "out",
        series=series,
        response=response,
        said=summary_of(tmp_path, response),
        n_raters=3,
        structure="node",
        kind="Mass",
        region="Liver",
    )
    assert written.result.n_raters == 3
    structure = written.structure
    assert (structure.name, structure.kind.meaning, structure.region.meaning) == ("node", "Mass", "Liver")


def test_a_summary_of_another_map_is_refused(tmp_path, series, response):
    said = summary_of(tmp_path, response, expected_volume_mm3=17.0)
    with pytest.raises(InputError, match=r"summary.json speaks of another map: it expects 17 mm³, and .*c1.nii"):
        write_dicom(tmp_path / "out", series=series, response=response, said=said)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("flips", [(False, True, False), (True, True, True), (True, False, False)])
def test_a_map_whose_axes_a_converter_turned_is_turned_back(tmp_path, series, response, flips):
    image = sitk.ReadImage(str(response))
    turned = tmp_path / "turned.nii.gz"
    sitk.WriteImage(sitk.PermuteAxes(sitk.Flip(image, flips), [1, 0, 2]), str(turned))
    write_dicom(tmp_path / "a", series=series, response=response, n_raters=5)
    write_dicom(tmp_path / "b", series=series, response=turned, n_raters=5)
    for path in (tmp_path / "a").iterdir():
        assert path.read_bytes() == (tmp_path / "b" / path.name).read_bytes()


def elsewhere(volume):
    moved = Grid(
        shape=volume.grid.shape,
        spacing=volume.grid.spacing,
        origin=(0.0, 0.0, 0.0),
        direction=volume.grid.direction,
    )
    return Volume(volume.array, moved)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (elsewhere, "do not lie on the same grid: the origins differ"),
        (lambda v: Volume(v.array[1:], v.grid.crop([slice(1, None), slice(None), slice(None)])), "the shapes differ"),
        (lambda v: Volume.from_array(v.array[0], spacing=(1, 1)), "the shapes differ"),
        (lambda v: Volume.from_array(v.array, spacing=v.grid.spacing), "do not lie on the same grid"),
    ],
)
def test_a_map_that_lies_elsewhere_is_refused(tmp_path, series, response, change, message):
    write_volume(tmp_path / "other.nrrd", change(read_volume(response)))
    with pytest.raises(GeometryError, match=message) as caught:
        write_dicom(tmp_path / "out", series=series, response=tmp_path / "other.nrrd", n_raters=5)
    assert "series 4: CT, portal venous, 6 files" in str(caught.value)
    assert "other.nrrd" in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_a_map_that_does_not_say_where_it_lies_is_refused(tmp_path, series, response):
    write_volume(tmp_path / "map.npy", read_volume(response))
    with pytest.raises(GeometryError, match="does not say where it lies"):
        write_dicom(tmp_path / "out", series=series, response=tmp_path / "map.npy", n_raters=5)


def test_levels_instead_of_a_response_are_refused(tmp_path, series, response):
    volume = read_volume(response)
    write_volume(tmp_path / "levels.nrrd", Volume((volume.array * 5).astype(np.uint8), volume.grid))
    with pytest.raises(InputError, match="holds floating-point numbers; this one is uint8"):
        write_dicom(tmp_path / "out", series=series, response=tmp_path / "levels.nrrd", n_raters=5)


def test_values_outside_0_to_1_are_refused(tmp_path, series, response):
    volume = read_volume(response)
    write_volume(tmp_path / "percent.nrrd", Volume(volume.array * 100, volume.grid))
    with pytest.raises(InputError, match=r"not in \[0, 1\]"):
        write_dicom(tmp_path / "out", series=series, response=tmp_path / "percent.nrrd", n_raters=5)


def test_the_series_own_folder_is_refused(tmp_path, series, response):
    before = sorted(series.iterdir())
    with pytest.raises(OutputError, match="is the series' own folder"):
        write_dicom(series / ".." / "ct", series=series, response=response, n_raters=5)
    assert sorted(series.iterdir()) == before


def test_a_response_rounded_beyond_1_is_1(tmp_path, series, response):
    volume = read_volume(response)
    write_volume(tmp_path / "r.nrrd", Volume(volume.array * np.float32(1 + 1e-7), volume.grid))
    write_dicom(tmp_path / "out", series=series, response=tmp_path / "r.nrrd", n_raters=5)
    assert pydicom.dcmread(tmp_path / "out" / "response.seg.dcm").pixel_array.max() == 255
