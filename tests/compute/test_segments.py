import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from twintrack.compute.blocks import BLOCK
from twintrack.compute.levels import level_edges, level_values
from twintrack.compute.segments import Segments

unit_floats = st.floats(0, 1, width=32)


def replaced(segments, values, **options):
    values = np.array(values, np.float32)
    segments.replace(values, **options)
    return values


def random_knots(seed, n):
    """Knots at levels, between them, and several within one level."""
    rng = np.random.default_rng(seed)
    x = np.concatenate(
        [rng.choice(level_values(), n), rng.random(n), 0.3 + 1e-7 * rng.random(n), 1 - 1e-7 * rng.random(n)]
    )
    x = np.unique(x)
    return x, np.sort(rng.random(x.size))


@settings(deadline=None)
@given(st.sets(unit_floats, min_size=1, max_size=20), st.lists(unit_floats, min_size=1, max_size=50), st.randoms())
def test_equals_interpolation_in_double_precision(knots, numbers, random):
    x = np.array(sorted(knots))
    y = np.array([random.random() for _ in x])
    values = np.array([*numbers, *np.float32(x)], np.float32)
    found = replaced(Segments.between(x, y), values)
    wanted = np.interp(values.astype(np.float64), x, y)
    assert np.abs(found - wanted).max() <= 1e-7
    assert (found == wanted.astype(np.float32)).all()


@pytest.mark.parametrize("n", [1, 3, 500])
def test_equals_interpolation_at_every_edge_of_a_level(n):
    x, y = random_knots(n, n)
    edges = level_edges().astype(np.float32)
    values = np.concatenate([edges, np.nextafter(edges, 0), np.nextafter(edges, 1), np.float32(x)])
    assert (replaced(Segments.between(x, y), values) == np.interp(values, x, y).astype(np.float32)).all()


def test_blocks_join():
    x, y = random_knots(1, 50)
    values = np.random.default_rng(0).random(2 * BLOCK + 17, np.float32)
    assert (replaced(Segments.between(x, y), values) == np.interp(values, x, y).astype(np.float32)).all()


def test_what_lies_outside_the_unit_interval_counts_as_its_end():
    segments = Segments.between(np.array([0.0, 1.0]), np.array([0.25, 0.75]))
    assert replaced(segments, [-1e-7, -0.0, 1.0000001]).tolist() == [0.25, 0.25, 0.75]


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_becomes_nan(bad):
    found = replaced(Segments.between(np.array([0.2, 0.8]), np.array([0.1, 0.9])), [0.5, bad, 0.8])
    assert np.isnan(found).tolist() == [False, True, False]


def test_zero_is_kept_where_asked_for():
    segments = Segments.between(np.array([0.5]), np.array([0.25]))
    assert replaced(segments, [0, -0.0, -1e-7, 1e-30], keep_zero=True).tolist() == [0, 0, 0, 0.25]
    assert replaced(segments, [0, 1e-30]).tolist() == [0.25, 0.25]


def test_outside_the_mask_all_is_zero():
    segments = Segments.between(np.array([0.5]), np.array([0.25]))
    found = replaced(segments, [0.0, 0.5, 0.5, np.nan], inside=np.array([1, 1, 0, 0], np.uint8))
    assert found.tolist() == [0.25, 0.25, 0, 0]
