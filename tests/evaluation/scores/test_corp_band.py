import numpy as np
import pytest

from twintrack.errors import InputError
from twintrack.evaluation.scores.corp import corp
from twintrack.evaluation.scores.corp_band import reliability_diagram
from twintrack.evaluation.scores.reliability import Reliability, reliability

BINS = 40
MIDDLES = (np.arange(BINS) + 0.5) / BINS


def sums(count, predicted, observed):
    return Reliability(np.array(count, np.int64), np.array(predicted, float), np.array(observed, float))


def calibrated_cases(seed, *, n_cases=12, spread=0.6):
    """Cases calibrated on average only: each leans to one side, all its voxels together."""
    rng = np.random.default_rng(seed)
    cases = []
    for lean in rng.choice([-1, 1], n_cases) * rng.random(n_cases) * spread:
        count = rng.integers(5, 60, BINS)
        drawn = rng.binomial(count, MIDDLES + lean * MIDDLES * (1 - MIDDLES))
        cases.append(sums(count, count * MIDDLES, drawn))
    return cases


def names(cases):
    return [str(k) for k in range(len(cases))]


def test_worked_out_by_hand():
    # Two bins at 1/4 and 3/4 that observe 1/2 and 1/4: one block of (4 · 1/2 + 4 · 1/4) / 8; an empty bin between.
    found = reliability_diagram([sums([4, 0, 4], [1, 0, 3], [2, 0, 1])], repeats=10)
    assert found.predicted.tolist() == [0.25, 0.75]
    assert found.recalibrated.tolist() == [0.375, 0.375]
    assert found.weight.tolist() == [4, 4]
    # Against labels: bin 1 has 2 of 4, (2 · 9/16 + 2 · 1/16) / 4 = 5/16; bin 2 1 of 4, (1/16 + 3 · 9/16) / 4 = 7/16.
    assert found.corp.score == pytest.approx(3 / 8)
    assert found.corp.uncertainty == pytest.approx(3 / 8 * 5 / 8)
    assert found.corp.discrimination == 0
    assert found.corp.miscalibration == pytest.approx(3 / 8 - 15 / 64)


def test_cases_are_pooled_and_strips_give_the_scores_of_the_voxels():
    rng = np.random.default_rng(0)
    p = rng.random(4000).astype(np.float32)
    y = (rng.random(4000) < p**2).astype(np.float32)
    whole = corp(p, y)
    fine = [reliability(p[part], y[part], bins=2000) for part in (slice(0, 1500), slice(1500, None))]
    found = reliability_diagram(fine, patients=["a", "b"], repeats=10).corp
    assert found.label_score == pytest.approx(whole.score, abs=2e-3)
    assert found.miscalibration == pytest.approx(whole.miscalibration, abs=2e-3)
    assert found.discrimination == pytest.approx(whole.discrimination, abs=2e-3)


def test_identical_patients_have_a_band_of_no_width_on_the_diagonal():
    # Each draw is the same cohort, however far the predictions are from the responses.
    one = sums([10, 10], [2, 8], [1, 5])
    found = reliability_diagram([one, one, one], patients=["a", "b", "c"], repeats=20)
    assert found.lower == pytest.approx([0.2, 0.8])
    assert found.upper == pytest.approx([0.2, 0.8])
    assert found.share_outside == 1


def test_a_band_of_two_patients_by_hand():
    # One bin at 1/2 with 2 voxels each: a observes 1/2 + 1/4, b 1/2 − 1/4. Drawn twice, a is √2 / 4 above the diagonal.
    cases = [sums([2], [1], [1.5]), sums([2], [1], [0.5])]
    found = reliability_diagram(cases, patients=["a", "b"], repeats=400)
    assert found.lower == pytest.approx([0.5 - np.sqrt(2) / 4])
    assert found.upper == pytest.approx([0.5 + np.sqrt(2) / 4])
    together = reliability_diagram(cases, patients=["a", "a"], repeats=400)
    assert np.isnan(together.lower).all()


def test_whole_patients_hold_what_the_band_promises_and_single_voxels_do_not():
    inside = {"patients": [], "voxels": []}
    for seed in range(40):
        cases = calibrated_cases(seed)
        by_patient = reliability_diagram(cases, patients=names(cases), repeats=100)
        inside["patients"].append(1 - by_patient.share_outside)
        inside["voxels"].append(1 - reliability_diagram(cases, repeats=100).share_outside)
    assert 0.82 < np.mean(inside["patients"]) < 0.95
    assert np.mean(inside["voxels"]) < 0.8


def test_single_voxels_hold_what_the_band_promises_where_they_are_independent():
    inside = []
    for seed in range(40):
        cases = calibrated_cases(seed, spread=0)
        inside.append(1 - reliability_diagram(cases, repeats=100).share_outside)
    assert 0.82 < np.mean(inside) < 0.96


def test_a_prediction_that_is_not_calibrated_leaves_the_band():
    rng = np.random.default_rng(0)
    cases = [sums(np.full(BINS, 50), 50 * MIDDLES, rng.binomial(50, MIDDLES**2)) for _ in range(20)]
    assert reliability_diagram(cases, patients=names(cases), repeats=100).share_outside > 0.7


def test_the_same_seed_gives_the_same_band_and_it_stays_within_0_and_1():
    cases = calibrated_cases(1, n_cases=4)
    one, two = (reliability_diagram(cases, patients=names(cases), repeats=50, seed=3) for _ in range(2))
    assert one.lower.tolist() == two.lower.tolist()
    assert one.lower.min() >= 0
    assert one.upper.max() <= 1
    assert (one.lower <= one.upper).all()


def test_bad_input_is_refused():
    one = sums([1], [0.5], [0])
    for cases in ([], [sums([0], [0], [0])], [one, sums([1, 0], [0.5, 0], [1, 0])]):
        with pytest.raises(InputError, match="cases with voxels in the same bins"):
            reliability_diagram(cases)
    with pytest.raises(InputError, match="the patient of each of 1 cases; got 2"):
        reliability_diagram([one], patients=["a", "b"])
    with pytest.raises(InputError, match="a share between 0 and 1; got 1"):
        reliability_diagram([one], level=1)
