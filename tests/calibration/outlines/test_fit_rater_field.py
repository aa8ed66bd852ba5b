"""Choosing a field: the one that drew the raters is found, ties go to the smoother, and bad cases are named."""

import numpy as np
import pytest

import twintrack as tt
from twintrack.calibration.outlines import RaterField, case_seed, fit_rater_field, sample_masks
from twintrack.calibration.outlines.fit import _table
from twintrack.errors import CalibrationError, CohortError, InputError
from twintrack.evaluation.scores.energy_distance import energy_distance

SPACING = (1.5, 1.0)
SMALL = {"correlations": (0.0, 0.5, 1.0), "lengths_mm": (1.0, 8.0), "n": 8}


def distance(samples, raters):
    return energy_distance(samples, raters, unbiased=True).value


def cone(height=1.2, width=8.0):
    """A response that falls from 1 to 0 over `width` mm."""
    z, y = np.mgrid[-10:11, -12:13]
    return np.clip(height - np.hypot(z * SPACING[0], y * SPACING[1]) / width, 0, 1).astype(np.float32)


def drawn_by(field, *, number, n_raters=4, **options):
    response = cone(height=1 + 0.02 * number)
    raters = sample_masks(response, spacing=SPACING, field=field, n=n_raters, seed=1000 + number)
    name = f"case {number}"
    return tt.Case(name, probability=response, raters=list(raters), **({"spacing": SPACING} | options))


def as_it_is(data):
    return data.probability()


@pytest.mark.parametrize("drawn", [RaterField(correlation=1, length_mm=8), RaterField(correlation=0, length_mm=1)])
def test_the_field_that_drew_the_raters_is_found(drawn):
    cases = [drawn_by(drawn, number=number) for number in range(25)]
    found = fit_rater_field(cases, as_it_is, distance=distance, **(SMALL | {"n": 16}))
    assert found.field == drawn
    assert (found.n_cases, found.n, found.seed) == (25, 16, 0)


def test_the_table_holds_the_distances_of_the_masks_that_are_sampled():
    cases = [drawn_by(RaterField(), number=number) for number in range(2)]
    found = fit_rater_field(cases, as_it_is, distance=distance, seed=3, **SMALL)
    fields = {(row.field.correlation, row.field.length_mm) for row in found.scores}
    # With one threshold per rater the length does not matter.
    assert fields == {(0, 1), (0.5, 1), (0, 8), (0.5, 8), (1, 8)}
    for row in found.scores:
        wanted = []
        for case in cases:
            data = case.read()
            masks = sample_masks(data.probability(), spacing=SPACING, field=row.field, n=8, seed=case_seed(3, case.id))
            wanted.append(distance(list(masks), list(data.raters.values())))
        assert row.distance == pytest.approx(np.mean(wanted), abs=1e-12)
    assert [row.distance for row in found.scores] == sorted(row.distance for row in found.scores)
    assert found.scores[0].excess == found.scores[0].error == 0


def test_the_order_of_the_cases_does_not_matter():
    cases = [drawn_by(RaterField(), number=number) for number in range(4)]
    one = fit_rater_field(cases, as_it_is, distance=distance, **SMALL)
    other = fit_rater_field(cases[::-1], as_it_is, distance=distance, **SMALL)
    assert one.field == other.field
    assert [row.distance for row in one.scores] == pytest.approx([row.distance for row in other.scores])


def test_means_excesses_and_errors_worked_out_by_hand():
    # Three cases of two patients, two fields. Gaps to the second: 1, 3, 5 with mean 3; deviations −2, 0, 2 sum to −2 in
    # the first patient and 2 in the other: √(2/1 · (4 + 4)) / 3 = 4/3.
    fields = [RaterField(length_mm=1), RaterField(length_mm=2)]
    found = np.array([[2.0, 1.0], [4.0, 1.0], [7.0, 2.0]])
    first, second = _table(fields, found, patients=["a", "a", "b"])
    assert (first.distance, first.excess, first.error) == (pytest.approx(13 / 3), 3, pytest.approx(4 / 3))
    assert (second.distance, second.excess, second.error) == (pytest.approx(4 / 3), 0, 0)
    assert _table(fields, found, patients=["a", "a", "a"])[0].error == 0


def test_fields_that_do_equally_well_lose_to_the_smoothest():
    cases = [drawn_by(RaterField(), number=number) for number in range(3)]
    found = fit_rater_field(cases, as_it_is, distance=lambda samples, raters: 0.5, **SMALL)
    assert found.field == RaterField(correlation=1, length_mm=8)
    without_one = fit_rater_field(
        cases, as_it_is, distance=lambda samples, raters: 0.5, correlations=(0.5, 0.0), lengths_mm=(8, 1, 8), n=2
    )
    assert without_one.field == RaterField(correlation=0.5, length_mm=8)
    assert len(without_one.scores) == 4


