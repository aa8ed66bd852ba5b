import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import twintrack as tt
from twintrack.calibration.exact import exact_curve
from twintrack.calibration.methods.isotonic import IsotonicMap
from twintrack.calibration.table import ResponseTable
from twintrack.errors import CalibrationError, CohortError, InputError, TwinTrackError, TwinTrackWarning

from .conftest import make_case, pav


def voxels(cases, *, target=None):
    p = np.concatenate([case.read().probability().ravel() for case in cases]).astype(float)
    masks = [list(case.read().raters.values()) for case in cases]
    r = np.concatenate([np.mean(one, axis=0).ravel() for one in masks])
    return p, (r if target is None else target(r))


@pytest.mark.parametrize("decimals", [None, 1, 3])
@settings(deadline=None, max_examples=15)
@given(seed=st.integers(0, 10_000))
def test_exact_isotonic_equals_a_full_sort(decimals, seed):
    cases = [make_case(seed + k, name=f"c{k}", shape=(2, 12, 12), n_raters=2 + k, decimals=decimals) for k in range(3)]
    p, r = voxels(cases)
    expected = pav(p.tolist(), r.tolist(), [1.0] * p.size)
    fitted = tt.fit(cases, exact=True, pin_zero=False, method="isotonic")
    assert fitted.map(p) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("decimals", [None, 2])
def test_exact_isotonic_equals_a_full_sort_with_every_case_alike(decimals):
    cases = [make_case(k, shape=(2 + k, 10, 10), decimals=decimals) for k in range(3)]
    p, r = voxels(cases)
    sizes = [case.read().probability().ravel() for case in cases]
    w = np.concatenate([np.full(one.size, 1 / np.count_nonzero(one)) for one in sizes])
    above = p > 0
    expected = pav(p[above].tolist(), r[above].tolist(), w[above].tolist())
    fitted = tt.fit(cases, exact=True, weighting="cases", method="isotonic")
    # A voxel's weight is an integer out of 2**40 per case, so weights are off by up to 1e-9 relative here.
    assert fitted.map(p[above]) == pytest.approx(expected, abs=1e-8)


def test_exact_majority_equals_a_full_sort():
    cases = [make_case(k) for k in range(3)]
    p, r = voxels(cases, target=lambda response: (response > 0.5).astype(float))
    expected = pav(p.tolist(), r.tolist(), [1.0] * p.size)
    assert tt.fit(cases, exact=True, target="majority", pin_zero=False, method="isotonic").map(p) == pytest.approx(
        expected, abs=1e-12
    )


def test_exact_holds_for_saturated_predictions():
    rng = np.random.default_rng(0)
    p = np.concatenate([np.zeros(500), np.ones(300), 1 - 2.0**-24 * rng.integers(1, 9, 200), 1e-12 * rng.random(200)])
    p = p.astype(np.float32).reshape(30, 40)
    mask = (rng.random(p.shape) < 0.2 + 0.6 * p).astype(np.uint8)
    case = tt.Case("c", probability=p, raters=[mask])
    flat = p.ravel().astype(float)
    expected = pav(flat.tolist(), mask.ravel().tolist(), [1.0] * flat.size)
    assert tt.fit([case], exact=True, pin_zero=False, method="isotonic").map(flat) == pytest.approx(expected, abs=1e-12)


def test_exact_looks_no_closer_where_all_voxels_are_alike():
    rng = np.random.default_rng(0)
    p = rng.random((50, 400), np.float32)
    chance = np.clip(4 * p - 1.5, 0, 1)  # nobody draws what lies below 3/8, everybody what lies above 5/8
    mask = (rng.random(p.shape) < chance).astype(np.uint8)
    case = tt.Case("c", probability=p, raters=[mask])
    curve = exact_curve(ResponseTable.from_case(case), [case], target="response")
    levels_there = ResponseTable.from_case(case).curve().probability
    within = (curve.probability > 0.01) & (curve.probability < 0.36)
    assert np.isin(curve.probability[within], levels_there).all()
    flat = p.ravel().astype(float)
    expected = pav(flat.tolist(), mask.ravel().tolist(), [1.0] * flat.size)
    assert IsotonicMap.fit(curve)(flat) == pytest.approx(expected, abs=1e-12)


