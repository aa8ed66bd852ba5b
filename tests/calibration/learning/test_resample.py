"""Resampled curves: the estimate is the plain mean, and what varies is what should."""

import numpy as np
import pytest

from twintrack.calibration.learning.draws import draw_sets
from twintrack.calibration.learning.measured import Measured
from twintrack.calibration.learning.resample import RESAMPLES, resampled_curves

N_CASES = 40
PATIENTS = [f"p{number:02}" for number in range(N_CASES)]
SIZES = (4, 8, 16, 32)


def measured(loss, *, patients=PATIENTS, repeats=4, sizes=SIZES):
    """Three equal terms with loss(size, number, case)."""
    draws = draw_sets(patients, sizes, repeats=repeats, seed=0)
    found = []
    for size in sizes:
        of_size = [draw for draw in draws if draw.size == size]
        losses = np.full((len(of_size), len(patients), 3), np.nan)
        for row, draw in zip(losses, of_size, strict=True):
            for k in draw.judged:
                row[k] = loss(size, draw.number, k)
        found.append(Measured(size, losses, 0))
    return found


def resampled(found, *, identity=None, patients=PATIENTS, seed=0):
    unchanged = np.ones((len(patients), 3)) if identity is None else identity
    return resampled_curves(found, unchanged, patients, seed=seed)


def test_losses_that_never_vary_have_no_interval():
    curves, spread = resampled(measured(lambda size, *_: 1 + 1 / size))
    assert curves.shape == (1 + RESAMPLES, 4, 4)
    assert curves[:, :, 0] == pytest.approx(np.broadcast_to(1 + 1 / np.array(SIZES, float), (1 + RESAMPLES, 4)))
    assert spread == pytest.approx(np.zeros(4), abs=1e-12)


def test_the_estimate_averages_each_case_first():
    part = np.random.default_rng(1).uniform(0.5, 1.5, N_CASES)
    curves, _ = resampled(measured(lambda size, _, k: part[k] / size))
    assert curves[0, :, 0] == pytest.approx(part.mean() / np.array(SIZES))


def test_differences_between_cases_give_the_interval_of_a_mean_and_cancel_between_sizes():
    part = np.random.default_rng(1).uniform(0.5, 1.5, N_CASES)
    curves, spread = resampled(measured(lambda size, _, k: part[k] + 1 / size))
    error = part.std() / np.sqrt(N_CASES)
    assert curves[1:, :, 0].std(axis=0) == pytest.approx(np.full(4, error), rel=0.1)
    assert (curves[:, 0] - curves[:, -1]).std() < 1e-9
    assert spread == pytest.approx(np.zeros(4), abs=1e-9)


def test_losses_in_proportion_to_those_of_the_identity_vary_little():
    identity = np.random.default_rng(1).uniform(0.5, 1.5, (N_CASES, 1)) * np.ones(3)
    curves, _ = resampled(measured(lambda size, _, k: 0.8 * identity[k]), identity=identity / identity.mean())
    assert curves[1:].std(axis=0).max() < 1e-9


def test_cases_of_a_patient_vary_together():
    patients = [f"p{k // 2:02}" for k in range(N_CASES)]
    part = np.repeat(np.random.default_rng(1).uniform(0.5, 1.5, N_CASES // 2), 2)
    curves, _ = resampled(measured(lambda _, __, k: part[k], patients=patients), patients=patients)
    assert curves[1:, :, 0].std(axis=0) == pytest.approx(np.full(4, part.std() / np.sqrt(N_CASES / 2)), rel=0.1)


@pytest.mark.parametrize("repeats", [2, 6])
def test_differences_between_sets_are_found_and_count_more_the_more_of_the_cases_a_set_takes(repeats):
    part = 0.1 * np.random.default_rng(3).normal(size=200)
    curves, spread = resampled(measured(lambda _, number, __: 1 + part[number], repeats=repeats))
    for k, size in enumerate(SIZES):
        n_draws = 5 * (repeats + int(np.log2(32 / size)))
        assert spread[k] == pytest.approx(part[:n_draws].std(), rel=0.25)
        expected = spread[k] * np.sqrt(1 / n_draws + size / (N_CASES - size))
        assert curves[1:, k, 0].std() == pytest.approx(expected, rel=0.15)


def test_sets_that_are_each_judged_on_other_cases_tell_nothing_of_their_differences():
    found = measured(lambda *_: 1.0, repeats=1, sizes=(32,))
    curves, spread = resampled(found)
    assert np.isnan(spread).all()
    assert curves[1:].std() < 1e-9


def test_where_nothing_can_be_wrong_a_resample_counts_as_the_identity():
    identity = np.zeros((N_CASES, 3))
    identity[0] = N_CASES
    curves, _ = resampled(measured(lambda _, __, k: 0.5 * N_CASES * (k == 0)), identity=identity)
    assert curves[0] == pytest.approx(np.full((4, 4), 0.5))
    assert set(np.unique(curves[1:].round(9))) == {0.5, 1.0}


def test_the_same_seed_gives_the_same_curves():
    found = measured(lambda size, number, k: 1 / size + 0.01 * number + 0.1 * (k % 3))
    assert (resampled(found, seed=3)[0] == resampled(found, seed=3)[0]).all()
    assert (resampled(found, seed=3)[0] != resampled(found, seed=4)[0]).any()
