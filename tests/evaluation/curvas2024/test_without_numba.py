"""The protocol's scores with NumPy in the kernels' place."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from twintrack.compute import jit
from twintrack.evaluation import curvas2024
from twintrack.evaluation.curvas2024 import consensus, softmax, top_label, without_numba

PLACES = {
    (consensus, "_count"): without_numba.count,
    (softmax, "_hard_labels"): without_numba.hard_labels,
    (softmax, "_largest_deviation"): without_numba.largest_deviation,
    (softmax, "_has_negative_background"): without_numba.has_negative_background,
    (top_label, "_fill_bins"): without_numba.fill_bins,
}

pytestmark = [
    pytest.mark.skipif(jit._numba is None, reason="numba cannot be used, so that there is nothing to compare"),
    pytest.mark.filterwarnings("ignore::twintrack.errors.TwinTrackWarning"),
]


def case(seed, *, background):
    rng = np.random.default_rng(seed)
    shape = (4, rng.integers(1, 9), 11)
    logits = rng.normal(0, 3, (3, *shape)) + 2 * np.sin(np.arange(11))
    p = (np.exp(logits) / np.exp(logits).sum(axis=0)).astype(np.float32)
    raters = np.where(rng.random((3, *shape)) < 0.2, rng.integers(0, 3, shape), p.argmax(axis=0)).astype(np.uint8)
    return raters, p if background else p[1:] * np.float32(0.999)


def scored(raters, p, variant):
    return curvas2024.score(raters, p, structures={1: "a", 2: "b"}, voxel_volume=0.7, variant=variant)


def without(call):
    with pytest.MonkeyPatch.context() as patch:
        for (module, name), twin in PLACES.items():
            patch.setattr(module, name, twin)
        return call()


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 2**32 - 1), st.sampled_from(["official", "corrected"]), st.booleans())
def test_scores(seed, variant, background):
    raters, p = case(seed, background=background and variant == "corrected")
    np.testing.assert_equal(without(lambda: scored(raters, p, variant)), scored(raters, p, variant))


def test_scores_that_go_through_a_softmax_differ_by_rounding_at_most():
    raters, p = case(1, background=False)
    p[:, 0, 0, 0] = 0.6, 0.4 + 1e-6  # more than 1, which `official` takes for logits
    found, wanted = without(lambda: scored(raters, p, "official")), scored(raters, p, "official")
    assert found["ece_mean"] == pytest.approx(wanted["ece_mean"], rel=1e-5)
    assert found["crps"] == wanted["crps"]
