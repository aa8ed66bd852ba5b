"""Samples of cases: what is kept whole, what is chosen, and that sums over a sample are sums over the case."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import twintrack as tt
from twintrack.calibration.conditional.describe import FLOOR, VOXEL_FEATURES, describe
from twintrack.calibration.methods import fit_map
from twintrack.calibration.sample import LIMIT, CaseSample, Rows, choose, curve_of
from twintrack.errors import CalibrationError

from .conftest import make_case


def soft_case(seed, *, shape=(6, 20, 20), n_members=2, n_raters=3, **options):
    """A case whose probabilities reach from exactly 0 far below the floor up to nearly 1."""
    rng = np.random.default_rng(seed)
    axes = np.meshgrid(*(np.linspace(-1, 1, size) for size in shape), indexing="ij")
    away = np.sqrt(sum(axis**2 for axis in axes))
    logits = 14 * (0.6 - away)
    members = [1 / (1 + np.exp(-logits - 0.5 * rng.normal(size=shape))) for _ in range(n_members)]
    members = [np.where(logits < -12, 0, member).astype(np.float32) for member in members]
    raters = [(logits + 4 * rng.normal(size=shape) > 0).astype(np.uint8) for _ in range(n_raters)]
    return tt.Case(f"soft{seed}", members=members, raters=raters, spacing=(2.0, 1.0, 1.0), **options)


def sampled(case, **options):
    return CaseSample.of(case, case.read(), **options)


def voxels(case):
    """Probability and response of every voxel."""
    data = case.read()
    return data.probability().astype(float), np.mean(list(data.raters.values()), axis=0)


def equal(one, other):
    plain = all(getattr(one, name) == getattr(other, name) for name in ("n_voxels", "drawn", "missed", "rest"))
    arrays = [[one.voxel, one.traits.features], [other.voxel, other.traits.features]]
    for sample, found in zip((one, other), arrays, strict=True):
        found += [getattr(rows, name) for rows in (sample.low, sample.high) for name in Rows.__dataclass_fields__]
    return plain and all(map(np.array_equal, *arrays))


# --- A case below the limit ------------------------------------------------------------------------------------------


def test_a_case_below_the_limit_is_kept_whole():
    case = soft_case(1, patient="anna")
    data = case.read()
    p, r = voxels(case)
    found = describe(data, data.probability())
    sample = sampled(case, limit=p.size)
    where = p >= np.float32(FLOOR)
    assert (sample.high.probability == p[where]).all()
    assert sample.high.response == pytest.approx(r[where])
    assert sample.high.squared == pytest.approx(r[where] ** 2)
    assert (sample.high.weight == 1).all()
    assert (sample.voxel == found.voxel).all()
    assert (sample.traits.features == found.traits.features).all()
    assert sample.n_voxels == p.size
    assert sample.patient == "anna"
    assert sample.drawn == tuple(sorted(int(mask.sum()) for mask in data.raters.values()))


def test_a_sample_worked_out_by_hand():
    p = np.array([[0.0, 0.0, 2e-5, 0.25], [0.75, 0.25, 5e-5, 1.0]], np.float32)
    raters = [[[1, 0, 0, 0], [1, 1, 1, 1]], [[1, 0, 0, 0], [1, 0, 0, 1]], [[0, 1, 0, 0], [1, 0, 0, 1]]]
    roi = np.uint8([[1, 1, 1, 1], [1, 1, 1, 0]])
    case = tt.Case("c", probability=p, raters=[np.uint8(mask) for mask in raters], roi=roi, spacing=(1.0, 1.0))
    sample = sampled(case)
    assert sample.n_voxels == 8
    assert sample.drawn == (3, 3, 5)
    assert sample.high.probability == pytest.approx([0.25, 0.75, 0.25])
    assert sample.high.response == pytest.approx([0, 1, 1 / 3])
    assert sample.high.squared == pytest.approx([0, 1, 1 / 9])
    assert sample.low.probability == pytest.approx([2e-5, 5e-5])
    assert sample.low.response == pytest.approx([0, 1 / 3])
    assert sample.low.weight.tolist() == [1, 1]
    # Missed are 2/3 and 1/3 where p is 0, and 1 outside the ROI.
    assert sample.missed == pytest.approx(2)
    assert sample.rest == pytest.approx(4 / 9 + 1 / 9 + 1)


def test_every_voxel_is_counted_once():
    case = soft_case(2)
    p, r = voxels(case)
    sample = sampled(case)
    n_zero = np.count_nonzero(p == 0)
    assert sample.low.weight.sum() + sample.high.weight.sum() + n_zero == p.size
    assert np.count_nonzero(p == 0) > 100
    both = sample.low.weight @ sample.low.response + sample.high.weight @ sample.high.response
    assert both + sample.missed == pytest.approx(r.sum())


@settings(deadline=None, max_examples=15)
@given(st.integers(0, 10_000), st.sampled_from([0.05, 1.0]))
def test_rows_of_low_probabilities_keep_their_sums_exactly(seed, scale):
    # Everything below the floor, over 30 octaves.
    rng = np.random.default_rng(seed)
    p = (FLOOR * scale * 2.0 ** -rng.uniform(0, 30, (30, 40))).astype(np.float32)
    raters = [(rng.random(p.shape) < chance).astype(np.uint8) for chance in (0.1, 0.3, 0.3)]
    r = np.mean(raters, axis=0)
    sample = sampled(tt.Case("c", probability=p, raters=raters, spacing=(1.0, 1.0)))
    low = sample.low
    assert low.weight.sum() == p.size
    assert low.weight @ low.probability == pytest.approx(p.sum(dtype=float), rel=1e-12)
    assert low.weight @ low.response == pytest.approx(r.sum(), rel=1e-12)
    assert low.weight @ low.squared == pytest.approx((r**2).sum(), rel=1e-12)
    assert (np.diff(low.probability) > 0).all()
    # A row spans 8 of 1024 levels per octave.
    assert low.weight.size < p.size
    assert sample.high.probability.size == 0
    assert sample.traits is None
    assert sample.voxel.shape == (0, len(VOXEL_FEATURES))


def test_there_are_few_rows_of_low_probabilities_however_many_voxels():
    rng = np.random.default_rng(0)
    p = (FLOOR * 2.0 ** -rng.uniform(0, 19, (400, 500))).astype(np.float32)
    p[::7] = 0
    raters = [(rng.random(p.shape) < 0.1).astype(np.uint8) for _ in range(3)]
    r = np.mean(raters, axis=0)
    sample = sampled(tt.Case("c", probability=p, raters=raters, spacing=(1.0, 1.0)))
    low = sample.low
    assert low.weight.sum() == np.count_nonzero(p)
    assert 18 * 128 < low.weight.size <= 19 * 128 + 2  # 8 of 1024 levels per octave in a row
    assert low.weight @ low.probability == pytest.approx(p.sum(dtype=float), rel=1e-12)
    assert low.weight @ low.response == pytest.approx(r[p > 0].sum(), rel=1e-12)
    assert low.weight @ low.squared == pytest.approx((r[p > 0] ** 2).sum(), rel=1e-12)
    assert (sample.missed, sample.rest) == pytest.approx((r[p == 0].sum(), (r[p == 0] ** 2).sum()))


def test_probabilities_that_rounding_put_outside_count_as_0_and_1():
    p = np.full((60, 50), 0.3, np.float32)
    p[:20], p[20] = 1.0000001, -1e-7
    mask = np.zeros(p.shape, np.uint8)
    mask[:21] = 1
    sample = sampled(tt.Case("c", probability=p, raters=[mask], spacing=(1.0, 1.0)), limit=500)
    assert sample.high.probability.max() == 1
    assert sample.high.weight.sum() == pytest.approx(p.size - 50, rel=0.02)
    assert sample.missed == sample.rest == 50


def test_a_case_of_zeros_has_only_what_was_missed():
    zeros = np.zeros((5, 6), np.float32)
    sample = sampled(tt.Case("c", members=[zeros, zeros], raters=[np.ones((5, 6), np.uint8)] * 2, spacing=(1.0, 1.0)))
    assert (sample.low.weight.size, sample.high.weight.size, len(sample.voxel)) == (0, 0, 0)
    assert (sample.missed, sample.rest, sample.drawn, sample.traits) == (30, 30, (30, 30), None)


# --- The choice ------------------------------------------------------------------------------------------------------


def random_map(rng, n):
    """Probabilities of which most are nearly 0 or 1, and responses of five raters."""
    p = np.clip(rng.beta(0.15, 0.3, n), FLOOR, 1)
    return p, rng.binomial(5, np.clip(0.1 + 0.7 * p, 0, 1)) / 5


def test_up_to_the_limit_all_are_taken_in_their_order():
    p = np.array([0.5, 0.1, 0.9])
    take, weight = choose(p, 3)
    assert take.tolist() == [0, 1, 2]
    assert weight.tolist() == [1, 1, 1]
    take, _ = choose(p, 2)
    assert len(take) == 2
    assert (np.diff(p[take]) > 0).all()


def test_a_choice_worked_out_by_hand():
    # All alike: every fourth, from the second quarter on, and each stands for four.
    take, weight = choose(np.full(12, 0.5), 3)
    assert take.tolist() == [1, 5, 9]
    assert weight == pytest.approx([4, 4, 4])
    # Voxels at 1/2 count as 1/2, sure ones as nothing, and 0.02 more: in all 10 × 0.52 + 10 × 0.02 = 5.4.
    take, weight = choose(np.repeat([0.5, 1.0], 10), 4)
    chance = np.array([0.52, 0.02]) * 4 / 5.4
    assert weight == pytest.approx(1 / chance[(take >= 10).astype(int)])
    assert np.count_nonzero(take < 10) == 4


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 2**32 - 1), st.integers(1, 400), st.integers(1, 3000))
def test_about_as_many_are_taken_as_asked_for(seed, limit, n):
    p, _ = random_map(np.random.default_rng(seed), n)
    take, weight = choose(p, limit)
    assert len(take) == len(weight) <= limit + 1
    assert len(np.unique(take)) == len(take)
    assert (weight >= 1).all()
    assert len(take) >= min(n, limit) // 2


def test_sums_over_the_sample_are_unbiased():
    rng = np.random.default_rng(0)
    errors = []
    for _ in range(400):
        p, r = random_map(rng, 2000)
        take, weight = choose(p, 300)
        parts = np.stack([r, r**2, (p - r) ** 2, p * r, (p > 0.5) * (r - p)])
        errors.append(parts[:, take] @ weight - parts.sum(axis=1))
    z = np.mean(errors, axis=0) / (np.std(errors, axis=0) / np.sqrt(len(errors)))
    assert np.abs(z).max() < 4
    # And they are worth having: a simple random sample of as many would err about three times as far.
    simple = 2000 * r.std() / np.sqrt(300)
    assert np.std(errors, axis=0)[2] < simple / 2


def test_weights_sum_to_the_number_of_voxels_and_keep_the_volume():
    rng = np.random.default_rng(1)
    for _ in range(30):
        p, _ = random_map(rng, 4000)
        take, weight = choose(p, 500)
        assert weight.sum() == pytest.approx(4000, rel=0.03)
        assert weight @ p[take] == pytest.approx(p.sum(), rel=0.03)
        assert 450 <= len(take) <= 501


def test_the_unsure_are_taken_more_often():
    rng = np.random.default_rng(2)
    p, _ = random_map(rng, 20_000)
    take, _ = choose(p, 1000)
    unsure = (p > 0.1) & (p < 0.9)
    assert unsure[take].mean() > 2 * unsure.mean()


def test_a_large_case_is_kept_in_about_as_many_rows_as_allowed():
    case = soft_case(3, shape=(20, 60, 60))
    p, r = voxels(case)
    sample = sampled(case, limit=1500)
    assert np.count_nonzero(p >= FLOOR) > 10_000
    assert 1200 <= sample.high.weight.size <= 1501
    assert len(sample.voxel) == sample.high.weight.size
    assert sample.low.weight.size <= 14 * 128
    where = p >= FLOOR
    assert sample.high.weight.sum() == pytest.approx(np.count_nonzero(where), rel=0.03)
    assert sample.high.weight @ sample.high.response == pytest.approx(r[where].sum(), rel=0.03)
    # Features are those of the rows' voxels.
    assert 1 / (1 + np.exp(-sample.voxel[:, 0])) == pytest.approx(sample.high.probability, abs=1e-4)
    assert sampled(case).high.weight.size <= LIMIT + 1


def test_a_sample_depends_on_nothing_random():
    case = soft_case(4)
    np.random.seed(0)  # noqa: NPY002  (the state that is not to matter)
    one = sampled(case, limit=300)
    np.random.seed(1)  # noqa: NPY002
    other = sampled(soft_case(4), limit=300)
    assert equal(one, other)
    assert not equal(one, sampled(soft_case(5), limit=300))


def test_the_order_of_raters_does_not_matter():
    case = soft_case(6)
    masks = list(case.read().raters.values())
    turned = tt.Case("c", members=case.read().members, raters=masks[::-1], spacing=(2.0, 1.0, 1.0))
    assert equal(sampled(case), sampled(turned))


# --- The curve -------------------------------------------------------------------------------------------------------


def sample_of(low, high):
    voxel = np.zeros((len(high.probability), len(VOXEL_FEATURES)), np.float32)
    return CaseSample("p", 100, (1,), low, high, voxel, None, missed=0.0, rest=0.0)


def rows_of(probability, response, weight):
    r = np.array(response, float)
    return Rows(np.array(probability, float), r, r**2, np.array(weight, float))


def test_a_curve_worked_out_by_hand():
    one = sample_of(rows_of([1e-5], [0.0], [8]), rows_of([0.2, 0.6], [0.0, 1.0], [1, 3]))
    other = sample_of(rows_of([], [], []), rows_of([0.6], [0.5], [1]))
    curve = curve_of([one, other])
    assert curve.probability.tolist() == [1e-5, 0.2, 0.6]
    assert curve.weight.tolist() == [8, 1, 4]
    assert curve.response.tolist() == [0, 0, 3.5 / 4]
    # Counted twice and three times: at 0.6 there are 6 voxels of response 1 and 3 of 1/2.
    often = curve_of([one, other], [2, 3])
    assert often.weight.tolist() == [16, 2, 9]
    assert often.response == pytest.approx([0, 0, 7.5 / 9])
    # A case that counts 0 times is not there at all.
    without = curve_of([one, other], [0, 1])
    assert (without.probability.tolist(), without.response.tolist()) == ([0.6], [0.5])


def test_weights_of_another_number_than_cases_are_refused():
    with pytest.raises(ValueError, match="zip"):
        curve_of([sample_of(rows_of([], [], []), rows_of([0.6], [0.5], [1]))], [1, 2])


def test_a_curve_of_nothing_is_an_error():
    zeros = np.zeros((5, 6), np.float32)
    sample = sampled(tt.Case("c", probability=zeros, raters=[np.ones((5, 6), np.uint8)], spacing=(1.0, 1.0)))
    with pytest.raises(CalibrationError, match="nothing to fit"):
        curve_of([sample])


def test_without_raters_responses_count_as_0():
    case = soft_case(7)
    predicted = CaseSample.of(case, case.read(raters=False))
    fitted = sampled(case)
    assert (predicted.high.probability == fitted.high.probability).all()
    assert (predicted.voxel == fitted.voxel).all()
    assert predicted.drawn == ()
    assert (predicted.missed, predicted.rest, predicted.high.response.sum(), predicted.low.response.sum()) == (0,) * 4


@pytest.mark.parametrize("make", [make_case, soft_case])
def test_the_curve_of_whole_samples_is_that_of_the_response_table(make):
    cases = [make(seed, shape=(6, 24, 24)) for seed in range(3)]
    curve = tt.tabulate(cases).curve()
    found = curve_of([sampled(case) for case in cases])
    assert found.weight.sum() == curve.weight.sum()
    assert found.mean_response() == pytest.approx(curve.mean_response(), rel=1e-12)
    p = np.concatenate([case.read().probability().ravel() for case in cases]).astype(float)
    p = p[p > 0]
    for method in ("isotonic", "temperature", "histogram"):
        gap = fit_map(method, found)(p) - fit_map(method, curve)(p)
        assert np.sqrt(np.mean(gap**2)) < 2e-3, method


def test_the_curve_of_a_choice_is_near_to_that_of_the_response_table():
    cases = [soft_case(seed, shape=(12, 40, 40)) for seed in range(3)]
    curve = tt.tabulate(cases).curve()
    found = curve_of([sampled(case, limit=2500) for case in cases])
    assert found.weight.sum() == pytest.approx(curve.weight.sum(), rel=0.02)
    p = np.linspace(0.01, 0.99, 99)
    gap = fit_map("temperature", found)(p) - fit_map("temperature", curve)(p)
    assert np.abs(gap).max() < 0.03
