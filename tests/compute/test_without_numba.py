"""What takes the kernels' place where numba cannot run leaves the same to the last bit."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from twintrack.compute import average, blocks, jit, kernels, levels, members, segments, sorting, without_numba
from twintrack.compute.levels import N_LEVELS

SEEDS = st.integers(0, 2**32 - 1)
SIZES = st.sampled_from([0, 1, 7, 255, 256, 257, 3000])
EVERYWHERE = np.empty(0, np.uint8)

pytestmark = pytest.mark.skipif(jit._numba is None, reason="numba cannot be used, so that there is nothing to compare")


def numbers(rng, n):
    """Probabilities as networks give them: tiny, near 1, exactly 0 and 1, on the edges of bins and levels."""
    logits = rng.normal(0, 8, n)
    p = (1 / (1 + np.exp(-logits))).astype(np.float32)
    special = rng.choice(np.float32([0, 1, 0.5, 0.05, 0.2, 0.8, 2**-32, 2**-33, 1 - 2**-24, 1e-45, -0.0]), n)
    return np.where(rng.random(n) < 0.3, special, p).astype(np.float32)


def block(seed, n, n_raters=3):
    rng = np.random.default_rng(seed)
    p, target = numbers(rng, n), rng.random(n).astype(np.float32)
    votes = rng.integers(0, n_raters + 1, n, np.uint8)
    inside = EVERYWHERE if rng.random() < 0.3 else rng.integers(0, 2, n, np.uint8)
    return rng, p, target, votes, inside


def both(kernel, twin, *given, into=()):
    """Run kernel and twin on arrays of their own, which they add into; give what they returned and left."""
    outcomes = []
    for call in (kernel, twin):
        left = [array.copy() for array in into]
        outcomes.append([call(*given, *left), *left])
    np.testing.assert_equal(*outcomes)
    for one, other in zip(*(outcome[1:] for outcome in outcomes), strict=True):
        assert one.tobytes() == other.tobytes()
    return outcomes[0]


@settings(deadline=None, max_examples=30)
@given(SEEDS, SIZES)
def test_levels(seed, n):
    _, p, *_ = block(seed, n)
    outside = np.concatenate([p, np.float32([np.nan, -np.nan, 1.5, -2, np.inf, -np.inf, 1 + 1e-6])])
    found, wanted = levels._levels_without_numba(outside), levels.levels_of(outside)
    assert found.dtype == wanted.dtype
    assert (found == wanted).all()


@settings(deadline=None, max_examples=30)
@given(SEEDS, SIZES)
def test_counts(seed, n):
    _, p, _, votes, inside = block(seed, n)
    both(kernels.count_levels, without_numba.count_levels, p, votes, inside, into=[np.ones((N_LEVELS, 4), np.int64)])
    limits = np.float32([0.1, 0.2, 0.5, 0.8])
    both(kernels.count_thresholds, without_numba.count_thresholds, p, votes, limits, into=[np.ones((5, 4), np.int64)])


@settings(deadline=None, max_examples=30)
@given(SEEDS, SIZES)
def test_packed_keys_and_their_order(seed, n):
    rng, p, _, votes, inside = block(seed, n)
    p = np.where(rng.random(n) < 0.05, np.float32(1 + 1e-6), p)
    chosen = rng.random(N_LEVELS) < 0.5
    chosen[0] = True
    keys = np.zeros(n, np.uint64)
    (taken, _), filled = both(kernels.pack_levels, without_numba.pack_levels, p, votes, inside, chosen, into=[keys])
    both(sorting._sorted, sorting._sorted_without_numba, filled[:taken].copy(), np.empty(taken, np.uint64))


@settings(deadline=None, max_examples=30)
@given(SEEDS, SIZES)
def test_sums_in_levels_and_bins(seed, n):
    rng, p, target, *_ = block(seed, n)
    for kernel, twin, size in (
        (kernels.sum_levels, without_numba.sum_levels, N_LEVELS),
        (kernels.sum_bins, without_numba.sum_bins, 20),
    ):
        both(kernel, twin, p, target, into=[np.zeros(size, np.int64), rng.random(size), rng.random(size)])
    masks = rng.integers(0, 2, (3, n), np.uint8)
    into = [np.zeros(50, np.int64), rng.random(50), np.zeros((3, 50), np.int64)]
    both(kernels.sum_top_label_bins, without_numba.sum_top_label_bins, p, masks, into=into)


@settings(deadline=None, max_examples=30)
@given(SEEDS, SIZES.filter(bool), st.integers(1, 4))
def test_sums_over_members(seed, n, n_members):
    rng, _, _, _, inside = block(seed, n)
    rows = tuple(blocks.read_only(numbers(rng, n)) for _ in range(n_members))
    edges = np.array([0.0005, 0.1, 0.5, 0.9, 1.0])
    into = [rng.random(4), rng.random(4)]
    both(members.sum_members, without_numba.sum_members, rows, inside, edges, into=into)
    both(average.average, average.average_without_numba, rows, into=[np.empty(n, np.float32)])


@settings(deadline=None, max_examples=30)
@given(SEEDS, SIZES, st.booleans())
def test_lines_looked_up(seed, n, keep_zero):
    rng, p, _, _, inside = block(seed, n)
    x = np.unique(np.concatenate([rng.choice(p, 5) if n else [0.5], 0.3 + 1e-7 * rng.random(5)]).clip(0, 1))
    lines = segments.Segments.between(x.astype(np.float64), np.sort(rng.random(x.size)))
    outcomes = [p.copy(), p.copy()]
    for replace, values in zip((segments._replace, segments._replace_without_numba), outcomes, strict=True):
        replace(values, inside, keep_zero, lines.lines, lines.first)
    assert outcomes[0].tobytes() == outcomes[1].tobytes()


@pytest.mark.parametrize(
    ("stub", "variables", "reason"),
    [
        ("raise ImportError('none for this platform')", {}, "none for this platform"),
        ("raise OSError('Could not find/load shared object file')", {}, "Could not find/load"),
        ("", {"NUMBA_DISABLE_JIT": "1"}, "NUMBA_DISABLE_JIT is set"),
    ],
)
def test_who_works_is_decided_once_and_said_once(tmp_path, stub, variables, reason):
    if stub:
        (tmp_path / "numba.py").write_text(stub)
    path = os.pathsep.join([str(tmp_path), *filter(None, sys.path)])
    asked = (
        "import twintrack.compute.kernels as k, twintrack.compute.segments, twintrack.evaluation.pdacvi.contact as c\n"
        "print(k.count_levels.__module__, c._count_contact.__module__)"
    )
    done = subprocess.run(
        [sys.executable, "-c", asked],
        env={**os.environ, **variables, "PYTHONPATH": path},
        capture_output=True,
        check=True,
        encoding="utf-8",
    )
    assert done.stdout.split() == ["twintrack.compute.without_numba", "twintrack.evaluation.pdacvi.without_numba"]
    assert done.stderr.count("numba cannot be used") == 1
    assert reason in done.stderr