def test_fit_to_the_response_equals_the_fit_to_pooled_rater_labels():
    # Facts to build on: isotonic regression to the MHR equals the one to all raters' 0/1 labels.
    case = make_case(5, n_raters=4)
    data = case.read()
    labels = np.stack(list(data.raters.values()))
    copies = np.broadcast_to(data.probability(), labels.shape)
    pooled = tt.Case("pooled", probability=copies.reshape(-1, 16), raters=[labels.reshape(-1, 16)])
    for exact in (False, True):
        a, b = tt.fit([case], exact=exact, method="isotonic"), tt.fit([pooled], exact=exact, method="isotonic")
        p = data.probability()
        assert a.map(p) == pytest.approx(b.map(p), abs=1e-14)


def test_quantised_isotonic_is_close_to_exact():
    cases = [make_case(k, shape=(8, 48, 48)) for k in range(6)]
    p = np.concatenate([case.read().probability().ravel() for case in cases])
    gap = tt.fit(cases, method="isotonic").map(p) - tt.fit(cases, exact=True, method="isotonic").map(p)
    assert np.sqrt(np.mean(gap**2)) < 1e-3


def test_fit_from_a_table_equals_fit_from_cases(cases):
    table = tt.ResponseTable.from_case(cases[0])
    for case in cases[1:]:
        table += tt.ResponseTable.from_case(case)
    for method in ("temperature", "isotonic", "histogram"):
        assert tt.fit(table, method=method) == tt.fit(cases, method=method)
    assert tt.tabulate(cases).n_voxels == table.n_voxels


def test_order_of_the_cases_does_not_matter(cases):
    assert tt.fit(cases, method="isotonic") == tt.fit(cases[::-1], method="isotonic")


def test_an_iterator_of_cases_is_enough(cases):
    assert tt.fit(iter(cases), exact=True, method="isotonic") == tt.fit(cases, exact=True, method="isotonic")


def test_one_voxel():
    case = tt.Case("c", probability=np.full((1, 1), 0.4, np.float32), raters=[np.ones((1, 1), np.uint8)])
    for exact in (False, True):
        fitted = tt.fit([case], exact=exact, method="isotonic")
        assert fitted.apply(np.float32([[0.1, 0.4, 0.9]])).tolist() == [[1, 1, 1]]


def test_raters_who_draw_everything():
    p = np.linspace(0.1, 0.9, 9, dtype=np.float32).reshape(3, 3)
    case = tt.Case("c", probability=p, raters=[np.ones((3, 3), np.uint8)] * 3)
    assert (tt.fit([case], method="isotonic").apply(p) == 1).all()


def test_raters_who_draw_nothing_are_warned_of():
    p = np.linspace(0.1, 0.9, 9, dtype=np.float32).reshape(3, 3)
    case = tt.Case("c", probability=p, raters=[np.zeros((3, 3), np.uint8)] * 3)
    with pytest.warns(TwinTrackWarning, match="no rater drew anything"):
        assert (tt.fit([case], method="isotonic").apply(p) == 0).all()


def test_pin_zero_keeps_zero_and_its_absence_does_not():
    p = np.array([[0, 0, 0, 0, 0.9, 0.9]], np.float32)
    mask = np.array([[1, 0, 0, 0, 1, 1]], np.uint8)
    case = tt.Case("c", probability=p, raters=[mask])
    assert tt.fit([case], method="isotonic").apply(p).tolist() == [[0, 0, 0, 0, 1, 1]]
    assert tt.fit([case], pin_zero=False, method="isotonic").apply(p).tolist() == [[0.25, 0.25, 0.25, 0.25, 1, 1]]


