"""What the tests of the protocol share: small random cases and the plain reference."""

from __future__ import annotations

import numpy as np
import pytest

from . import scipy_reference


@pytest.fixture(scope="session")
def reference():
    """The numpy and scipy version of the protocol's parts."""
    return scipy_reference


@pytest.fixture(scope="session")
def random_case():
    """A function from a seed to a small case of blobs: raters, probability, binary, vessels."""

    def build(seed, *, shape=(13, 17, 15), n_raters=5, n_vessels=3):
        rng = np.random.default_rng(seed)
        centre = rng.uniform(0.2, 0.8, 3) * shape
        distance = np.linalg.norm(np.moveaxis(np.indices(shape), 0, -1) - centre, axis=-1)
        noise = rng.normal(0, 0.8, (n_raters + 1, *shape))
        radii = rng.uniform(1, 6, n_raters + 1)[:, None, None, None]
        raters = (distance + noise[:-1] < radii[:-1]).astype(np.uint8)
        probability = (1 / (1 + np.exp(2 * (distance + noise[-1] - radii[-1])))).astype(np.float32)
        probability[probability < 0.02] = 0
        blocks = rng.integers(0, n_vessels + 1, [size // 3 + 1 for size in shape]).astype(np.uint8)
        vessels = blocks.repeat(4, 0).repeat(4, 1).repeat(3, 2)[: shape[0], : shape[1], : shape[2]]
        binary = (probability > 0.4).astype(np.uint8)
        return {"raters": raters, "probability": probability, "binary": binary, "vessels": vessels}

    return build
