"""The twins: voxels, names and colours as 3D Slicer and ITK-SNAP read them."""

from __future__ import annotations

import gzip
import re

import numpy as np
import pytest
import SimpleITK as sitk

from twintrack.images import read_volume
from twintrack.report.dicom.colours import level_colour
from twintrack.report.dicom.structure import structure_of
from twintrack.report.dicom.twins import label_description, slicer_fields, write_twins


def header_of(path):
    """Read a NRRD file by its definition: fields, key:=value pairs, and the voxels behind the empty line."""
    head, _, data = path.read_bytes().partition(b"\n\n")
    first, *lines = head.decode("utf-8").splitlines()
    assert re.fullmatch(r"NRRD000[4-5]", first)
    pairs = dict(line.split(":=", 1) for line in lines if ":=" in line)
    fields = dict(line.split(": ", 1) for line in lines if ":=" not in line and ": " in line)
    return fields, pairs, gzip.decompress(data)


@pytest.fixture
def written(result, tmp_path):
    return write_twins(result, tmp_path)


def test_slicer_finds_a_segment_for_each_level(result, written):
    fields, pairs, data = header_of(written[0])
    assert written[0].name.endswith(".seg.nrrd")
    assert fields["space"] == "left-posterior-superior"
    assert fields["sizes"] == "52 48 24"
    assert fields["type"] in ("uchar", "unsigned char", "uint8")
    assert (np.frombuffer(data, np.uint8).reshape(result.levels.shape) == result.levels).all()
    assert pairs["Segmentation_SourceRepresentation"] == "Binary labelmap"
    assert pairs["Segmentation_ContainedRepresentationNames"] == "Binary labelmap|"
    for k in range(5):
        assert pairs[f"Segment{k}_Name"] == f"{k + 1} of 5, pancreatic tumour"
        assert pairs[f"Segment{k}_LabelValue"] == str(k + 1)
        assert pairs[f"Segment{k}_Layer"] == "0"
        colour = np.array([float(part) for part in pairs[f"Segment{k}_Color"].split()])
        np.testing.assert_allclose(colour * 255, level_colour(k + 1, 5), atol=1e-3)
        assert "~SCT^108369006^Neoplasm~^^~Anatomic codes" in pairs[f"Segment{k}_Tags"]
        x0, x1, y0, y1, z0, z1 = map(int, pairs[f"Segment{k}_Extent"].split())
        mask = result.levels == k + 1
        assert mask[z0 : z1 + 1, y0 : y1 + 1, x0 : x1 + 1].sum() == mask.sum() > 0
        assert all(mask.any(axis=(1, 2))[[z0, z1]])
        assert all(mask.any(axis=(0, 2))[[y0, y1]])
        assert all(mask.any(axis=(0, 1))[[x0, x1]])
    assert "Segment5_ID" not in pairs


def test_every_reader_finds_the_voxels_in_their_places(result, written):
    grid = result.series.grid
    for path in written[:2]:
        image = sitk.ReadImage(str(path))
        assert (sitk.GetArrayFromImage(image) == result.levels).all()
        np.testing.assert_allclose(image.GetOrigin(), grid.origin, atol=1e-4)
        np.testing.assert_allclose(image.GetDirection(), grid.direction, atol=1e-6)
        np.testing.assert_allclose(image.GetSpacing()[::-1], grid.spacing, atol=1e-6)
        assert grid.difference(read_volume(path).grid) is None


def test_itk_snap_finds_a_label_for_each_level(written):
    lines = [line for line in written[2].read_text(encoding="utf-8").splitlines() if not line.startswith("#")]
    pattern = r'\s*(\d+)\s+(\d+)\s+(\d+)\s+(\d+)\s+([01])\s+([01])\s+([01])\s+"(.*)"'
    rows = [re.fullmatch(pattern, line).groups() for line in lines]
    assert rows[0] == ("0", "0", "0", "0", "0", "0", "0", "Clear Label")
    for level, (index, red, green, blue, *shown, name) in enumerate(rows[1:], start=1):
        assert int(index) == level
        assert (int(red), int(green), int(blue)) == level_colour(level, 5)
        assert shown == ["1", "1", "1"]
        assert name == f"{level} of 5, pancreatic tumour"
    assert len(rows) == 6


def test_a_level_without_voxels_has_an_empty_extent(make_result, oblique, phantom):
    fields = slicer_fields(make_result(oblique, np.zeros_like(phantom.response)))
    assert {fields[f"Segment{k}_Extent"] for k in range(5)} == {"0 -1 0 -1 0 -1"}


def test_signs_with_a_meaning_in_the_formats_are_replaced(make_result, oblique, phantom):
    odd = structure_of('the "odd" one', kind="99X:1:a^b~c|d")
    result = make_result(oblique, phantom.response, structure=odd)
    assert "~99X^1^a b c d~" in slicer_fields(result)["Segment0_Tags"]
    assert "\"1 of 5, the 'odd' one\"" in label_description(result)


def test_colours_differ_for_any_number_of_raters():
    for n_raters in (1, 2, 5, 10):
        assert len({level_colour(level, n_raters) for level in range(1, n_raters + 1)}) == n_raters
