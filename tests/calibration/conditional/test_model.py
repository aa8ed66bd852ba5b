"""The case-aware map: the identity, monotony and volumes, whatever the coefficients."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from scipy.special import expit, logit

import twintrack as tt
from twintrack.calibration.conditional.describe import CASE_FEATURES, FLOOR, VOXEL_FEATURES, Traits, describe
from twintrack.calibration.conditional.model import LEAST_SLOPE, ConditionalMap, case_units, design, shift_to
from twintrack.calibration.conditional.reference import N_COEFFICIENTS, Units

V, C = len(VOXEL_FEATURES), len(CASE_FEATURES)
UNITS = Units(voxel=(2.0, 0.5, 4.0, 0.2, 0.1, 0.5, 1.5), case_centre=(1.0, 0.1, 0.2), case=(0.5, 0.2, 0.25))
SMALLEST = logit(FLOOR)

COEFFICIENTS = st.lists(st.floats(-5, 5), min_size=N_COEFFICIENTS, max_size=N_COEFFICIENTS)
CASES = st.lists(st.floats(-1e4, 1e4), min_size=C, max_size=C)
OTHERS = st.lists(st.floats(-3, 3), min_size=V - 2, max_size=V - 2)
PROBABILITIES = st.lists(st.floats(FLOOR, 1 - FLOOR), min_size=2, max_size=30)
VOLUMES = st.one_of(st.sampled_from((0.0, 1.0)), st.floats(0, 1))


def map_of(coefficients=(0.0,) * N_COEFFICIENTS, *, volume=1.0, units=UNITS):
    return ConditionalMap(dimensions=3, units=units, coefficients=tuple(coefficients), volume=volume, prior_cases=1.0)


def traits_of(features=UNITS.case_centre):
    return Traits(np.array(features, float), surface=100.0, voxel_volume=2.0, dimensions=2)


def rows(p, others=None):
    """Features of voxels with these probabilities, and otherwise alike unless said."""
    p = np.asarray(p, float)
    rest = np.zeros((p.size, V - 2)) if others is None else np.broadcast_to(others, (p.size, V - 2))
    return np.column_stack([logit(p), np.tanh(logit(p) / 4), rest]).astype(np.float32)


def make_case(seed, *, shape=(5, 8, 9), n_members=2, largest=0.9999, **options):
    rng = np.random.default_rng(seed)
    middle = rng.normal(-1, 3, size=shape)
    members = [np.clip(expit(middle + 0.5 * rng.normal(size=shape)), 0, largest) for _ in range(n_members)]
    members = [np.where(middle < -5, 0, member).astype(np.float32) for member in members]
    return tt.Case(f"c{seed}", members=members, spacing=(3.0, 0.8, 0.8), **options).read(raters=False)


# --- The identity ----------------------------------------------------------------------------------------------------


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 10_000), VOLUMES, st.integers(1, 3))
def test_coefficients_of_0_are_the_identity_for_every_volume(seed, volume, n_members):
    data = make_case(seed, n_members=n_members)
    p = data.probability()
    response = map_of(volume=volume).respond(data, p.copy())
    assert response == pytest.approx(p, abs=1e-6)


@pytest.mark.parametrize("volume", [0.0, 0.4, 1.0])
def test_a_probability_of_1_stays_1_up_to_the_floor(volume):
    data = make_case(0, largest=1.0)
    p = data.probability()
    p[p > 0.9] = 1
    response = map_of(volume=volume).respond(data, p.copy())
    assert response == pytest.approx(p, abs=FLOOR + 1e-6)
    assert response.max() <= 1


def test_what_is_not_described_stays_as_it_is():
    roi = np.zeros((5, 8, 9), np.uint8)
    roi[1:4, 2:7, 1:8] = 1
    data = make_case(1, roi=roi)
    p = data.probability()
    p[2, 3, 2:5] = FLOOR / 3, FLOOR / 50, 0
    rng = np.random.default_rng(0)
    response = map_of(rng.normal(size=N_COEFFICIENTS)).respond(data, p.copy())
    below = p < np.float32(FLOOR)
    assert (response[below] == p[below]).all()
    assert (response[roi == 0] == 0).all()
    assert np.abs(response - p)[~below].max() > 0.01


def test_a_case_without_a_description_is_left_alone():
    data = tt.Case("c", members=[np.full((3, 4), FLOOR / 2, np.float32)], spacing=(1, 1)).read(raters=False)
    response = map_of([1.0] * N_COEFFICIENTS).respond(data, data.probability())
    assert (response == np.float32(FLOOR / 2)).all()


def test_the_responses_are_written_over_the_probabilities():
    data = make_case(2)
    p = data.probability()
    assert map_of([0.1] * N_COEFFICIENTS).respond(data, p) is p
    assert (p != data.probability()).any()


def test_probabilities_that_rounding_put_outside_give_responses_inside():
    p = np.full((4, 5), 0.7, np.float32)
    p[0], p[1] = 1.0000001, -1e-7
    data = tt.Case("c", members=[np.stack([p, p])], spacing=(1, 1, 1)).read(raters=False)
    response = map_of(volume=0.0).respond(data, data.probability())
    assert response.min() == 0
    assert response.max() <= 1
    assert response[0] == pytest.approx(np.clip(p, 0, 1), abs=2 * FLOOR)


# --- Monotony --------------------------------------------------------------------------------------------------------


@settings(deadline=None, max_examples=200)
@given(COEFFICIENTS, CASES, OTHERS, PROBABILITIES, VOLUMES)
def test_of_voxels_alike_in_all_else_the_likelier_has_the_larger_response(coefficients, case, others, p, volume):
    p = np.sort(p)
    response = map_of(coefficients, volume=volume).response_of(rows(p, others), traits_of(case), p)
    assert (np.diff(response) >= 0).all()
    assert (response >= FLOOR).all()
    assert (response <= 1).all()


@settings(deadline=None, max_examples=100)
@given(COEFFICIENTS, CASES, OTHERS)
def test_the_logit_of_the_response_grows_by_the_least_slope_at_least(coefficients, case, others):
    p = np.array([0.01, 0.3, 0.5, 0.98])
    response = map_of(coefficients).response_of(rows(p, others), traits_of(case), p)
    seen = (response > 10 * FLOOR) & (response < 1 - 1e-9)
    slopes = np.diff(logit(response[seen])) / np.diff(logit(p[seen]))
    assert (slopes >= LEAST_SLOPE - 1e-4).all()


def test_a_slope_that_would_fall_is_kept_above_the_least():
    coefficients = np.zeros(N_COEFFICIENTS)
    coefficients[0] = -10  # units of 2: a slope of 1 − 5
    p = np.array([0.1, 0.5, 0.9])
    response = map_of(coefficients).response_of(rows(p), traits_of(), p)
    assert logit(response) == pytest.approx(LEAST_SLOPE * logit(p), abs=1e-6)


def test_a_bend_that_would_make_it_fall_is_kept_from_it():
    coefficients = np.zeros(N_COEFFICIENTS)
    coefficients[2] = -10  # units of 0.5: a slope of 1 − 20 / 4 at p = 1/2
    p = np.array([0.499, 0.501])
    response = map_of(coefficients).response_of(rows(p), traits_of(), p)
    assert np.diff(logit(response)) == pytest.approx(LEAST_SLOPE * np.diff(logit(p)), rel=1e-3)


def test_a_case_changes_the_slope():
    coefficients = np.zeros(N_COEFFICIENTS)
    coefficients[-C] = 2.0  # of size times logit p
    p = np.array([0.1, 0.5, 0.9])
    # One unit of 0.5 above the centre: 1 + 2 × 1 / 2 = 2.
    response = map_of(coefficients).response_of(rows(p), traits_of((1.5, 0.1, 0.2)), p)
    assert logit(response) == pytest.approx(2 * logit(p), abs=1e-5)


def test_case_features_count_as_three_units_at_most():
    assert case_units(traits_of((1.5, -0.1, 0.2)), UNITS) == pytest.approx([1, -1, 0])
    assert case_units(traits_of((100, -100, 0.95)), UNITS) == pytest.approx([3, -3, 3])
    coefficients = np.linspace(-0.3, 0.3, N_COEFFICIENTS)
    p = np.array([0.1, 0.5, 0.9])
    far, farther = (
        map_of(coefficients).response_of(rows(p), traits_of(case), p) for case in ((2.5, 0.7, 0.95), (1e6, 1e6, 1e6))
    )
    assert far == pytest.approx(farther)


@settings(deadline=None, max_examples=25)
@given(COEFFICIENTS, st.integers(0, 10_000), VOLUMES)
def test_responses_of_a_whole_case_are_numbers_from_the_floor_to_1(coefficients, seed, volume):
    data = make_case(seed)
    p = data.probability()
    response = map_of(coefficients, volume=volume).respond(data, p.copy())
    assert response.dtype == np.float32
    assert (response[p >= np.float32(FLOOR)] >= np.float32(FLOOR)).all()
    assert (response <= 1).all()


# --- Volumes ---------------------------------------------------------------------------------------------------------


@settings(deadline=None, max_examples=60)
@given(COEFFICIENTS, st.integers(0, 10_000))
def test_volume_0_keeps_the_sum_of_the_described_probabilities(coefficients, seed):
    data = make_case(seed)
    p = data.probability()
    found = describe(data, p)
    response = map_of(coefficients, volume=0.0).respond(data, p.copy())
    kept = found.probability.sum()
    # Also of what the floor lifts.
    gain = response[found.box][found.where].sum(dtype=np.float64) - kept
    assert gain == pytest.approx(0, abs=1e-6 * kept)


@settings(deadline=None, max_examples=60)
@given(COEFFICIENTS, st.lists(st.tuples(st.floats(0.01, 0.99), st.floats(1, 50)), min_size=1, max_size=20))
def test_volume_0_keeps_the_weighted_sum_of_a_sample(coefficients, drawn):
    p, weight = (np.array(column) for column in zip(*drawn, strict=True))
    response = map_of(coefficients, volume=0.0).response_of(rows(p), traits_of(), p, weight)
    assert weight @ response == pytest.approx(weight @ p, rel=1e-6)


def test_volume_1_takes_the_model_as_it_is():
    coefficients = np.zeros(N_COEFFICIENTS)
    coefficients[1] = np.log(3)
    p = np.array([0.25, 0.5])
    # Odds of 1/3 and 1 become 1 and 3.
    assert map_of(coefficients).response_of(rows(p), traits_of(), p) == pytest.approx([0.5, 0.75])


@pytest.mark.parametrize("volume", [0.0, 0.25, 0.5, 0.9])
def test_in_between_the_volume_is_the_geometric_mean(volume):
    rng = np.random.default_rng(3)
    p, weight = rng.uniform(0.05, 0.95, 50), rng.uniform(1, 5, 50)
    coefficients = np.zeros(N_COEFFICIENTS)
    coefficients[1:] = 0.2 * rng.normal(size=N_COEFFICIENTS - 1)
    voxel = rows(p, rng.normal(size=(50, V - 2)))
    modelled = weight @ map_of(coefficients).response_of(voxel, traits_of(), p, weight)
    found = weight @ map_of(coefficients, volume=volume).response_of(voxel, traits_of(), p, weight)
    assert abs(modelled - weight @ p) > 1
    assert found == pytest.approx((weight @ p) ** (1 - volume) * modelled**volume, rel=1e-6)


def test_a_shift_alone_is_undone_where_the_volume_is_kept():
    coefficients = np.zeros(N_COEFFICIENTS)
    coefficients[1] = 1.7
    p = np.array([0.1, 0.4, 0.95])
    assert map_of(coefficients, volume=0.0).response_of(rows(p), traits_of(), p) == pytest.approx(p, abs=1e-6)


def floored(logits):
    return np.maximum(expit(logits), FLOOR)


def test_shifts_worked_out_by_hand():
    # Four voxels at 1/2 are to hold one: 1/4 each, whose logit is −ln 3.
    assert shift_to(np.zeros(4), np.ones(4), 1.0) == pytest.approx(-np.log(3), abs=1e-6)
    # Two voxels at logit 2 that count as 1 and 3 are to hold 2: 1/2 each.
    assert shift_to(np.full(2, 2.0), np.array([1.0, 3.0]), 2.0) == pytest.approx(-2, abs=1e-6)
    assert shift_to(np.zeros(4), np.ones(4), 2.0) == 0
    # One voxel stays at the floor, so that the other is to hold the rest.
    found = shift_to(np.array([-50.0, 1.0]), np.ones(2), 0.5 + FLOOR)
    assert found == pytest.approx(-1, abs=1e-6)


@settings(deadline=None, max_examples=200)
@given(
    st.lists(st.tuples(st.floats(-20, 20), st.floats(0.1, 100)), min_size=1, max_size=20),
    st.floats(-9, 9),
)
def test_a_shift_within_reach_is_found(drawn, wanted):
    middle, weight = (np.array(column) for column in zip(*drawn, strict=True))
    volume = float(weight @ floored(middle + wanted))
    found = shift_to(middle, weight, volume)
    assert weight @ floored(middle + found) == pytest.approx(volume, rel=1e-6)


@pytest.mark.parametrize(("volume", "reached"), [(5.0, 4.0), (4.0, 4.0), (0.0, 4 * FLOOR)])
def test_a_volume_out_of_reach_is_approached(volume, reached):
    logits = np.array([-3.0, 0, 1, 2])
    found = shift_to(logits, np.ones(4), volume)
    assert -30 <= found <= 30
    assert floored(logits + found).sum() == pytest.approx(reached, abs=1e-5)


# --- Coefficients and file -------------------------------------------------------------------------------------------


@settings(deadline=None, max_examples=100)
@given(st.integers(0, 10_000))
def test_the_design_times_the_coefficients_is_what_the_map_adds_to_the_logit(seed):
    rng = np.random.default_rng(seed)
    coefficients = rng.normal(size=N_COEFFICIENTS)
    coefficients[[0, 2, *range(-C, 0)]] *= 0.1  # a slope that nothing clips
    p = rng.uniform(0.01, 0.99, 12)
    traits = traits_of(np.array(UNITS.case_centre) + np.array(UNITS.case) * rng.uniform(-5, 5, C))
    voxel = rows(p, np.asarray(UNITS.voxel[2:]) * rng.normal(size=(12, V - 2)))
    x = design(voxel, traits, UNITS)
    assert x.shape == (12, N_COEFFICIENTS)
    assert x.dtype == np.float32
    expected = np.maximum(expit(voxel[:, 0] + x @ coefficients), FLOOR)
    assert map_of(coefficients).response_of(voxel, traits, p) == pytest.approx(expected, abs=1e-5)


def test_the_design_worked_out_by_hand():
    voxel = np.arange(1.0, V + 1)[None].astype(np.float32)
    x = design(voxel, traits_of((1.5, 0.3, -0.3)), UNITS)
    # Units: logit 1/2, 1, then 2/0.5, 3/4, 4/0.2, 5/0.1, 6/0.5, 7/1.5, then y = 1, 1, −2, then y/2.
    wanted = [0.5, 1, 4, 0.75, 20, 50, 12, 14 / 3, 1, 1, -2, 0.5, 0.5, -1]
    assert x[0] == pytest.approx(wanted, rel=1e-5)


def test_a_map_is_read_back_as_it_was_written():
    rng = np.random.default_rng(0)
    fitted = map_of(rng.normal(size=N_COEFFICIENTS), volume=0.5)
    loaded = ConditionalMap.model_validate_json(fitted.model_dump_json())
    assert loaded == fitted
    assert loaded.method == "conditional"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"coefficients": [0.0] * (N_COEFFICIENTS - 1)}, "at least 14 items"),
        ({"coefficients": [0.0] * (N_COEFFICIENTS + 1)}, "at most 14 items"),
        ({"coefficients": [float("nan")] * N_COEFFICIENTS}, "finite"),
        ({"volume": 1.1}, "less than or equal to 1"),
        ({"volume": -0.1}, "greater than or equal to 0"),
        ({"prior_cases": 0}, "greater than 0"),
        ({"method": "isotonic"}, "conditional"),
        ({"extra": 1}, "Extra inputs"),
        ({"units": UNITS.model_dump() | {"voxel": [1.0] * (V - 1)}}, "at least 7 items"),
        ({"units": UNITS.model_dump() | {"voxel": [0.0] * V}}, "greater than 0"),
        ({"units": UNITS.model_dump() | {"case": [1.0] * (C + 1)}}, "at most 3 items"),
        ({"units": UNITS.model_dump() | {"case_centre": []}}, "at least 3 items"),
    ],
)
def test_a_broken_map_is_refused(changes, message):
    with pytest.raises(ValidationError, match=message):
        ConditionalMap.model_validate(map_of().model_dump() | changes)
