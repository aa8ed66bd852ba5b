import numpy as np
import pytest

from twintrack.calibration.methods import fit_map
from twintrack.calibration.respond import respond_in_place
from twintrack.calibration.table import ResponseTable

from .conftest import make_case


@pytest.fixture(scope="module")
def curve():
    tables = [ResponseTable.from_case(make_case(seed)) for seed in range(5)]
    return sum(tables[1:], tables[0]).curve()


@pytest.mark.parametrize("method", ["isotonic", "centered-isotonic"])
@pytest.mark.parametrize("pin_zero", [True, False])
@pytest.mark.parametrize("with_roi", [True, False])
def test_the_table_of_a_map_gives_what_the_map_gives(curve, method, pin_zero, with_roi):
    fitted = fit_map(method, curve)
    rng = np.random.default_rng(0)
    p = rng.random((5, 40, 41), np.float32) ** 4
    p[rng.random(p.shape) < 0.2] = 0
    roi = (rng.random(p.shape) < 0.7).astype(np.uint8) if with_roi else None
    plain = respond_in_place(p.copy(), fitted.__call__, pin_zero=pin_zero, roi=roi)
    found = respond_in_place(p.copy(), fitted, pin_zero=pin_zero, roi=roi)
    assert (found == plain).all()


def test_maps_that_were_used_compare_as_before(curve):
    one, other = fit_map("isotonic", curve), fit_map("isotonic", curve)
    respond_in_place(np.zeros((2, 2), np.float32), one, pin_zero=True, roi=None)
    assert one == other


def test_nan_stays_nan(curve):
    p = np.full((2, 3), np.nan, np.float32)
    assert np.isnan(respond_in_place(p, fit_map("isotonic", curve), pin_zero=True, roi=None)).all()
