import numpy as np
import pytest

from twintrack.evaluation.bootstrap import Interval, patient_weights, weighted_means


def test_cases_of_a_patient_are_drawn_together():
    weights = patient_weights(["a", "b", "a", "c"], repeats=200, seed=1)
    assert (weights[:, 0] == weights[:, 2]).all()
    patients = weights[:, [0, 1, 3]]
    assert (patients.sum(axis=1) == 3).all()
    assert (patients.std(axis=0) > 0).all()


def test_seed_decides():
    assert (patient_weights(["a", "b"], seed=3) == patient_weights(["a", "b"], seed=3)).all()
    assert (patient_weights(["a", "b"], seed=3) != patient_weights(["a", "b"], seed=4)).any()


def test_interval_of_a_mean_is_close_to_theory():
    values = np.random.default_rng(0).normal(5, 2, 400)
    weights = patient_weights([str(k) for k in range(400)], repeats=4000)
    interval = Interval.of(values.mean(), weighted_means(weights, values))
    half = 1.96 * values.std() / np.sqrt(400)
    assert interval.low == pytest.approx(values.mean() - half, abs=0.05)
    assert interval.high == pytest.approx(values.mean() + half, abs=0.05)


def test_weighted_means_worked_out_by_hand():
    weights = np.array([[1.0, 1, 1], [3, 0, 0], [0, 0, 3]])
    assert weighted_means(weights, np.array([1.0, 2, 6])).tolist() == [3, 1, 6]
    found = weighted_means(weights, np.array([1.0, 2, np.nan]))
    assert found[:2].tolist() == [1.5, 1]
    assert np.isnan(found[2])


def test_an_interval_of_nothing_is_nan():
    assert np.isnan(Interval.of(1.0, np.array([np.nan])).low)
