import numpy as np
import pytest
import SimpleITK as sitk

import twintrack as tt
from twintrack.calibration.write import write_responses
from twintrack.errors import CohortError
from twintrack.images import Grid, Volume

from .conftest import make_case

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
