import json

import numpy as np
import pytest
import SimpleITK as sitk
from tests.calibration.conftest import make_case

import twintrack as tt
from twintrack.calibration.writing.responses import write_responses
from twintrack.errors import CalibrationError, CohortError
from twintrack.images import Grid, Volume

OBLIQUE = Grid(
    shape=(4, 16, 16),
    spacing=(3.0, 0.8, 0.8),
    origin=(-12.5, 30.0, 7.25),
    direction=(0.8, -0.6, 0.0, 0.6, 0.8, 0.0, 0.0, 0.0, -1.0),
)


@pytest.fixture
def calibration(cases):
    return tt.fit(cases, method="isotonic")


@pytest.mark.parametrize("ending", ["nii.gz", "mha", "nrrd"])
def test_a_map_lies_on_the_grid_of_its_input(calibration, tmp_path, ending):
    members = [Volume(member, OBLIQUE) for member in make_case(7).read().members]
    (path,) = write_responses(calibration, [tt.Case("c7", members=members)], folder=tmp_path / "out", ending=ending)
    assert path.name == f"c7.{ending}"
    image = sitk.ReadImage(str(path))
    assert image.GetSpacing() == pytest.approx((0.8, 0.8, 3.0))
    assert image.GetOrigin() == pytest.approx(OBLIQUE.origin)
    assert image.GetDirection() == pytest.approx(OBLIQUE.direction)
    expected = calibration.apply(tt.Case("c7", members=members))
    assert (sitk.GetArrayFromImage(image) == expected).all()


@pytest.mark.parametrize("name", ["../escaped", "a/b", "..", ""])
def test_an_id_that_leaves_the_folder_is_refused(calibration, tmp_path, name):
    p = np.full((4, 16, 16), 0.5, np.float32)
    case = tt.Case("x", members=[p, p], spacing=(3, 0.8, 0.8))
    case.id = name
    with pytest.raises(CohortError, match="cannot be a file name"):
        write_responses(calibration, [case], folder=tmp_path / "out")
    assert not list(tmp_path.rglob("*escaped*"))


def test_an_input_is_not_overwritten(calibration, tmp_path):
    grid = Grid.plain((4, 16, 16), spacing=(3.0, 0.8, 0.8))
    for member in ("a", "b"):
        (tmp_path / member).mkdir()
        tt.write_volume(tmp_path / member / "c.nii.gz", Volume(np.full(grid.shape, 0.5, np.float32), grid))
    before = (tmp_path / "a" / "c.nii.gz").read_bytes()
    cohort = tt.find_cohort(members=[tmp_path / "a", tmp_path / "b"])
    with pytest.raises(CohortError, match="its response would replace its input"):
        write_responses(calibration, cohort, folder=tmp_path / "a")
    assert (tmp_path / "a" / "c.nii.gz").read_bytes() == before


def volumes_of(folder):
    content = json.loads((folder / "volumes.json").read_text(encoding="utf-8"))
    assert content.pop("schema_version") == 1
    assert set(content) == {"cases"}
    return content["cases"]


def test_the_volumes_are_those_of_the_maps(calibration, cases, tmp_path):
    told = {}
    write_responses(
        calibration, cases, folder=tmp_path, on_written=lambda case, volume: told.update({case.id: volume}), band=True
    )
    found = volumes_of(tmp_path)
    assert found == told
    assert list(found) == [case.id for case in cases]
    for case in cases:
        volume, maps = found[case.id], {}
        for name, file in volume["files"].items():
            maps[name] = sitk.GetArrayFromImage(sitk.ReadImage(str(tmp_path / file)))
        assert (maps["responses"] == calibration.apply(case)).all()
        band = calibration.response_band(case)
        assert (maps["lower"] == band.lower).all()
        assert (maps["upper"] == band.upper).all()
        assert volume["expected_volume_mm3"] == pytest.approx(maps["responses"].sum(dtype=float) * 3.0 * 0.8 * 0.8)
        interval = calibration.expected_interval(case)
        assert volume["expected_interval"] == {
            "low_mm3": interval.low,
            "high_mm3": interval.high,
            "level": 0.9,
            "n_replicates": 50,
        }
        assert interval.low < volume["expected_volume_mm3"] < interval.high
        assert volume["interval"]["low_mm3"] < volume["interval"]["high_mm3"]


def test_without_the_option_no_band_is_written(calibration, cases, tmp_path):
    write_responses(calibration, cases[:1], folder=tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["case0.nii.gz", "flags.json", "volumes.json"]
    assert volumes_of(tmp_path)["case0"]["files"] == {"responses": "case0.nii.gz"}


def test_a_calibration_that_is_not_sure_of_anything_says_null_and_refuses_the_band(calibration, cases, tmp_path):
    bare = calibration.model_copy(update={"uncertainty": None})
    with pytest.raises(CalibrationError, match="does not say how sure it is"):
        write_responses(bare, cases, folder=tmp_path / "out", band=True)
    assert not (tmp_path / "out").exists()
    write_responses(bare, cases[:1], folder=tmp_path / "out")
    assert volumes_of(tmp_path / "out")["case0"]["expected_interval"] is None
    assert volumes_of(tmp_path / "out")["case0"]["expected_volume_mm3"] > 0


def test_a_volume_is_not_said_where_the_voxel_size_is_not_known(calibration, tmp_path):
    case = tt.Case("c", members=make_case(7).read().members)
    write_responses(calibration, [case], folder=tmp_path, ending="npy")
    found = volumes_of(tmp_path)["c"]
    assert (found["expected_volume_mm3"], found["expected_interval"]) == (None, None)
    assert found["no_interval"] == "the voxel size is not known"


def test_a_lower_map_does_not_replace_an_input(calibration, tmp_path):
    grid = Grid.plain((4, 16, 16), spacing=(3.0, 0.8, 0.8))
    for member in ("lower", "b"):
        (tmp_path / member).mkdir()
        tt.write_volume(tmp_path / member / "c.nii.gz", Volume(np.full(grid.shape, 0.5, np.float32), grid))
    cohort = tt.find_cohort(members=[tmp_path / "lower", tmp_path / "b"])
    with pytest.raises(CohortError, match="would replace its input"):
        write_responses(calibration, cohort, folder=tmp_path, band=True)
    assert not (tmp_path / "c.nii.gz").exists()
