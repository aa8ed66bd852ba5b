"""What the tests of triage share: small cases with raters who disagree more in some than in others."""

from __future__ import annotations

import numpy as np
import pytest

import twintrack as tt

SHAPE = (4, 14, 14)


def blob_case(seed, *, name=None, spread=None, n_raters=3, vessels=False):
    """A ball with raters whose radii differ by `spread` voxels, and two members who do not know it."""
    rng = np.random.default_rng(seed)
    wide = rng.uniform(0.1, 2.5) if spread is None else spread
    z, y, x = np.mgrid[tuple(slice(size) for size in SHAPE)]
    distance = np.sqrt((2 * (z - 1.5)) ** 2 + (y - 6.5) ** 2 + (x - 6.5) ** 2)
    raters = [(distance < radius).astype(np.uint8) for radius in 4 + wide * np.linspace(-1, 1, n_raters)]
    slope = 4 / (1 + wide)
    members = [
        (1 / (1 + np.exp(slope * (distance - 4 + rng.normal(0, 0.4, SHAPE))))).astype(np.float32) for _ in range(2)
    ]
    labels = np.zeros(SHAPE, np.uint8)
    labels[:, 5:9, 9:13] = 1
    return tt.Case(
        f"case {seed}" if name is None else name,
        members=members,
        raters=raters,
        vessels=labels if vessels else None,
        spacing=(3.0, 1.0, 1.0),
        patient=f"patient {seed // 2}",
    )


@pytest.fixture(scope="session")
def make_case():
    """Give `blob_case`."""
    return blob_case


@pytest.fixture(scope="session")
def cohort():
    """Twelve cases of six patients."""
    return tt.Cohort(blob_case(seed) for seed in range(12))


@pytest.fixture(scope="session")
def held_out():
    """Ten others."""
    return tt.Cohort(blob_case(seed) for seed in range(100, 110))


@pytest.fixture(scope="session")
def calibration(cohort):
    """Fitted to the twelve; without a guard, which would flag some of so few."""
    return tt.fit(cohort, method="isotonic", replicates=0).model_copy(update={"guard": None})