def test_targets_differ_as_they_should():
    p = np.full((1, 4), 0.5, np.float32)
    raters = [np.array([row], np.uint8) for row in ([1, 1, 0, 0], [1, 1, 1, 0], [1, 0, 0, 0])]
    case = tt.Case("c", probability=p, raters=raters)
    values = {
        t: float(tt.fit([case], target=t, method="isotonic").apply(p)[0, 0])
        for t in ("response", "majority", "rater:2", "rater:3")
    }
    assert values == pytest.approx({"response": 0.5, "majority": 0.5, "rater:2": 0.75, "rater:3": 0.25})


def test_a_missing_rater_is_not_an_empty_one():
    p = np.full((1, 2), 0.5, np.float32)
    full, empty = np.ones((1, 2), np.uint8), np.zeros((1, 2), np.uint8)
    missing = tt.fit([tt.Case("c", probability=p, raters=[full, None])], method="isotonic")
    drawn_empty = tt.fit([tt.Case("c", probability=p, raters=[full, empty])], method="isotonic")
    assert missing.apply(p).tolist() == [[1, 1]]
    assert drawn_empty.apply(p).tolist() == [[0.5, 0.5]]
    assert missing.provenance.raters == {1: 1}


def test_weighting_by_case_lets_a_small_case_count():
    small = tt.Case("s", probability=np.full((1, 1), 0.5, np.float32), raters=[np.ones((1, 1), np.uint8)])
    large = tt.Case("l", probability=np.full((1, 9), 0.5, np.float32), raters=[np.zeros((1, 9), np.uint8)])
    p = np.full((1, 1), 0.5, np.float32)
    assert tt.fit([small, large], method="isotonic").apply(p)[0, 0] == pytest.approx(0.1)
    assert tt.fit([small, large], weighting="cases", method="isotonic").apply(p)[0, 0] == pytest.approx(0.5)


def test_bad_cases_stop_the_fit_or_are_skipped(cases):
    bad = tt.Case("bad", probability=np.full((2, 2), 1.5, np.float32), raters=[np.ones((2, 2), np.uint8)])
    with pytest.raises(InputError, match="4 of 4 probabilities"):
        tt.fit([*cases, bad], method="isotonic")
    skipped = {}
    for exact in (False, True):
        fitted = tt.fit(
            [bad, *cases],
            exact=exact,
            on_bad=lambda case, error: skipped.update({case.id: str(error)}),
            method="isotonic",
        )
        assert fitted.provenance.n_skipped == 1
        assert fitted.map == tt.fit(cases, exact=exact, method="isotonic").map
    assert list(skipped) == ["bad"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"method": "magic"}, "unknown method 'magic'; known are identity, temperature"),
        ({"target": "truth"}, "unknown target 'truth'"),
        ({"target": "rater:"}, "unknown target 'rater:'"),
        ({"weighting": "patients"}, "unknown weighting 'patients'; known are voxels, cases"),
        ({"method": "platt", "exact": True}, "exact goes with isotonic and centered-isotonic, not with platt"),
    ],
)
def test_wrong_options_are_named(cases, options, message):
    with pytest.raises(CalibrationError, match=message):
        tt.fit(cases, **options)


def test_a_table_cannot_be_fitted_exactly(cases):
    with pytest.raises(CalibrationError, match="an exact fit needs the cases"):
        tt.fit(tt.tabulate(cases), exact=True, method="isotonic")


def test_nothing_to_fit():
    with pytest.raises(CohortError, match="the cohort is empty"):
        tt.fit([], method="isotonic")
    no_rater = tt.Case("c", probability=np.zeros((2, 2), np.float32))
    with pytest.raises(TwinTrackError, match="every case was skipped"):
        tt.fit([no_rater], on_bad=lambda case, error: None, method="isotonic")


def test_provenance_says_what_was_fitted(cases):
    about = tt.fit(cases, target="majority", weighting="cases", method="isotonic").provenance
    assert (about.target, about.weighting, about.n_cases) == ("majority", "cases", 5)
    assert about.raters == {2: 2, 3: 2, 4: 1}
    assert about.members == (2,)
    assert about.n_voxels == 5 * 4 * 16 * 16
    assert about.spacing_range == ((3.0, 3.0), (0.8, 0.8), (0.8, 0.8))
    assert not about.roi
    assert "case0" not in about.model_dump_json()
