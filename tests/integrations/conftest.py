"""Cases whose voxel sizes and shapes differ along every axis, so that a swapped axis shows, and calibrations."""

from __future__ import annotations

import numpy as np
import pytest

import twintrack as tt

SHAPE = (6, 14, 20)
SPACING = (3.0, 1.5, 0.8)


def case_of(seed: int, *, n_members: int = 3, n_raters: int = 4, shape=SHAPE, spacing=SPACING) -> tt.Case:
    """An ellipsoid that members see through noise and raters draw more or less generously."""
    rng = np.random.default_rng(seed)
    places = np.meshgrid(*(np.arange(size) for size in shape), indexing="ij")
    middle = [size / 2 + rng.normal(0, 0.3) for size in shape]
    distance = np.sqrt(
        sum(((place - centre) * step) ** 2 for place, centre, step in zip(places, middle, spacing, strict=True))
    )
    radius = rng.uniform(4.0, 6.0)
    logits = [2.5 * (radius - distance) + rng.normal(0, 1, shape) for _ in range(n_members)]
    members = [np.where(logit < -12, 0, 1 / (1 + np.exp(-logit))).astype(np.float32) for logit in logits]
    raters = [(distance + rng.normal(0, 0.3, shape) < radius + drift).astype(np.uint8) for drift in range(n_raters)]
    roi = np.zeros(shape, np.uint8)
    roi[tuple(slice(1, -1) for _ in shape)] = 1
    return tt.Case(f"c{seed}", members=members, raters=raters, roi=roi, spacing=spacing)


@pytest.fixture(scope="session")
def make_case():
    return case_of


@pytest.fixture(scope="session")
def cases():
    return [case_of(seed) for seed in range(6)]


@pytest.fixture(scope="session")
def calibrations(cases):
    """One of every method; isotonic also without pinned zeros."""
    found = {name: tt.fit(cases, method=name, replicates=0) for name in (*tt.calibration.METHODS, "conditional")}
    return found | {"not pinned": tt.fit(cases, method="isotonic", pin_zero=False, replicates=0)}
