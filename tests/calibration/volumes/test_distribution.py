"""Distributions of a further rater's volume: numbers worked out by hand, properties, and coverage by simulation."""

import itertools
import json
import math

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from scipy.integrate import quad

from twintrack.calibration.volumes.distribution import (
    FEWEST_TO_CHOOSE,
    VolumeDistribution,
    VolumeModel,
    VolumeSummary,
)
from twintrack.errors import CalibrationError, InputError

LEVELS = (0.5, 0.8, 0.9)
# A spread of exactly 1 voxel about a majority of 3: z = 4 (√(d + 1) − 2), and a further rater's v = (2 + z/4)² − 1.
BY_HAND = VolumeSummary(expected=3.5, majority=3.0, disagreement=0.94)

SCORES = st.lists(
    st.lists(st.floats(-20, 20), min_size=1, max_size=4).map(lambda case: tuple(sorted(case))), min_size=0, max_size=20
)
SUMMARIES = st.builds(
    lambda expected, majority, disagreement: VolumeSummary(expected, majority * expected, disagreement * expected),
    st.floats(1, 1e6),
    st.floats(0.01, 1.5),
    st.floats(0, 1),
)
DISTRIBUTIONS = st.builds(
    lambda scores, summary, voxel_volume: VolumeModel(scores=scores).distribution(summary, voxel_volume),
    SCORES,
    SUMMARIES,
    st.floats(0.01, 50),
)


def simulated(rng, n_cases, *, n_raters=3, informative=True):
    """Exchangeable cases: a shift common to a case's raters and one of each rater's own, both wide where D is large.

    Not informative: D varies a hundredfold, and raters differ alike everywhere.
    """
    expected = np.exp(rng.normal(5.5, 1, n_cases))
    softness = rng.uniform(0.03, 0.5, n_cases) if informative else np.exp(rng.uniform(np.log(0.009), -0.1, n_cases))
    spread = softness if informative else np.full(n_cases, 0.2)
    shift = rng.normal(0.1, 1, n_cases)[:, None] + rng.standard_t(5, (n_cases, n_raters))
    drawn = np.round(expected[:, None] * np.exp(spread[:, None] * shift))
    summaries = [VolumeSummary(e, 0.95 * e, s * e) for e, s in zip(expected, softness, strict=True)]
    return summaries, drawn.tolist()


# --- Summaries -----------------------------------------------------------------------------------------------------


def test_a_summary_worked_out_by_hand():
    found = VolumeSummary.of(np.float32([[0.0, 0.25], [0.5, 1.0]]))
    assert found.expected == 1.75
    assert found.majority == pytest.approx(0.0625 * 2.5 + 0.25 * 2 + 1)
    assert found.disagreement == pytest.approx(0.1875 + 0.25)


def test_a_summary_is_what_independent_raters_are_expected_to_draw():
    response = np.array([0.1, 0.5, 0.8])
    majority = half_differing = expected = 0.0
    for votes in itertools.product((0, 1), repeat=9):
        masks = np.reshape(votes, (3, 3))
        probability = np.where(masks, response, 1 - response).prod()
        expected += probability * masks[0].sum()
        majority += probability * (masks.sum(axis=0) >= 2).sum()
        half_differing += probability * (masks[0] != masks[1]).sum() / 2
    found = VolumeSummary.of(response)
    assert (found.expected, found.majority, found.disagreement) == pytest.approx((expected, majority, half_differing))


@pytest.mark.parametrize("shape", [(60, 70), (6, 100, 7)])
def test_a_map_and_its_histogram_have_the_same_summary(shape):
    response = np.random.default_rng(0).integers(0, 9, shape) / np.float32(8)
    values, voxels = np.unique(response, return_counts=True)
    assert VolumeSummary.of(values, voxels=voxels) == VolumeSummary.of(response)


def test_zeros_may_be_left_out_and_no_digits_are_lost_in_large_maps():
    response = np.full(20_000_000, 0.1, np.float32)
    one = VolumeSummary.of(np.float32([0.1]))
    found = VolumeSummary.of(response)
    for name in ("expected", "majority", "disagreement"):
        assert getattr(found, name) == pytest.approx(2e7 * getattr(one, name), rel=1e-9)
    assert VolumeSummary.of(np.float32([0.3, 0.0, 0.0])) == VolumeSummary.of(np.float32([0.3]))
    assert VolumeSummary.of(np.zeros((0, 3), np.float32)) == VolumeSummary(0.0, 0.0, 0.0)


