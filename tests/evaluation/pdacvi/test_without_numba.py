"""The protocol's scores with NumPy in the kernels' place: the same to the last bit."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from twintrack.compute import jit
from twintrack.evaluation import pdacvi
from twintrack.evaluation.pdacvi import contact, drawn, tally, top_label, without_numba

SEEDS = st.integers(0, 2**32 - 1)
PLACES = {
    (drawn, "_scan_raters"): without_numba.scan_raters,
    (tally, "_scan"): without_numba.scan,
    (contact, "_count_edges"): without_numba.count_edges,
    (contact, "_count_contact"): without_numba.count_contact,
    (top_label, "_fill_bins"): without_numba.fill_bins,
}

pytestmark = [
    pytest.mark.skipif(jit._numba is None, reason="numba cannot be used, so that there is nothing to compare"),
    pytest.mark.filterwarnings("ignore::twintrack.errors.TwinTrackWarning"),
]


def scored(case, variant, *, names=None):
    given = {"binary": case["binary"], "vessels": case["vessels"], "vessel_names": names or {1: "a", 2: "b", 3: "c"}}
    return pdacvi.score(case["raters"], case["probability"], variant=variant, voxel_volume=0.3, **given)


@settings(deadline=None, max_examples=20)
@given(SEEDS, st.sampled_from([1, 5, 12, 20]), st.sampled_from(pdacvi.VARIANTS), st.booleans())
def test_scores(random_case, seed, n_raters, variant, given_binary):
    case = random_case(seed, n_raters=n_raters)
    if not given_binary:
        case["binary"] = None
    kernels = scored(case, variant)
    with pytest.MonkeyPatch.context() as patch:
        for (module, name), twin in PLACES.items():
            patch.setattr(module, name, twin)
        np.testing.assert_equal(scored(case, variant), kernels)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda case: case["raters"].__setitem__((1, 2, 2, 2), 3), "rater 1's mask must hold 0 and 1; found 3"),
        (lambda case: case["probability"].__setitem__((2, 2, 2), 1.5), "probability must lie in"),
        (lambda case: case["probability"].__setitem__((-1, -1, -1), np.nan), "NaN in 1 voxels"),
        (lambda case: case["binary"].__setitem__((2, 2, 2), 2), "binary must hold 0 and 1"),
        (lambda case: case["vessels"].__setitem__((2, 2, 2), 9), "label 9, which has no name"),
    ],
)
def test_what_is_refused(random_case, monkeypatch, spoil, message):
    case = random_case(3)
    spoil(case)
    for (module, name), twin in PLACES.items():
        monkeypatch.setattr(module, name, twin)
    with pytest.raises(pdacvi.scoring.InputError, match=message):
        scored(case, "corrected")
