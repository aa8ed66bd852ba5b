"""Sampled masks: frequencies are the response whatever the field, and masks hang together as the field says."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from twintrack.calibration.outlines import RaterField, case_seed, each_mask, sample_masks
from twintrack.calibration.outlines.sample import box_of, without_specks
from twintrack.errors import GeometryError, InputError

FIELDS = st.builds(RaterField, correlation=st.floats(0, 1), length_mm=st.floats(1e-3, 1e3))
RESPONSES = arrays(
    np.float32,
    array_shapes(min_dims=2, max_dims=3, max_side=6),
    elements=st.sampled_from([0.0, 1e-6, 0.1, 0.5, 0.9, 1.0]).map(np.float32),
)
SALT_AND_PEPPER = RaterField(correlation=0, length_mm=1e-6)
ONE_THRESHOLD = RaterField(correlation=1)


def plane(*values):
    return np.float32([values])


def spacing_of(response):
    return (3.0, 0.8, 0.7)[-response.ndim :]


@pytest.mark.parametrize("stratified", [False, True])
@pytest.mark.parametrize(
    "field",
    [
        SALT_AND_PEPPER,
        ONE_THRESHOLD,
        RaterField(correlation=0, length_mm=5),
        RaterField(correlation=0.5, length_mm=2),
        RaterField(correlation=0.25, length_mm=100),
    ],
    ids=str,
)
@pytest.mark.parametrize("shape", [(6, 7), (3, 4, 5)])
def test_the_frequency_at_every_voxel_is_the_response(shape, field, stratified):
    n = 4000
    response = np.random.default_rng(0).random(shape, np.float32)
    response.flat[:3] = (0, 1, 0.003)
    found = sample_masks(response, spacing=spacing_of(response), field=field, n=n, seed=1, stratified=stratified).mean(
        axis=0
    )
    # Voxels of one field deviate together, so that their number matters little: 4.5 standard errors at each.
    error = np.sqrt(response * (1 - response) / n)
    assert (np.abs(found - response) <= 4.5 * error + 1 / n).all()
    assert found.flat[0] == 0
    assert found.flat[1] == 1


@settings(deadline=None, max_examples=60)
@given(RESPONSES, FIELDS, st.integers(0, 2**63), st.booleans(), st.sampled_from([0.0, 0.5, 1.0]))
def test_nothing_where_the_response_is_0_and_everything_where_it_is_1(response, field, seed, stratified, least):
    masks = sample_masks(
        response, spacing=spacing_of(response), field=field, n=3, seed=seed, stratified=stratified, least_piece=least
    )
    assert masks.shape == (3, *response.shape)
    assert masks.dtype == np.uint8
    assert set(np.unique(masks)) <= {0, 1}
    assert not masks[:, response == 0].any()
    if least == 0:
        assert masks[:, response == 1].all()


@settings(deadline=None, max_examples=30)
@given(RESPONSES, st.integers(0, 2**32))
def test_with_one_threshold_per_rater_masks_are_nested(response, seed):
    masks = sample_masks(response, spacing=spacing_of(response), field=ONE_THRESHOLD, n=4, seed=seed)
    by_size = sorted(masks.astype(bool), key=np.count_nonzero)
    for smaller, larger in itertools.pairwise(by_size):
        assert not (smaller & ~larger).any()


@settings(deadline=None, max_examples=30)
@given(RESPONSES, FIELDS, st.integers(0, 2**32), st.integers(1, 5))
def test_the_first_masks_do_not_depend_on_how_many_are_drawn(response, field, seed, n):
    def draw(count):
        return sample_masks(response, spacing=spacing_of(response), field=field, n=count, seed=seed)

    assert (draw(n) == draw(6)[:n]).all()


@settings(deadline=None, max_examples=30)
@given(RESPONSES, FIELDS, st.integers(0, 3))
def test_empty_surroundings_change_nothing(response, field, margin):
    options = {"spacing": spacing_of(response), "field": field, "n": 2, "seed": 5}
    inner = tuple(slice(margin, margin + size) for size in response.shape)
    wide = sample_masks(np.pad(response, margin), **options)
    assert (wide[(slice(None), *inner)] == sample_masks(response, **options)).all()
    assert wide.sum() == wide[(slice(None), *inner)].sum()


def test_a_stratified_panel_has_the_response_as_its_mean_worked_out_by_hand():
    # One threshold in each quarter of (0, 1): 1/4 exceeds exactly one of them, 2/4 two, 3/4 three.
    for seed in range(20):
        masks = sample_masks(
            plane(0.25, 0.5, 0.75), spacing=(1, 1), field=ONE_THRESHOLD, n=4, seed=seed, stratified=True
        )
        assert masks.sum(axis=0).tolist() == [[1, 2, 3]]


def test_a_stratified_panel_comes_in_random_order():
    draw = [
        sample_masks(plane(0.5, 0.5), spacing=(1, 1), field=ONE_THRESHOLD, n=2, seed=seed, stratified=True)[0, 0, 0]
        for seed in range(400)
    ]
    assert np.mean(draw) == pytest.approx(0.5, abs=0.1)


def test_two_far_voxels_agree_as_often_as_their_correlation_says_worked_out_by_hand():
    # Both of two standard normal scores with correlation ρ = 1/2 lie below 0 with probability
    # 1/4 + asin(1/2) / 2π = 1/4 + 1/12 = 1/3.
    field = RaterField(correlation=0.5, length_mm=1)
    masks = sample_masks(plane(0.5, *[0.1] * 30, 0.5), spacing=(1, 1), field=field, n=6000, seed=2)
    both = masks[:, 0, 0] & masks[:, 0, -1]
    assert both.mean() == pytest.approx(1 / 3, abs=4.5 * np.sqrt(2 / 9 / 6000))


def test_two_near_voxels_agree_more_often_worked_out_by_hand():
    # 2 mm apart with ρ = 0, ℓ = 2 mm: correlation exp(−1/2) = 0.6065; 1/4 + asin(0.6065) / 2π = 0.3537.
    field = RaterField(correlation=0, length_mm=2)
    for response, spacing in (
        (plane(0.5, 0.5), (9, 2)),
        (plane(0.5, 0.5).T, (2, 9)),
        (plane(0.5, 0.5)[None], (1, 1, 2)),
    ):
        masks = sample_masks(response, spacing=spacing, field=field, n=6000, seed=3).reshape(6000, 2)
        assert masks.all(axis=1).mean() == pytest.approx(0.3537, abs=0.028)


def test_salt_and_pepper_is_independent_from_voxel_to_voxel():
    masks = sample_masks(np.full((40, 50), 0.5, np.float32), spacing=(1, 1), field=SALT_AND_PEPPER, n=10, seed=4)
    agree = (masks[:, :, 1:] == masks[:, :, :-1]).mean()
    assert agree == pytest.approx(0.5, abs=0.02)


def test_longer_lengths_and_higher_correlations_give_smoother_outlines():
    response = np.clip(1.2 - np.hypot(*np.mgrid[-12:13, -12:13]) / 10, 0, 1).astype(np.float32)

    def edges(field):
        masks = sample_masks(response, spacing=(1, 1), field=field, n=40, seed=5).astype(int)
        return sum(np.abs(np.diff(masks, axis=axis)).sum() for axis in (1, 2))

    fields = [RaterField(correlation=rho, length_mm=length) for rho, length in ((0, 0.1), (0, 2), (0, 8), (0.8, 8))]
    found = [edges(field) for field in fields]
    assert found == sorted(found, reverse=True)


def test_other_seeds_give_other_masks_and_the_same_seed_the_same():
    response = np.random.default_rng(0).random((5, 20, 20), np.float32)

    def draw(seed):
        return sample_masks(response, spacing=(3, 1, 1), field=RaterField(), n=2, seed=seed)

    assert (draw(7) == draw(7)).all()
    assert (draw(7) != draw(8)).any()
    assert (draw(7)[0] != draw(7)[1]).any()


def test_outside_the_roi_there_is_nothing_and_inside_it_is_as_if_the_response_were_0_there():
    response = np.full((4, 6), 0.7, np.float32)
    roi = np.zeros((4, 6), np.uint8)
    roi[1:3, 2:5] = 1
    options = {"spacing": (1, 2), "field": RaterField(), "n": 5, "seed": 1}
    masks = sample_masks(response, roi=roi, **options)
    assert not masks[:, roi == 0].any()
    assert masks.any()
    assert (masks == sample_masks(response * roi, **options)).all()
    assert (masks == sample_masks(response, roi=roi.astype(bool), **options)).all()


def test_a_response_of_0_everywhere_gives_empty_masks():
    masks = sample_masks(np.zeros((3, 4), np.float32), spacing=(1, 1), field=RaterField(), n=2, seed=0)
    assert masks.shape == (2, 3, 4)
    assert not masks.any()


def test_the_response_is_not_touched():
    response = np.random.default_rng(0).random((5, 6), np.float32)
    before = response.copy()
    sample_masks(response, spacing=(1, 1), field=RaterField(), n=2, seed=0, roi=np.eye(5, 6, dtype=np.uint8))
    assert (response == before).all()


def test_specks_are_left_out_by_their_share_of_the_largest_piece_worked_out_by_hand():
    # Pieces of 4, 2 and 1 voxels; diagonal neighbours are not connected.
    mask = np.array([[1, 1, 0, 1, 1], [1, 1, 0, 0, 0], [0, 0, 1, 0, 0]], bool)
    assert without_specks(mask, least_piece=0).sum() == 7
    assert without_specks(mask, least_piece=0.25).sum() == 7
    assert without_specks(mask, least_piece=0.3).sum() == 6
    assert without_specks(mask, least_piece=1).sum() == 4
    two = np.array([[1, 0, 1]], bool)
    assert without_specks(two, least_piece=1).sum() == 2
    assert not without_specks(np.zeros((2, 2), bool), least_piece=0.5).any()


@settings(deadline=None, max_examples=30)
@given(RESPONSES, FIELDS, st.floats(0, 1))
def test_leaving_out_specks_only_takes_away(response, field, least):
    options = {"spacing": spacing_of(response), "field": field, "n": 2, "seed": 5}
    whole = sample_masks(response, **options)
    rest = sample_masks(response, least_piece=least, **options)
    assert (rest <= whole).all()
    assert (rest.reshape(2, -1).any(axis=1) == whole.reshape(2, -1).any(axis=1)).all()


@pytest.mark.parametrize(
    ("changed", "error", "message"),
    [
        ({"response": np.float32([[0.5, 1.5]])}, InputError, "the response.*1 of 2 .*not in"),
        ({"response": np.float32([[0.5, np.nan]])}, InputError, "1 of them NaN"),
        ({"response": np.uint8([[0, 1]])}, InputError, "uint8"),
        ({"response": np.float32([0.5, 0.5])}, GeometryError, "shape"),
        ({"spacing": (1, 1, 1)}, GeometryError, "spacing"),
        ({"spacing": (1, 0)}, GeometryError, "positive"),
        ({"n": 0}, InputError, "at least one mask.*got 0"),
        ({"seed": -1}, InputError, "seed.*got -1"),
        ({"least_piece": 1.5}, InputError, "least_piece.*got 1.5"),
        ({"least_piece": float("nan")}, InputError, "least_piece.*got nan"),
        ({"roi": np.uint8([[1]])}, GeometryError, r"\(1, 2\), the ROI \(1, 1\)"),
        ({"roi": np.uint8([[2, 0]])}, InputError, "the ROI.*holds"),
    ],
)
def test_what_cannot_be_sampled_is_refused_by_name(changed, error, message):
    options = {"response": plane(0.5, 0.5), "spacing": (1, 1), "field": RaterField(), "n": 1, "seed": 0} | changed
    with pytest.raises(error, match=message):
        sample_masks(options.pop("response"), **options)


def test_rounding_just_outside_0_and_1_is_let_pass():
    response = np.float32([[-5e-7, 0.5, 1 + 5e-7, 0.5, -5e-7, 1]])
    masks = sample_masks(response, spacing=(1, 1), field=RaterField(), n=200, seed=0)
    assert masks[:, 0, [0, 4]].sum() == 0
    assert masks[:, 0, [2, 5]].all()


def test_a_large_volume_costs_what_its_box_costs():
    response = np.zeros((300, 512, 512), np.float32)
    response[100:104, 200:220, 300:330] = 0.5
    masks = sample_masks(response, spacing=(3, 0.7, 0.7), field=RaterField(), n=2, seed=0)
    inner = sample_masks(response[100:104, 200:220, 300:330], spacing=(3, 0.7, 0.7), field=RaterField(), n=2, seed=0)
    assert (masks[:, 100:104, 200:220, 300:330] == inner).all()


def test_the_box_of_a_mask():
    mask = np.zeros((4, 5), bool)
    assert box_of(mask) is None
    mask[1, 2] = mask[3, 4] = True
    assert box_of(mask) == (slice(1, 4), slice(2, 5))


def test_every_case_has_a_seed_of_its_own():
    seeds = {case_seed(seed, name) for seed in (0, 1) for name in ("a", "b", "0 a")}
    assert len(seeds) == 6
    assert case_seed(0, "a") == case_seed(0, "a") < 2**64


def test_masks_one_by_one_are_those_drawn_together():
    response = np.random.default_rng(2).random((3, 5, 6), np.float32)
    options = {"spacing": (3, 1, 1), "field": RaterField(), "n": 4, "seed": 9, "least_piece": 0.2}
    one_by_one = list(each_mask(response, **options))
    assert (np.stack(one_by_one) == sample_masks(response, **options)).all()
    assert one_by_one[0].base is None  # an array of its own, that may be kept
    with pytest.raises(InputError, match="at least one mask"):
        each_mask(response, **(options | {"n": 0}))  # refused before the first is asked for