@pytest.mark.parametrize("wrong", [-0.1, 1.1, float("nan")])
def test_what_is_no_response_is_refused(wrong):
    with pytest.raises(InputError, match="between 0 and 1; found"):
        VolumeSummary.of(np.float32([0.5, wrong]))


def test_a_histogram_of_another_shape_is_refused():
    with pytest.raises(InputError, match=r"the shape of the responses, \(2,\); got \(3,\)"):
        VolumeSummary.of(np.zeros(2), voxels=np.ones(3))


# --- From volumes to scores and back -------------------------------------------------------------------------------


def test_scores_worked_out_by_hand():
    model = VolumeModel.fit([BY_HAND, BY_HAND], [[15, 0], [8, 3]])
    assert model.scores[0] == pytest.approx((-4, 8))
    assert model.scores[1] == pytest.approx((0, 4))
    assert model.n_cases == 2


def test_a_distribution_worked_out_by_hand():
    found = VolumeModel(scores=((-4.0, 4.0), (0.0,))).distribution(BY_HAND, 2.0)
    further = found.volume[found.further]
    assert found.n_cases == 2
    assert found.volume[~found.further] == pytest.approx([0, 6, 16])
    assert found.weight[~found.further] == pytest.approx([0.5, 1, 0.5])
    # The further case's weight 1 lies at the mid-quantiles of a logistic distribution with quartiles ±1.5.
    share = (np.arange(50) + 0.5) / 50
    score = 1.5 / math.log(3) * np.log(share / (1 - share))
    assert further == pytest.approx(2 * (np.maximum(2 + score / 4, 1) ** 2 - 1) * ((2 + score / 4) ** 2 - 1 >= 0.5))
    assert found.weight[found.further] == pytest.approx(np.full(50, 1 / 50))
    assert found.mean == pytest.approx((0.5 * 0 + 6 + 0.5 * 16 + further.mean()) / 3)


def test_quartiles_of_nested_raters_at_an_even_border():
    # 1000 voxels whose responses fall evenly from 1 to 0: a rater who cuts at t draws 1000 (1 − t) of them.
    summary = VolumeSummary.of((np.arange(1000) + 0.5) / 1000)
    found = VolumeModel(scores=()).distribution(summary, 1.0)
    assert summary.majority == pytest.approx(500)
    assert found.quantile(0.25) == pytest.approx(250, rel=0.12)
    assert found.quantile(0.75) == pytest.approx(750, rel=0.12)


@settings(deadline=None)
@given(SUMMARIES, st.lists(st.integers(1, 10**7), min_size=1, max_size=4))
def test_a_cases_own_scores_give_back_its_raters_volumes(summary, drawn):
    found = VolumeModel.fit([summary], [drawn]).distribution(summary, 1.0)
    assert found.volume[~found.further] == pytest.approx(sorted(drawn), rel=1e-6)


def test_what_is_less_than_half_a_voxel_is_empty():
    score = 4 * (math.sqrt(1.49) - 2)
    assert VolumeModel(scores=((score,),)).distribution(BY_HAND, 1.0).volume[0] == 0
    score = 4 * (math.sqrt(1.51) - 2)
    found = VolumeModel(scores=((score,),)).distribution(BY_HAND, 1.0)
    assert found.volume[~found.further] == pytest.approx([0.51])


# --- Distributions -------------------------------------------------------------------------------------------------


def four_volumes():
    return VolumeDistribution(
        volume=np.array([1.0, 2.0, 3.0, 4.0]),
        weight=np.array([1.0, 0.5, 0.5, 1.0]),
        further=np.array([False, True, True, False]),
        n_cases=2,
    )


def test_mean_cdf_and_quantiles_worked_out_by_hand():
    found = four_volumes()
    assert found.mean == pytest.approx(7.5 / 3)
    assert [found.cdf(v) for v in (0.9, 1, 2, 3.5, 4)] == pytest.approx([0, 1 / 3, 1 / 2, 2 / 3, 1])
    assert [found.quantile(u) for u in (0, 1 / 3, 0.4, 0.5, 0.6, 1)] == [1, 1, 2, 2, 3, 4]
    assert found.probability_empty == 0


