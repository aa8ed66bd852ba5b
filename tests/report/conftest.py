"""What the tests of the report share: a small case whose sizes are known."""

from __future__ import annotations

import numpy as np
import pytest

from twintrack.images import Grid, Volume


@pytest.fixture
def case():
    """A CT of 20 × 30 × 40 voxels of 3 × 2 × 1 mm, two nested boxes of 48 and 8 voxels as raters, and maps."""
    grid = Grid.plain((20, 30, 40), spacing=(3.0, 2.0, 1.0))
    ct = np.random.default_rng(0).normal(40, 20, grid.shape).astype(np.int16)
    large, small = (np.zeros(grid.shape, np.uint8) for _ in range(2))
    large[8:12, 10:14, 20:23] = 1
    small[9:11, 11:13, 20:22] = 1
    probability = np.float32(0.8) * large
    return {
        "ct": Volume(ct, grid, "the CT"),
        "raters": {"anna": large, "ben": small},
        "probability": probability,
        "response": np.float32(0.5) * large,
    }
