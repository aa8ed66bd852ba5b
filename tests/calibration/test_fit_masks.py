"""Fitting the rater field with a calibration: the library's field, in whatever order, and what is refused."""

import numpy as np
import pytest

import twintrack as tt
from twintrack.calibration import tabulate
from twintrack.calibration.outlines import RaterField, fit_rater_field, sample_masks
from twintrack.errors import CalibrationError

SPACING = (1.5, 1.0)


def drawn_by(field, *, number, n_raters=4, **options):
    """A disk whose response falls from 1 to 0 over 8 mm, drawn by raters of a field."""
    z, y = np.mgrid[-10:11, -12:13]
    response = np.clip(1.1 + 0.03 * number - np.hypot(z * 1.5, y) / 8, 0, 1).astype(np.float32)
    raters = sample_masks(response, spacing=SPACING, field=field, n=n_raters, seed=1000 + number)
    name = f"case {number}"
    return tt.Case(name, probability=response, raters=list(raters), **({"spacing": SPACING} | options))


@pytest.fixture(scope="module")
def cases():
    return [drawn_by(RaterField(correlation=0, length_mm=1), number=number) for number in range(8)]


@pytest.fixture(scope="module")
def fitted(cases):
    return tt.fit(cases, masks=True, seed=3)


def test_it_is_the_field_that_the_library_fits_to_the_responses(cases, fitted):
    silent = fitted.model_copy(update={"guard": None})

    def responses(data):
        found = silent.apply(data)
        return np.where(found < 1e-3, np.float32(0), found)  # so seldom in a mask that it is left out

    assert fitted.rater_field == fit_rater_field(cases, responses, seed=3).field
    # Raters whose outlines are rough are told from those with one threshold.
    assert fitted.rater_field.correlation < 1
    assert fitted.rater_field.length_mm <= 4


def test_all_else_is_as_without_masks(cases, fitted):
    plain = tt.fit(cases, seed=3)
    assert plain.rater_field is None
    assert fitted.model_copy(update={"rater_field": None}) == plain


def test_it_survives_its_file_and_does_not_depend_on_the_order(cases, fitted, tmp_path):
    fitted.save(tmp_path / "a.json")
    assert tt.load_calibration(tmp_path / "a.json") == fitted
    tt.fit(cases[::-1], masks=True, seed=3).save(tmp_path / "b.json")
    assert (tmp_path / "a.json").read_bytes() == (tmp_path / "b.json").read_bytes()


def test_cases_with_one_rater_are_fitted_to_and_say_nothing_of_masks(cases):
    alone = drawn_by(RaterField(), number=20, n_raters=1)
    found = tt.fit([*cases[:3], alone], masks=True)
    assert found.provenance.n_cases == 4
    assert found.rater_field is not None


@pytest.mark.parametrize(
    ("options", "fit_options", "message"),
    [
        ({"n_raters": 1}, {}, "masks need cases with 2 or more raters.* all 2 cases have one"),
        ({"spacing": None}, {}, "the voxel size of 2 of 2 cases with 2 or more raters is not known"),
        ({}, {"target": "majority"}, "they do not go with the target majority"),
        ({}, {"target": "rater:1"}, "they do not go with the target rater:1"),
    ],
)
def test_what_cannot_tell_how_masks_vary_is_refused(options, fit_options, message):
    cases = [drawn_by(RaterField(), number=number, **options) for number in range(2)]
    with pytest.raises(CalibrationError, match=message):
        tt.fit(cases, masks=True, **fit_options)


def test_a_table_is_refused(cases):
    with pytest.raises(CalibrationError, match="masks need the cases"):
        tt.fit(tabulate(cases[:2]), masks=True)
