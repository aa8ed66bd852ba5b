"""Counting by level and votes: beside plain NumPy, at every size and in every mixture of empty and other places."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from twintrack.compute.kernels import count_levels
from twintrack.compute.levels import N_LEVELS, levels
from twintrack.compute.sorting import sorted_keys

NOWHERE = np.empty(0, np.uint8)


def plain(p, votes, n_raters):
    counts = np.zeros((N_LEVELS, n_raters + 1), np.int64)
    np.add.at(counts, (levels(p), votes), 1)
    return counts


@given(st.integers(0, 2**32 - 1), st.integers(0, 40), st.integers(1, 7), st.booleans())
@settings(deadline=None)
def test_counts_what_plain_numpy_counts(seed, size, n_raters, masked):
    rng = np.random.default_rng(seed)
    p = np.where(rng.random(size) < 0.5, 0, rng.random(size)).astype(np.float32)
    votes = np.where(rng.random(size) < 0.5, 0, rng.integers(0, n_raters + 1, size)).astype(np.uint8)
    inside = rng.integers(0, 2, size).astype(np.uint8) if masked and size else NOWHERE
    counts = np.zeros((N_LEVELS, n_raters + 1), np.int64)

    count_levels(p, votes, inside, counts)

    kept = inside.astype(bool) if inside.size else np.ones(size, bool)
    assert (counts == plain(p[kept], votes[kept], n_raters)).all()


@pytest.mark.parametrize("size", [8191, 8192, 8193, 20_001])
@pytest.mark.parametrize("kind", [np.int64, np.uint32])
def test_counts_across_the_borders_of_its_rows(size, kind):
    rng = np.random.default_rng(size)
    p = rng.random(size, np.float32)
    p[: size // 2] = 0
    votes = rng.integers(0, 6, size).astype(np.uint8)
    votes[: size // 3] = 0
    counts = np.zeros((N_LEVELS, 6), kind)

    count_levels(p, votes, NOWHERE, counts)

    assert (counts == plain(p, votes, 5)).all()


def test_adds_to_what_was_counted_before():
    p, votes = np.zeros(9, np.float32), np.zeros(9, np.uint8)
    counts = np.full((N_LEVELS, 2), 3, np.int64)

    count_levels(p, votes, np.array([1, 1, 1, 1, 0, 0, 0, 0, 1], np.uint8), counts)

    assert counts[0, 0] == 3 + 5
    assert (counts.ravel()[1:] == 3).all()


@given(st.lists(st.integers(0, 2**40 - 1), max_size=50))
@settings(deadline=None)
def test_keys_are_sorted(keys):
    assert sorted_keys(np.array(keys, np.uint64)).tolist() == sorted(keys)


def test_many_keys_are_sorted():
    keys = np.random.default_rng(0).integers(0, 2**40, 100_000, dtype=np.uint64)
    assert (sorted_keys(keys.copy()) == np.sort(keys)).all()