def test_crps_worked_out_by_hand():
    # E|V − 2| = (1 + 0 + 0.5 + 2)/3; ½ E|V − V′| over the six pairs = 25/36.
    assert four_volumes().crps(2.0) == pytest.approx(7 / 6 - 25 / 36)


def test_intervals_worked_out_by_hand():
    # 39 cases and the further one: 5 % of 40 are 2 cases, so the second from either end, as if the further lay beyond.
    def distribution(n):
        volume = np.append(np.arange(1, n + 1) / 10, 0.25)
        order = np.argsort(volume)
        return VolumeDistribution(volume[order], np.ones(n + 1), order == n, n)

    assert distribution(39).interval(0.9) == pytest.approx((0.2, 3.8, 0.9))
    assert distribution(39).interval(0.5) == pytest.approx((1.0, 3.0, 0.5))
    assert distribution(19).interval(0.9) == pytest.approx((0.1, 1.9, 0.9))
    assert distribution(9).interval(0.9) == pytest.approx((0.1, 0.9, 0.8))


@settings(deadline=None)
@given(DISTRIBUTIONS, st.floats(0, 1), st.floats(0, 1))
def test_quantile_and_cdf_are_inverse_to_each_other(found, one, other):
    low, high = found.quantile(min(one, other)), found.quantile(max(one, other))
    assert low <= high
    assert found.cdf(low) >= min(one, other) - 1e-9
    assert found.quantile(found.cdf(low)) == low
    assert found.cdf(np.nextafter(low, -1)) <= min(one, other) + 1e-9


@settings(deadline=None)
@given(DISTRIBUTIONS, st.floats(0, 1e8), st.floats(0, 1e8))
def test_the_cdf_rises_from_the_probability_of_nothing_to_1(found, one, other):
    assert 0 <= found.probability_empty <= found.cdf(min(one, other)) <= found.cdf(max(one, other)) <= 1
    assert found.cdf(found.volume[-1]) == pytest.approx(1)
    assert found.volume[0] - 1e-9 <= found.mean <= found.volume[-1] * (1 + 1e-9)
    assert (np.diff(found.volume) >= 0).all()
    assert found.weight.sum() == pytest.approx(found.n_cases + 1)


@settings(deadline=None)
@given(DISTRIBUTIONS, st.floats(0.05, 0.95), st.floats(0.05, 0.95))
@example(VolumeModel(scores=((0.0,),)).distribution(VolumeSummary(1.0, 1.0, 0.0), 1.0), 0.5, 0.5)
def test_more_coverage_is_a_wider_interval_and_never_narrower_than_the_own_quantiles(found, one, other):
    level, more = min(one, other), max(one, other)
    low, high, promised = found.interval(level)
    wide_low, wide_high, wide_promised = found.interval(more)
    # Of two volumes that part the weight exactly there, each end takes the one that its own side counts to.
    assert wide_low <= low <= found.quantile((1 - level) / 2 + 3e-9)
    assert found.quantile((1 + level) / 2 - 1e-9) <= high <= wide_high
    assert 0 <= promised <= level
    assert promised <= wide_promised <= more