def test_a_calibration_gives_the_responses_within_the_roi():
    roi = np.zeros((21, 25), np.uint8)
    roi[5:15, 5:20] = 1
    cases = [drawn_by(RaterField(), number=number, roi=roi) for number in range(3)]
    calibration = tt.fit(cases, method="isotonic")
    found = fit_rater_field(cases, calibration.apply, distance=distance, **SMALL)
    wanted = []
    for case in cases:
        options = {"spacing": SPACING, "n": 8, "field": found.field, "seed": case_seed(0, case.id)}
        masks = sample_masks(calibration.apply(case), **options)
        assert not masks[:, roi == 0].any()
        wanted.append(distance(list(masks), list(case.read().raters.values())))
    row = next(row for row in found.scores if row.field == found.field)
    assert row.distance == pytest.approx(np.mean(wanted), abs=1e-12)


def test_cases_are_cut_to_what_is_predicted_or_drawn():
    response, mask = np.zeros((30, 40), np.float32), np.zeros((30, 40), np.uint8)
    response[10:15, 20:26] = 0.5
    mask[12:18, 19:22] = 1
    seen = set()

    def watching(samples, raters):
        seen.update({samples[0].shape, *(one.shape for one in raters)})
        assert (len(samples), len(raters)) == (8, 2)
        return 0.0

    case = tt.Case("c", probability=response, raters=[mask, mask], spacing=(1, 1))
    fit_rater_field([case], as_it_is, distance=watching, **SMALL)
    assert seen == {(8, 7)}


def test_what_raters_drew_outside_the_prediction_counts():
    far = np.zeros((21, 25), np.uint8)
    far[0, :4] = 1
    response = cone() * (np.arange(25) > 12)
    case = tt.Case("c", probability=response, raters=[far, far], spacing=SPACING)
    found = fit_rater_field([case], as_it_is, distance=distance, **SMALL)
    # No sample meets any rater: 2 · 1 − samples' own distance − 0 is at least 1.
    assert all(1 <= row.distance <= 2 for row in found.scores)


@pytest.mark.parametrize("drawn", [0, 1])
def test_a_case_without_any_prediction_has_the_same_distance_for_every_field(drawn):
    mask = np.full((3, 4), drawn, np.uint8)
    case = tt.Case("c", probability=np.zeros((3, 4), np.float32), raters=[mask, mask], spacing=(1, 1))
    found = fit_rater_field([case], as_it_is, distance=distance, **SMALL)
    assert {row.distance for row in found.scores} == {2.0 * drawn}
    assert found.field == RaterField(correlation=1, length_mm=8)


def test_volumes_are_fitted_in_mm():
    response = np.stack([0.5 * cone(), cone(), 0.5 * cone()])
    raters = sample_masks(response, spacing=(3.0, *SPACING), field=RaterField(), n=3, seed=0)
    case = tt.Case("c", probability=response, raters=list(raters), spacing=(3.0, *SPACING))
    assert fit_rater_field([case], as_it_is, distance=distance, **SMALL).n_cases == 1


@pytest.mark.parametrize(
    ("options", "message"),
    [({"n_raters": 1}, "case 0: 1 rater; .* two or more"), ({"spacing": None}, "case 0: the voxel size is not known")],
)
def test_a_case_that_says_nothing_is_refused_or_left_out(options, message):
    cases = [drawn_by(RaterField(), number=0, **options), drawn_by(RaterField(), number=1)]
    with pytest.raises(CohortError, match=message):
        fit_rater_field(cases, as_it_is, distance=distance, **SMALL)
    bad = []
    found = fit_rater_field(cases, as_it_is, distance=distance, on_bad=lambda case, error: bad.append(case.id), **SMALL)
    assert (found.n_cases, bad) == (1, ["case 0"])
    with pytest.raises(CalibrationError, match="every case was skipped"):
        fit_rater_field(cases[:1], as_it_is, distance=distance, on_bad=lambda case, error: None, **SMALL)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"n": 1}, "two masks or more.*n=1"),
        ({"seed": -1}, "seed=-1"),
        ({"correlations": ()}, "nothing to try"),
        ({"lengths_mm": ()}, "nothing to try"),
    ],
)
def test_options_out_of_range_are_refused_before_anything_is_read(wrong, message):
    with pytest.raises(InputError, match=message):
        fit_rater_field([], as_it_is, distance=distance, **wrong)
