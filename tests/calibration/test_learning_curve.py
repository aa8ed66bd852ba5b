"""Learning curves: one that is known is found, whatever the order of the cases; what is impossible is refused."""

import json

import numpy as np
import pytest
from scipy.special import expit

import twintrack as tt
from twintrack.calibration import learning_curve as module
from twintrack.calibration.conditional.describe import VOXEL_FEATURES
from twintrack.calibration.learning_curve import LearningCurve, curve_of_samples, learning_curve
from twintrack.calibration.sample import CaseSample, Rows
from twintrack.calibration.selection.losses import TERMS
from twintrack.errors import CalibrationError, CohortError, InputError

from .conftest import make_case

LOGITS = np.linspace(-4, -0.2, 40)


def sample_of(slope, *, patient):
    """A case whose response is σ(slope · logit p) at 40 voxels of p below one half, with two raters alike."""
    response = expit(slope * LOGITS)
    rows = Rows(expit(LOGITS), response, response**2, np.ones(LOGITS.size))
    nothing = Rows(*(np.empty(0) for _ in range(4)))
    return CaseSample(
        patient=patient,
        n_voxels=LOGITS.size,
        drawn=(response.sum(),) * 2,
        low=rows,
        high=nothing,
        voxel=np.empty((0, len(VOXEL_FEATURES)), np.float32),
        traits=None,
        missed=0.0,
        rest=0.0,
    )


def samples_of(n, *, seed=0, spread=0.1):
    """Cases whose slopes vary about one half: a temperature of 2 is right for the mean of them."""
    rng = np.random.default_rng(seed)
    return [sample_of(0.5 + spread * rng.normal(), patient=f"p{number:03}") for number in range(n)]


@pytest.fixture
def cases():
    return [make_case(seed, shape=(2, 12, 12)) for seed in range(8)]


# --- A curve that is known -------------------------------------------------------------------------------------------


def test_a_temperature_is_wrong_by_one_in_n_of_the_variance_between_cases():
    # The slope of n cases is off by a normal error of variance σ²/n, that of a new case by σ². So losses that are
    # quadratic grow by 1 + 1/n, those that are absolute by its root, as far as responses are linear in the slope.
    found = curve_of_samples(samples_of(40, spread=0.05), method="temperature", repeats=10)
    n, draws = (np.array([getattr(point, name) for point in found.sizes]) for name in ("n", "draws"))
    assert n.tolist() == [4, 8, 16, 32]
    noise = 0.01 + 3 * np.sqrt(2 / draws) / n
    voxels, calibration, volume = (np.array([point.terms[name].value for point in found.sizes]) for name in TERMS)
    excess = (1 + 1 / n) / (1 + 1 / n[-1])
    assert (np.abs(voxels / voxels[-1] - excess) < noise).all()
    for absolute in (calibration, volume):
        assert (np.abs(absolute / absolute[-1] - np.sqrt(excess)) < noise).all()
    plateau = voxels[-1] / (1 + 1 / n[-1]), *(term[-1] / np.sqrt(1 + 1 / n[-1]) for term in (calibration, volume))
    assert found.answer.plateau.value == pytest.approx(np.mean(plateau), rel=0.05)
    # With 80 cases instead of 40 the quadratic part falls from 1 + 1/40 to 1 + 1/80, and the others by its root.
    gain = np.array([1, 0.5, 0.5]) @ plateau / 3 * (1 / 40 - 1 / 80)
    twice = found.answer.forecasts[-1].gain
    assert twice.low < gain < twice.high
    assert twice.high < 5 * gain


def test_the_criterion_is_the_mean_of_its_terms_and_the_spread_falls_with_more_cases():
    found = curve_of_samples(samples_of(30), method="temperature", repeats=2)
    for point in found.sizes:
        assert point.criterion.value == pytest.approx(np.mean([one.value for one in point.terms.values()]))
        assert point.criterion.low <= point.criterion.value <= point.criterion.high
    assert found.sizes[0].spread > 2 * found.sizes[-1].spread >= 0


def test_the_identity_has_losses_of_one_with_any_number_of_cases():
    found = curve_of_samples(samples_of(12), method="identity", repeats=2)
    for point in found.sizes:
        for one in (point.criterion, *point.terms.values()):
            assert (one.low, one.value, one.high) == pytest.approx((1, 1, 1))
    assert found.answer.verdict == "little"
    assert found.answer.enough.high == found.sizes[0].n


def test_the_record_says_what_was_done():
    found = curve_of_samples(samples_of(12), method="temperature", repeats=2, seed=7)
    assert (found.method, found.n_cases, found.n_patients, found.repeats, found.seed) == ("temperature", 12, 12, 2, 7)
    assert [(point.n, point.draws, point.unfitted) for point in found.sizes] == [
        (4, 15, 0),
        (5, 10, 0),
        (7, 10, 0),
        (9, 10, 0),
    ]
    assert found.level == 0.95
    assert LearningCurve.model_validate_json(found.model_dump_json()) == found
    assert json.loads(found.model_dump_json())["answer"]["limit"] == 36


# --- Always the same -------------------------------------------------------------------------------------------------