@settings(deadline=None)
@given(SCORES, st.floats(0.05, 0.95), st.integers(0, 2**32 - 1))
def test_where_all_can_be_promised_the_ends_are_hierarchical_conformal_quantiles(cases, level, seed):
    # Computed in another way, in twelfths of a case: wherever the further case's weight lies, no more than
    # (1 − level)/2 of n + 1 cases may lie beyond an end when the further one does.
    volumes = [tuple(abs(value) for value in case) for case in cases]
    further = np.random.default_rng(seed).uniform(0, 25, 7)
    volume = np.concatenate([further, *map(np.array, volumes)])
    weight = np.concatenate([np.full(7, 1 / 7), *(np.full(len(case), 1 / len(case)) for case in volumes)])
    order = np.argsort(volume, kind="stable")
    low, high, promised = VolumeDistribution(volume[order], weight[order], order < 7, len(volumes)).interval(level)
    if promised == level and volumes:
        twelfths = sorted(value for case in volumes for value in case for _ in range(12 // len(case)))
        inside = math.ceil((1 + level) / 2 * 12 * (len(volumes) + 1) - 1e-6)
        assert (low, high) == (twelfths[-inside], twelfths[inside - 1])


@settings(deadline=None, max_examples=25)
@given(SCORES, st.floats(0.2, 30))
def test_crps_is_the_integral_of_the_squared_difference(scores, drawn):
    found = VolumeModel(scores=scores).distribution(BY_HAND, 1.0)
    ends = np.unique(np.append(found.volume, drawn))
    middles = (ends[1:] + ends[:-1]) / 2
    squares = [(found.cdf(x) - (x >= drawn)) ** 2 for x in middles]
    assert found.crps(drawn) == pytest.approx(float(np.diff(ends) @ squares), rel=1e-6, abs=1e-9)


def test_crps_of_one_number_is_the_absolute_error_and_never_less_than_0():
    found = VolumeDistribution(np.array([0.1, 0.1]), np.ones(2), np.array([False, True]), 1)
    assert found.crps(3.1) == pytest.approx(3)
    assert found.crps(0.1) == 0


def test_crps_of_a_smooth_distribution_agrees_with_quadrature():
    found = VolumeModel(scores=[(z,) for z in np.random.default_rng(1).normal(0, 2, 400)]).distribution(
        VolumeSummary(1000, 980, 90), 1.0
    )
    numeric = sum(
        quad(lambda x: (found.cdf(x) - (x >= 900)) ** 2, *ends, limit=400, epsabs=0.05)[0]
        for ends in ((0, 900), (900, 3000))
    )
    assert found.crps(900) == pytest.approx(numeric, rel=0.01)


@settings(deadline=None)
@given(SCORES, SUMMARIES, st.floats(0.05, 20))
def test_volumes_scale_with_the_voxel(scores, summary, factor):
    model = VolumeModel(scores=scores)
    one, scaled = model.distribution(summary, 1.0), model.distribution(summary, factor)
    assert scaled.volume == pytest.approx(one.volume * factor)
    assert scaled.mean == pytest.approx(one.mean * factor)
    assert scaled.crps(5.0 * factor) == pytest.approx(one.crps(5.0) * factor, rel=1e-6, abs=1e-6 * factor)
    assert scaled.probability_empty == one.probability_empty
    assert scaled.interval(0.8)[:2] == pytest.approx([factor * end for end in one.interval(0.8)[:2]])


@settings(deadline=None)
@given(SCORES, SUMMARIES, st.integers(2, 64))
def test_a_finer_grid_changes_nothing_but_what_is_smaller_than_half_a_voxel(scores, summary, finer):
    fine = VolumeSummary(summary.expected * finer, summary.majority * finer, summary.disagreement * finer)
    model = VolumeModel(scores=scores)
    coarse, found = model.distribution(summary, 1.0), model.distribution(fine, 1.0 / finer)
    assert found.volume == pytest.approx(coarse.volume, rel=1e-6, abs=0.5 + 1e-6)


# --- Fitting -------------------------------------------------------------------------------------------------------


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 2**32 - 1), st.integers(1, 25), st.randoms())
def test_the_order_of_cases_and_raters_leaves_no_trace(seed, n_cases, random):
    summaries, drawn = simulated(np.random.default_rng(seed), n_cases)
    order = list(range(n_cases))
    random.shuffle(order)
    shuffled = VolumeModel.fit([summaries[k] for k in order], [random.sample(drawn[k], k=3) for k in order])
    assert shuffled == VolumeModel.fit(summaries, drawn)


def test_raters_who_agree_count_as_one():
    summaries, drawn = simulated(np.random.default_rng(3), 8, n_raters=1)
    alone = VolumeModel.fit(summaries, drawn).distribution(BY_HAND, 1.0)
    together = VolumeModel.fit(summaries, [volumes * 3 for volumes in drawn]).distribution(BY_HAND, 1.0)
    assert together.mean == pytest.approx(alone.mean)
    assert together.interval(0.7) == pytest.approx(alone.interval(0.7))
    assert together.crps(2.0) == pytest.approx(alone.crps(2.0))


