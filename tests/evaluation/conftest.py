"""Cases in memory that raters and an ensemble see alike, but not equally."""

import numpy as np
import pytest

import twintrack as tt


def _make_case(seed, *, n_raters=3, name=None, **options):
    rng = np.random.default_rng(seed)
    shape = (3, 24, 30)
    truth = rng.normal(size=shape).cumsum(axis=1).cumsum(axis=2)
    truth /= np.abs(truth).max()
    p = (1 / (1 + np.exp(-20 * (truth - 0.2 + 0.1 * rng.normal(size=shape))))).astype(np.float32)
    raters = [(truth + 0.2 * rng.normal(size=shape) > 0.3).astype(np.uint8) for _ in range(n_raters)]
    return tt.Case(name or f"case{seed}", probability=p, raters=raters, spacing=(2.0, 0.5, 0.5), **options)


@pytest.fixture(scope="session")
def make_case():
    """Make a case of a seed."""
    return _make_case
