"""A case's tally, and the order in which cases are worked on: numbers worked out by hand."""

import numpy as np
import pytest

import twintrack as tt
from twintrack.calibration.counted_case import in_order
from twintrack.calibration.tally import FIRST_LEVELS, N_GROUPS, CaseTally, coarse_curve, grouped
from twintrack.compute.levels import N_LEVELS, level_values, levels

from .conftest import make_case

QUARTER = int(levels(np.array([0.25], np.float32))[0])


def tally_of(*rows):
    """A tally of rows (level, number of voxels with 0 … K votes)."""
    counts = np.zeros((N_LEVELS, len(rows[0][1])), np.int64)
    for level, votes in rows:
        counts[level] += votes
    return CaseTally.of(counts, {"1": np.ones((1, 1), np.uint8)})


def test_groups_are_eight_levels_and_the_ends_stay_apart():
    assert FIRST_LEVELS[:3].tolist() == [0, 1, 9]
    assert (FIRST_LEVELS[-1], FIRST_LEVELS.size) == (N_LEVELS - 1, N_GROUPS)
    assert grouped(np.ones((N_LEVELS, 1), np.int64)).max() == 8


def test_coarse_counts_worked_out_by_hand():
    low = FIRST_LEVELS[np.searchsorted(FIRST_LEVELS, QUARTER, side="right") - 1]
    tally = tally_of((0, [5, 0, 1]), (low, [1, 1, 0]), (low + 7, [0, 0, 2]), (N_LEVELS - 1, [0, 1, 2]))
    p = level_values()[[low, low + 7]].mean()
    assert tally.votes.tolist() == [[5, 0, 1], [1, 1, 2], [0, 1, 2]]
    assert tally.probability == pytest.approx([0, p, 1])
    assert tally.n_above_zero == 7
    rows = tally.coarse_counts(weight=10, majority=False, pin_zero=False)
    assert rows.shape == (3, N_GROUPS)
    assert rows[:, tally.group] == pytest.approx(np.array([[60, 40, 30], [0, 40 * p, 30], [10, 25, 25]]))
    majority = tally.coarse_counts(weight=1, majority=True, pin_zero=True)
    assert majority[:, tally.group] == pytest.approx(np.array([[0, 4, 3], [0, 4 * p, 3], [0, 2, 2]]))
    curve = coarse_curve(rows + majority)
    assert curve.probability == pytest.approx([0, p, 1])
    assert curve.response == pytest.approx([1 / 6, 27 / 44, 27 / 33])


def test_patients_are_numbered_by_their_cases_and_not_by_their_names():
    same = [make_case(k, name=f"a{k}", patient=patient) for k, patient in enumerate("xyxz")]
    other = [make_case(k, name=f"b{k}", patient=patient) for k, patient in enumerate("czca")][::-1]
    one, two = (tt.tabulate(cases).cases for cases in (same, other))
    assert [patient for _, patient in in_order(one)] == [patient for _, patient in in_order(two)]
    assert [one[index].key() for index, _ in in_order(one)] == [two[index].key() for index, _ in in_order(two)]
    assert sorted(patient for _, patient in in_order(one)) in ([0, 0, 1, 2], [0, 1, 1, 2], [0, 1, 2, 2])
