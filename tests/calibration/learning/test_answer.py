"""What is said of more cases: known curves have known answers, and what cannot be told is not told."""

import numpy as np
import pytest

from twintrack.calibration.learning.answer import Estimate, answer

SIZES = (4, 7, 13, 25, 46, 84)


def curves_about(values, *, deviation=0.001, common=0.0, seed=0, n=400):
    """An estimate without noise, and curves whose points vary about it, each alone and all together."""
    rng = np.random.default_rng(seed)
    values = np.asarray(values, float)
    noise = deviation * rng.normal(size=(n, values.size)) + common * rng.normal(size=(n, 1))
    return np.concatenate([values[None], values + noise])


def falling(a, b, sizes=SIZES):
    return a + b / np.array(sizes, float)


def test_a_known_curve_has_the_answer_worked_out_by_hand():
    found = answer(SIZES, curves_about(falling(0.8, 4.0)), 100, tolerance=0.02)
    now, ten, twice = found.forecasts
    assert [one.n for one in found.forecasts] == [100, 110, 200]
    # 0.8 + 4/100, 0.8 + 4/110 and 0.8 + 4/200.
    assert now.criterion.value == pytest.approx(0.84, abs=1e-3)
    assert now.gain == Estimate(value=0, low=0, high=0)
    assert ten.gain.value == pytest.approx(4 / 100 - 4 / 110, abs=2e-4)
    assert twice.gain.value == pytest.approx(0.02, abs=1e-3)
    assert found.plateau.value == pytest.approx(0.8, abs=2e-3)
    assert found.exponent == pytest.approx(1)
    # 4/n = 0.02 · 0.8.
    assert found.enough.n == pytest.approx(250, abs=10)
    assert found.enough.low <= 250 <= found.enough.high
    assert (found.limit, found.tolerance) == (336, 0.02)


def test_where_much_is_still_to_be_had_more_cases_help():
    # Twice as many lower it by 0.2 of 1.2.
    found = answer(SIZES, curves_about(falling(0.8, 40.0)), 100, tolerance=0.02)
    assert found.verdict == "helps"
    assert found.enough.n is None
    assert found.sentences[1].startswith("More cases would help, twice as many by more than 2 %:")
    assert "with about more than 336 cases" in found.sentences[1]


def test_where_little_is_to_be_had_more_cases_do_not_help():
    # Twice as many lower it by 0.005 of 0.81.
    found = answer(SIZES, curves_about(falling(0.8, 1.0)), 100, tolerance=0.02)
    assert (found.verdict, found.reason) == ("little", None)
    assert found.enough.high <= 100
    first, second = found.sentences
    assert first.startswith("With the 100 cases at hand the loss on new patients is expected to be 0.810 times that of")
    assert "10 more would lower it by 0.001" in first
    assert ", twice as many by 0.005" in first
    assert second.startswith("More cases would not help measurably, twice as many by less than 2 %:")


def test_whether_the_same_curve_helps_is_a_matter_of_what_is_worth_having():
    curves = curves_about(falling(0.8, 4.0))
    verdicts = [answer(SIZES, curves, 100, tolerance=worth).verdict for worth in (0.001, 0.0238, 0.1)]
    assert verdicts == ["helps", "cannot tell", "little"]


def test_what_moves_the_whole_curve_does_not_blur_what_more_cases_bring():
    found = answer(SIZES, curves_about(falling(0.8, 1.0), common=0.1), 100, tolerance=0.02)
    assert found.verdict == "little"
    width = found.forecasts[0].criterion
    assert width.high - width.low == pytest.approx(2 * 1.96 * 0.1, rel=0.2)


def test_noisy_points_cannot_tell_and_say_how_far_they_may_be_off():
    found = answer(SIZES, curves_about(falling(0.8, 1.0), deviation=0.1), 100, tolerance=0.02)
    assert (found.verdict, found.reason) == ("cannot tell", "the interval of the gain is too wide")
    twice = found.forecasts[-1].gain
    assert twice.low < 0.02 * 0.81 < twice.high
    assert "cannot be told from these cases" in found.sentences[1]


def test_a_flat_curve_is_at_its_plateau_from_the_smallest_number_on():
    found = answer(SIZES, curves_about(np.ones(6), deviation=0.0), 100, tolerance=0.02)
    assert found.verdict == "little"
    assert (found.enough.low, found.enough.n, found.enough.high) == (4, 4, 4)
    assert found.forecasts[-1].gain.high == 0


def test_a_curve_that_rises_is_told():
    found = answer(SIZES, curves_about([1.0, 1.02, 1.04, 1.05, 1.05, 1.06]), 100, tolerance=0.02)
    assert found.verdict == "rises"
    assert found.sentences[0].startswith("From 4 to 84 cases the loss on new patients rises by 0.060 (95 %: 0.05")
    assert "would not help this method" in found.sentences[1]
    assert (found.plateau, found.forecasts, found.line) == (None, (), ())


def test_points_on_no_such_curve_are_not_extrapolated():
    found = answer(SIZES, curves_about([1.0, 0.9, 1.0, 0.9, 1.0, 0.9]), 100, tolerance=0.02)
    assert (found.verdict, found.plateau) == ("cannot tell", None)
    assert found.reason == "the losses do not follow a curve that levels off"
    assert found.sentences[0].startswith("With 84 cases the loss on new patients is 0.900 times that of")
    assert found.sentences[1] == f"What more cases would bring cannot be told: {found.reason}."


def test_three_points_do_not_make_a_curve():
    found = answer((2, 3, 4), curves_about([1.0, 0.9, 0.8]), 5, tolerance=0.02)
    assert (found.verdict, found.enough) == ("cannot tell", None)
    assert found.reason == "a curve needs at least 4 different numbers of cases, here there are 3"


def test_nothing_is_said_of_more_than_four_times_what_was_measured():
    sizes = (2, 3, 4, 5)
    found = answer(sizes, curves_about(falling(0.8, 1.0, sizes)), 11, tolerance=0.02)
    assert found.verdict == "cannot tell"
    assert found.reason == "only 5 of the 11 cases could be fitted while others were left out"
    told = answer(sizes, curves_about(falling(0.8, 1.0, sizes)), 10, tolerance=0.02)
    assert [one.n for one in told.forecasts] == [10, 20]
    assert max(one.n for one in told.line) == told.limit == 20


def test_the_line_meets_every_size_and_never_rises():
    found = answer(SIZES, curves_about(falling(0.8, 4.0)), 100, tolerance=0.02)
    assert {one.n for one in found.line} >= {*SIZES, found.limit}
    values = [one.criterion.value for one in found.line]
    assert values == sorted(values, reverse=True)
    assert all(one.criterion.low <= one.criterion.value <= one.criterion.high for one in found.line)


def test_an_estimate_lies_within_its_interval():
    assert Estimate.of(np.array([5.0, 1.0, 2.0])) == Estimate(value=5.0, low=1.025, high=5.0)
    assert Estimate.of(np.array([0.0, 1.0, 2.0])).low == 0


@pytest.mark.parametrize("seed", [0, 1])
def test_the_same_seed_gives_the_same_answer(seed):
    curves = curves_about(falling(0.8, 4.0), deviation=0.02)
    one, other = (answer(SIZES, curves, 100, tolerance=0.02, seed=seed) for _ in range(2))
    assert one == other