def test_a_clear_case_gets_a_narrower_distribution_than_an_ambiguous_one():
    model = VolumeModel.fit(*simulated(np.random.default_rng(0), 40))
    clear = model.distribution(VolumeSummary(1000, 990, 30), 1.0).interval(0.8)
    ambiguous = model.distribution(VolumeSummary(1000, 900, 300), 1.0).interval(0.8)
    assert 3 * (clear[1] - clear[0]) < ambiguous[1] - ambiguous[0]


def test_a_map_that_is_sure_of_every_voxel_still_leaves_room_for_raters():
    summary = VolumeSummary.of(np.ones(100, np.float32))
    assert summary.disagreement == 0
    low, high, _ = VolumeModel.fit([summary] * 20, [[90, 110]] * 20).distribution(summary, 1.0).interval(0.9)
    assert (low, high) == pytest.approx((90, 110))


@pytest.mark.parametrize("seed", range(3))
def test_the_spread_is_the_disagreement_unless_it_tells_nothing(seed):
    informative = simulated(np.random.default_rng(seed), 40)
    assert VolumeModel.fit(*informative).spread == "disagreement"
    telling_nothing = simulated(np.random.default_rng(seed), 40, informative=False)
    assert VolumeModel.fit(*telling_nothing).spread == "volume"
    few = [values[: FEWEST_TO_CHOOSE - 1] for values in telling_nothing]
    assert VolumeModel.fit(*few).spread == "disagreement"


def test_with_the_volume_as_spread_every_case_has_the_same_relative_distribution():
    model = VolumeModel(spread="volume", scores=((-1.0, 0.5), (2.0,)))
    one = model.distribution(VolumeSummary(1000, 1000, 10), 1.0)
    other = model.distribution(VolumeSummary(3000, 3000, 900), 1.0)
    assert other.volume == pytest.approx(3 * one.volume)


def test_one_case_that_the_networks_missed_does_not_blow_up_the_others():
    summaries, drawn = simulated(np.random.default_rng(0), 30)
    missed = VolumeSummary.of(np.full(4000, 0.001, np.float32))
    clear = VolumeSummary(1000, 990, 50)
    without = VolumeModel.fit(summaries, drawn).distribution(clear, 1.0)
    found = VolumeModel.fit([*summaries, missed], [*drawn, [400, 500, 900]]).distribution(clear, 1.0)
    assert found.mean == pytest.approx(without.mean, rel=0.1)
    assert found.interval(0.8)[1] == pytest.approx(without.interval(0.8)[1], rel=0.1)


@pytest.mark.parametrize("n_cases", [0, 1, 2, 4])
def test_the_fewest_cases_still_give_a_distribution_that_promises_what_it_can(n_cases):
    summaries, drawn = simulated(np.random.default_rng(n_cases), n_cases)
    found = VolumeModel.fit(summaries, drawn).distribution(VolumeSummary(100, 95, 20), 2.0)
    low, high, promised = found.interval(0.9)
    assert promised == pytest.approx(max(0, 1 - 2 / (n_cases + 1)))
    assert 0 <= low < found.quantile(0.5) < high < np.inf
    known = found.volume[~found.further]
    assert all(low <= volume <= high for volume in known)
    assert found.interval(0.99)[1] > known.max(initial=0)


def test_where_no_rater_ever_drew_anything_nothing_is_to_be_expected():
    summaries, _ = simulated(np.random.default_rng(0), 20)
    found = VolumeModel.fit(summaries, [[0, 0]] * 20).distribution(VolumeSummary(100, 80, 40), 1.0)
    assert found.probability_empty >= 20 / 21
    assert found.quantile(0.5) == 0
    assert found.interval(0.9) == (0, 0, pytest.approx(0.9))
    assert found.crps(0) < 1


def test_an_empty_mask_is_likelier_where_the_map_is_less_sure():
    summaries, drawn = simulated(np.random.default_rng(0), 20)
    drawn = [[0, *volumes] if summary.disagreement > 0.3 * summary.expected else volumes
             for summary, volumes in zip(summaries, drawn, strict=True)]  # fmt: skip
    model = VolumeModel.fit(summaries, drawn)
    unsure = model.distribution(VolumeSummary(100, 80, 50), 1.0).probability_empty
    sure = model.distribution(VolumeSummary(100, 99, 5), 1.0).probability_empty
    assert sure < 0.01 < unsure


