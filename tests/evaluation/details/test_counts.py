import numpy as np
import pytest

from twintrack.evaluation.details.counts import CHANGE_EDGES, FIRST_LEVELS, N_CHANGE, StripCounts, change_counts
from twintrack.evaluation.scores.reliability import mhr_calibration_error, reliability


@pytest.fixture
def case():
    rng = np.random.default_rng(0)
    p = rng.beta(0.3, 2, size=(3, 20, 20)).astype(np.float32)
    p[0, :5] = 0
    p[1, 0, 0] = 1
    masks = [(p + 0.3 * rng.normal(size=p.shape) > 0.4).astype(np.uint8) for _ in range(3)]
    return p, masks


def test_votes_of_exact_0_and_1_are_counted_apart():
    p = np.array([[0, 0, 1, 0.3]], np.float32)
    masks = [np.array([[0, 1, 1, 1]], np.uint8), np.array([[0, 0, 1, 1]], np.uint8)]
    found = StripCounts.of(p, masks)
    assert found.strip[[0, -1]].tolist() == [0, FIRST_LEVELS.size - 1]
    assert found.votes.tolist() == [[1, 1, 0], [0, 0, 1], [0, 0, 1]]
    assert found.probability == pytest.approx([0, 0.3, 1], rel=1e-3)


def test_every_voxel_is_counted_once(case):
    p, masks = case
    found = StripCounts.of(p, masks)
    votes = np.sum(masks, axis=0)
    assert found.votes.sum(axis=0).tolist() == np.bincount(votes.ravel(), minlength=4).tolist()
    assert found.votes.sum(axis=1) @ found.probability == pytest.approx(p.sum(dtype=float), rel=1e-3)


def test_sums_for_diagrams_are_those_of_the_voxels(case):
    p, masks = case
    response = np.mean(masks, axis=0).astype(np.float32)
    sums = StripCounts.of(p, masks).reliability()
    assert sums.count.sum() == p.size
    assert sums.observed.sum() == pytest.approx(response.sum(dtype=float))
    mass = sums.grouped(sums.equal_mass_index(bins=20), bins=20).calibration_error()
    assert mass == pytest.approx(mhr_calibration_error(p, response, binning="mass"), abs=2e-3)
    assert sums.predicted.sum() == pytest.approx(reliability(p, response).predicted.sum(), rel=1e-3)


def test_changes_are_counted_by_bin_of_both(case):
    p, _ = case
    found = change_counts(p, p)
    assert found.shape == (N_CHANGE, N_CHANGE)
    assert found.sum() == np.count_nonzero(p)
    assert found.sum() == np.trace(found)
    moved = change_counts(np.array([0.3, 0], np.float32), np.array([0.7, 0.2], np.float32))
    (row,), (column,) = np.nonzero(moved)
    assert CHANGE_EDGES[row] <= 0.3 < CHANGE_EDGES[row + 1]
    assert CHANGE_EDGES[column] <= 0.7 < CHANGE_EDGES[column + 1]
