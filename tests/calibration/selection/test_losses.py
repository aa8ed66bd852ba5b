"""What a calibration does to a case, in three numbers: those of the protocol "response", from a sample."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import twintrack as tt
from twintrack.calibration.conditional.describe import FLOOR, VOXEL_FEATURES
from twintrack.calibration.conditional.model import ConditionalMap
from twintrack.calibration.conditional.reference import N_COEFFICIENTS, Units
from twintrack.calibration.methods import METHODS
from twintrack.calibration.sample import CaseSample, Rows
from twintrack.calibration.selection.candidates import judge
from twintrack.calibration.selection.losses import TERMS, Judged, losses
from twintrack.evaluation.protocols.statistics import collect

UNITS = Units(voxel=(3.0, 0.5, 5.0, 0.2, 0.1, 0.5, 1.0), case_centre=(1.0, 0.1, 0.2), case=(0.5, 0.2, 0.2))


def conditional(seed, *, volume):
    coefficients = 0.5 * np.random.default_rng(seed).normal(size=N_COEFFICIENTS)
    return ConditionalMap(
        dimensions=2, units=UNITS, coefficients=tuple(coefficients.tolist()), volume=volume, prior_cases=1.0
    )


MAPS = {
    "identity": METHODS["identity"](),
    "temperature": METHODS["temperature"](temperature=2.5),
    "platt": METHODS["platt"](slope=0.7, offset=-0.4),
    "conditional": conditional(0, volume=1.0),
    "conditional that keeps volumes": conditional(1, volume=0.0),
}


def make_case(seed, *, shape=(5, 12, 14), n_members=2, n_raters=3, roi=False):
    """A case with probabilities from 0 to nearly 1, raters who draw also where it is 0 and outside the ROI."""
    rng = np.random.default_rng(seed)
    axes = np.meshgrid(*(np.linspace(-1, 1, size) for size in shape), indexing="ij")
    middle = 16 * (0.6 - np.sqrt(sum(axis**2 for axis in axes)))
    members = [1 / (1 + np.exp(-middle - rng.normal(size=shape))) for _ in range(n_members)]
    members = [np.where(middle < -10.5, 0, member).astype(np.float32) for member in members]
    raters = [(middle + 5 * rng.normal(size=shape) > 0).astype(np.uint8) for _ in range(n_raters)]
    for mask in raters[1:]:
        mask[..., 0, 0] = 1
    inside = np.zeros(shape, np.uint8)
    inside[..., 3:-2] = 1
    spacing = (3.0, 1.0, 0.8)[-len(shape) :]
    return tt.Case(f"c{seed}", members=members, raters=raters, roi=inside if roi else None, spacing=spacing)


def applied(fitted, data):
    """Apply a map to every voxel, as a calibration does."""
    p = data.probability()
    if isinstance(fitted, ConditionalMap):
        alike = fitted.model_copy(update={"dimensions": sum(size > 1 for size in data.grid.shape)})
        return alike.respond(data, p)
    return np.where(p > 0, fitted(p), 0).astype(np.float32)


def protocol(data, response):
    """Give the three scores of the protocol "response", volumes in voxels."""
    scores = collect([response], list(data.raters.values()), voxel_volume=1.0)[0].scores()
    return [scores[name] for name in ("mse", "mhr_ece", "crps_empirical")]


@pytest.mark.parametrize("name", MAPS)
@pytest.mark.parametrize("roi", [False, True])
@pytest.mark.parametrize("shape", [(5, 12, 14), (20, 30)])
def test_on_whole_cases_the_losses_are_the_scores_of_the_protocol(name, roi, shape):
    for seed in range(3):
        case = make_case(seed, roi=roi, shape=shape, n_raters=2 + seed)
        data = case.read()
        sample = CaseSample.of(case, data)
        assert sample.low.weight.size > 0
        assert sample.missed > 0
        found = losses(sample, judge(MAPS[name], sample))
        assert found == pytest.approx(protocol(data, applied(MAPS[name], data)), rel=1e-4, abs=1e-7)


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 10_000), st.integers(1, 5), st.integers(1, 3), st.floats(0.3, 3))
def test_of_any_small_case_the_losses_are_the_scores_of_the_protocol(seed, n_raters, n_members, temperature):
    case = make_case(seed, shape=(3, 9, 8), n_raters=n_raters, n_members=n_members, roi=seed % 2 == 0)
    data = case.read()
    sample = CaseSample.of(case, data)
    fitted = METHODS["temperature"](temperature=temperature)
    found = losses(sample, judge(fitted, sample))
    assert found == pytest.approx(protocol(data, applied(fitted, data)), rel=1e-4, abs=1e-6)


def test_a_case_without_any_probability_is_scored_by_what_was_missed():
    zeros = np.zeros((6, 7), np.float32)
    raters = [np.ones((6, 7), np.uint8), np.eye(6, 7, dtype=np.uint8)]
    case = tt.Case("c", probability=zeros, raters=raters, spacing=(1.0, 1.0))
    data = case.read()
    sample = CaseSample.of(case, data)
    for fitted in MAPS.values():
        assert losses(sample, judge(fitted, sample)) == pytest.approx(protocol(data, zeros))


@pytest.mark.parametrize("name", MAPS)
def test_losses_of_a_choice_are_near_to_those_of_the_whole(name):
    case = make_case(3, shape=(12, 40, 44), n_raters=4)
    data = case.read()
    whole, chosen = CaseSample.of(case, data), CaseSample.of(case, data, limit=3000)
    assert chosen.high.weight.size < 0.4 * whole.high.weight.size
    found, wanted = (losses(sample, judge(MAPS[name], sample)) for sample in (chosen, whole))
    assert found[0] == pytest.approx(wanted[0], rel=0.05)
    # Chance in the choice counts as miscalibration.
    assert found[1] == pytest.approx(wanted[1], rel=0.1, abs=6e-3)
    assert found[2] == pytest.approx(wanted[2], abs=0.01 * np.mean(whole.drawn))


def rows_of(response, squared, weight):
    probability = np.full(len(weight), 0.5)  # not looked at
    return Rows(probability, *(np.array(column, float) for column in (response, squared, weight)))


def test_losses_worked_out_by_hand():
    # Ten voxels: four of low probability, five described, and one of probability 0 that half of the raters drew.
    sample = CaseSample(
        patient="p",
        n_voxels=10,
        drawn=(2, 4),
        low=rows_of([0.0], [0.0], [4]),
        # The second row stands for a voxel of response 0 and one of 1, the third for two of response 1.
        high=rows_of([0.5, 0.5, 1.0], [0.25, 0.5, 1.0], [1, 2, 2]),
        voxel=np.zeros((3, len(VOXEL_FEATURES)), np.float32),
        traits=None,
        missed=0.5,
        rest=0.25,
    )
    found = losses(sample, Judged(np.array([0.01]), np.array([0.31, 0.32, 0.92])))
    # Squares: 4 × 0.01² + 0.19² + (0.32² + 0.68²) + 2 × 0.08² + 0.5² = 0.8641.
    # Bins: 0.04 − 0.5 in the first; 0.31 − 0.5 + 2 (0.32 − 0.5) in the seventh; 2 (0.92 − 1) in the nineteenth.
    # Volume 0.04 + 0.31 + 0.64 + 1.84 = 2.83: (0.83 + 1.17) / 2 − (0 + 2 + 2 + 0) / 4 / 2.
    assert dict(zip(TERMS, found, strict=True)) == pytest.approx(
        {"voxels": 0.08641, "calibration": (0.46 + 0.55 + 0.16) / 10, "volume": 0.5}
    )


def test_a_response_of_1_belongs_to_the_last_bin():
    nothing = rows_of([], [], [])
    sample = CaseSample(
        "p", 2, (1,), nothing, rows_of([1.0, 0.0], [1.0, 0.0], [1, 1]), None, None, missed=0.0, rest=0.0
    )
    # 1 and 0.96 lie in one bin: +0.96 in all.
    found = losses(sample, Judged(np.empty(0), np.array([1.0, 0.96])))
    assert found[1] == pytest.approx(0.96 / 2)


def test_the_response_itself_has_no_loss_but_the_raters_own_spread():
    case = make_case(5)
    sample = CaseSample.of(case, case.read())
    whole = CaseSample(
        sample.patient, sample.n_voxels, sample.drawn, rows_of([], [], []), sample.high, sample.voxel, sample.traits,
        missed=0.0, rest=0.0,
    )  # fmt: skip
    found = losses(whole, Judged(np.empty(0), sample.high.response))
    assert found[:2] == pytest.approx(0, abs=1e-12)
    assert found[2] >= 0


def test_probabilities_below_the_floor_are_not_judged_by_a_case_aware_map():
    case = make_case(6)
    sample = CaseSample.of(case, case.read())
    found = judge(MAPS["conditional"], sample)
    assert (found.low == sample.low.probability).all()
    assert (found.low < FLOOR).all()
    assert np.abs(found.high - sample.high.probability).max() > 0.05