def test_cases_of_which_nothing_is_expected_are_left_out_and_refused():
    nothing = VolumeSummary.of(np.zeros((4, 4), np.float32))
    model = VolumeModel.fit([nothing, BY_HAND], [[7, 9], [3, 4]])
    assert model.n_cases == 1
    assert VolumeModel.fit([nothing], [[7]]).n_cases == 0
    with pytest.raises(CalibrationError, match="the expected volume is 0"):
        model.distribution(nothing, 1.0)


@pytest.mark.parametrize(
    ("drawn", "message"),
    [
        ([[1]], "the same cases; got 2 and 1"),
        ([[1], []], r"case 2: .* at least one; got \[\]"),
        ([[-1], [1]], r"case 1: expected the number of voxels .* got \[-1\]"),
        ([[1], [1, float("nan")]], "case 2"),
        ([[1], [float("inf")]], "case 2"),
    ],
)
def test_what_cannot_be_drawn_volumes_is_refused(drawn, message):
    with pytest.raises(CalibrationError, match=message):
        VolumeModel.fit([BY_HAND, BY_HAND], drawn)


@pytest.mark.parametrize("wrong", [-0.1, 1.1, float("nan")])
def test_probabilities_and_levels_out_of_range_are_refused(wrong):
    with pytest.raises(InputError, match="probability: expected a number from 0 to 1"):
        four_volumes().quantile(wrong)
    with pytest.raises(InputError, match="level: expected a number between 0 and 1"):
        four_volumes().interval(wrong)


def test_a_model_is_saved_as_json_and_read_back():
    model = VolumeModel.fit(*simulated(np.random.default_rng(0), 12))
    assert VolumeModel.model_validate_json(model.model_dump_json()) == model


@pytest.mark.parametrize(
    "change", [{"scores": [[]]}, {"scores": [["a"]]}, {"scores": [[math.nan]]}, {"spread": "width"}, {"more": 1}]
)
def test_a_broken_model_is_refused(change):
    content = json.loads(VolumeModel(scores=((0.0, 1.0),)).model_dump_json()) | change
    with pytest.raises(ValidationError):
        VolumeModel.model_validate(content)


# --- Coverage ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("informative", [True, False])
@pytest.mark.parametrize(("n_cases", "repeats"), [(5, 400), (8, 400), (25, 80)])
def test_intervals_hold_a_further_raters_volume_as_often_as_promised(n_cases, repeats, informative):
    # One fit meets many further cases, so the error is that of the mean over fits.
    rng = np.random.default_rng(n_cases + informative)
    held = np.empty((repeats, len(LEVELS)))
    own = np.empty((repeats, len(LEVELS)))
    promised = [0.0] * len(LEVELS)
    for repeat in range(repeats):
        model = VolumeModel.fit(*simulated(rng, n_cases, informative=informative))
        further = [
            (model.distribution(summary, 1.0), volume)
            for summary, (volume,) in zip(*simulated(rng, 25, n_raters=1, informative=informative), strict=True)
        ]
        for k, level in enumerate(LEVELS):
            intervals = [(found.interval(level), volume) for found, volume in further]
            held[repeat, k] = np.mean([low - 1e-6 <= volume <= high + 1e-6 for (low, high, _), volume in intervals])
            promised[k] = intervals[0][0][2]
            tail = (1 - level) / 2
            own[repeat, k] = np.mean([tail < found.cdf(volume) <= 1 - tail for found, volume in further])
    error = held.std(axis=0) / math.sqrt(repeats)
    assert (held.mean(axis=0) >= promised - 3 * error).all()
    assert (held.mean(axis=0) <= np.array(LEVELS) + 2.5 / (n_cases + 1) + 3 * error).all()
    # The distribution itself lies within a weight of 1 in n + 1 of one that covers exactly.
    assert (np.abs(own.mean(axis=0) - LEVELS) <= 2 / (n_cases + 1) + 3 * error).all()