def test_neither_order_nor_repetition_changes_the_curve(cases):
    one = learning_curve(cases, method="isotonic", repeats=1, seed=3)
    assert learning_curve(cases[::-1], method="isotonic", repeats=1, seed=3) == one
    assert learning_curve(cases, method="isotonic", repeats=1, seed=4) != one


def test_cases_are_read_once_and_progress_is_shown(cases, monkeypatch):
    read, told = [], []
    of = CaseSample.of

    def counted(case, data):
        read.append(case.id)
        return of(case, data)

    def shown(things, label):
        told.append((label, len(things)))
        return things

    monkeypatch.setattr(CaseSample, "of", counted)
    found = learning_curve(cases, method="isotonic", repeats=1, progress=shown, fit_progress=shown)
    assert sorted(read) == sorted(case.id for case in cases)
    assert told == [("Reading", 8), ("Fitting", sum(point.draws for point in found.sizes))]


def test_bad_cases_are_left_out_where_that_is_asked_for(cases):
    bad = tt.Case("bad", members=[np.full((2, 12, 12), 7, np.float32)], raters=[np.zeros((2, 12, 12), np.uint8)])
    with pytest.raises(InputError):
        learning_curve([*cases, bad], method="isotonic", repeats=1)
    left_out = []
    found = learning_curve([*cases, bad], method="isotonic", repeats=1, on_bad=lambda case, _: left_out.append(case.id))
    assert left_out == ["bad"]
    assert found == learning_curve(cases, method="isotonic", repeats=1)


# --- Methods ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["auto", "conditional"])
def test_methods_that_choose_by_leaving_cases_out_are_measured_too(cases, method):
    found = learning_curve(cases, method=method, sizes=(2, 4))
    assert (found.method, found.repeats) == (method, 2)
    assert [(point.n, point.draws, point.unfitted) for point in found.sizes] == [(2, 15, 0), (4, 10, 0)]
    assert found.answer.reason == "a curve needs at least 4 different numbers of cases, here there are 2"


def test_sets_that_cannot_be_fitted_count_as_the_identity():
    # Six cases of eight have nothing above 0: sets of two of these leave nothing to fit.
    empty = Rows(*(np.empty(0) for _ in range(4)))
    samples = samples_of(2)
    nothing = {"low": empty, "high": empty, "drawn": (0, 0)}
    samples += [CaseSample(**{**vars(samples[0]), **nothing, "patient": f"q{k}"}) for k in range(6)]
    found = curve_of_samples(samples, method="temperature", repeats=2, sizes=(2, 6))
    assert found.sizes[0].unfitted > 0
    assert found.sizes[1].unfitted == 0


def test_where_no_set_can_be_fitted_that_is_said():
    with pytest.raises(CalibrationError, match="no case has a probability of at least"):
        curve_of_samples(samples_of(4), method="conditional", repeats=1)


def test_where_no_rater_drew_anything_losses_are_absolute():
    with np.errstate(all="raise"):
        samples = [sample_of(50, patient=f"p{k}") for k in range(5)]
        silent = [CaseSample(**{**vars(sample), "drawn": (0, 0)}) for sample in samples]
        found = curve_of_samples(silent, method="temperature", repeats=2)
    assert all(np.isfinite(point.criterion.value) for point in found.sizes)


# --- Refused ---------------------------------------------------------------------------------------------------------


def test_fewer_than_four_patients_are_refused_in_plain_words(cases):
    with pytest.raises(CalibrationError, match="needs cases of at least 4 patients, .*; there are 3$"):
        learning_curve(cases[:3], method="isotonic")


def test_an_empty_cohort_is_refused():
    with pytest.raises(CohortError, match="no case was found"):
        learning_curve([], method="isotonic")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"method": "magic"}, "unknown method 'magic'; known are identity, .*auto"),
        ({"repeats": 0}, "repeats must be at least 1; got 0"),
        ({"tolerance": 0}, "the tolerance is a fraction between 0 and 1; got 0"),
        ({"tolerance": float("nan")}, "the tolerance is a fraction between 0 and 1; got nan"),
    ],
)
def test_impossible_options_are_refused_before_anything_is_read(options, said, monkeypatch):
    monkeypatch.setattr(module, "map_cases", None)
    with pytest.raises(CalibrationError, match=said):
        learning_curve([], **options)


@pytest.mark.parametrize(
    ("sizes", "said"),
    [
        ((1, 8), r"must lie between 2 and 8, so that a fifth of the patients can be left out; got 1, 8"),
        ((9, 4), r"between 2 and 8, .*; got 4, 9"),
        ((), "got none"),
        ((2, 4), r"at least half of the 10 cases.*; got 2, 4"),
    ],
)
def test_impossible_sizes_are_refused(sizes, said):
    with pytest.raises(CalibrationError, match=said):
        curve_of_samples(samples_of(10), method="identity", sizes=sizes)


def test_sizes_are_measured_once_each_in_increasing_order():
    found = curve_of_samples(samples_of(10), method="identity", sizes=(8, 4, 4), repeats=1)
    assert [point.n for point in found.sizes] == [4, 8]
