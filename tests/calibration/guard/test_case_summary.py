"""The summary of a case: numbers worked out by hand, and the same numbers in plain NumPy."""

import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from scipy.special import expit, logit
from tests.calibration.conftest import make_case

import twintrack as tt
from twintrack.calibration.guard.case_summary import BINS, FLOOR, CaseSummary, CaseSums

EDGES = expit(np.linspace(logit(FLOOR), logit(1 - FLOOR), BINS + 1))


def summary_of(*members, roi=None, spacing=(2.0, 0.5, 0.5)):
    arrays = [np.asarray(member, np.float32) for member in members]
    return CaseSummary.of(tt.Case("c", members=arrays, roi=roi, spacing=spacing).read(raters=False))


def test_a_summary_worked_out_by_hand():
    # The means are 0, 0.25, 0.5, 1; the members differ by 0.5 at the second, with a standard deviation of 0.5 / √2.
    found = summary_of([[[0, 0.5], [0.5, 1]]] * 2, [[[0, 0], [0.5, 1]]] * 2)
    assert found.volume == pytest.approx(2 * 1.75 * 0.5)
    assert found.unsure == pytest.approx((0.25 * 0.75 + 0.25) / 1.75, rel=1e-5)
    assert found.disagreement == pytest.approx(0.5 / np.sqrt(2) / 1.75, rel=1e-5)
    assert (found.peak, found.measured, found.dimensions, found.empty) == (1.0, True, 3, False)
    # logit 0.25 = −1.1 lies in bin 4 of (−6.9 … 6.9), logit 0.5 in the upper of the middle two, 1 in the last.
    wanted = np.zeros(BINS)
    wanted[[4, 5, 9]] = np.array([0.25, 0.5, 1]) / 1.75
    assert found.histogram == pytest.approx(wanted, rel=1e-5)


def test_outside_the_roi_nothing_counts():
    p = np.full((2, 2, 2), 0.9)
    roi = np.zeros((2, 2, 2), np.uint8)
    roi[0, 0, 0] = 1
    assert summary_of(p, p, roi=roi).volume == pytest.approx(0.9 * 0.5)
    assert summary_of(p, p, roi=roi * 0).empty


def test_one_member_has_no_disagreement():
    assert summary_of(np.full((2, 2, 2), 0.3)).disagreement is None
    assert summary_of(np.full((2, 2, 2), 0.3), np.full((2, 2, 2), 0.3)).disagreement == 0


def test_nothing_predicted():
    found = summary_of(np.zeros((2, 2, 2)), np.zeros((2, 2, 2)))
    assert found.empty
    assert (found.volume, found.unsure, found.disagreement, found.peak) == (0, 0, 0, 0)
    assert found.histogram == (0.0,) * BINS
    faint = summary_of(np.full((2, 2, 2), 1e-4))
    assert faint.empty
    assert faint.volume == pytest.approx(8e-4 * 0.5)


@pytest.mark.parametrize(
    ("shape", "spacing", "voxel", "dimensions"),
    [
        ((2, 3, 4), (2.0, 0.5, 0.5), 0.5, 3),
        ((1, 3, 4), (2.0, 0.5, 0.5), 0.25, 2),  # a single slice has an area, whatever its thickness
        ((3, 4), (0.5, 0.5), 0.25, 2),
        ((1, 1, 4), (2.0, 0.5, 0.5), 0.5, 1),
        ((1, 1, 1), (2.0, 0.5, 0.5), 1, 1),
    ],
)
def test_volumes_are_in_the_dimensions_there_are(shape, spacing, voxel, dimensions):
    found = summary_of(np.full(shape, 0.5), spacing=spacing)
    assert found.dimensions == dimensions
    assert found.volume == pytest.approx(0.5 * np.prod(shape) * voxel)


def test_an_unknown_voxel_size_counts_voxels():
    found = summary_of(np.full((2, 3, 4), 0.5), spacing=None)
    assert not found.measured
    assert found.volume == 12


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 2**32 - 1), st.integers(1, 4), st.booleans())
def test_it_is_what_numpy_says(seed, n_members, with_roi):
    rng = np.random.default_rng(seed)
    members = np.float32(expit(rng.normal(-2, 4, (n_members, 3, 20, 20))))
    roi = (rng.random((3, 20, 20)) < 0.5).astype(np.uint8) if with_roi else None
    found = summary_of(*members, roi=roi)
    inside = members.astype(float)[:, np.ones((3, 20, 20), bool) if roi is None else roi == 1]
    p = inside.mean(axis=0)
    assert found.volume == pytest.approx(0.5 * p.sum(), rel=1e-5)
    assert found.unsure == pytest.approx((p * (1 - p)).sum() / p.sum(), rel=1e-5)
    if n_members > 1:
        assert found.disagreement == pytest.approx(inside.std(axis=0, ddof=1).sum() / p.sum(), rel=1e-5)
    assert found.peak == pytest.approx(p.max(), rel=1e-5)
    edges = np.append(EDGES[:-1], 1.1)
    mass = np.histogram(p, edges, weights=p)[0]
    assert found.histogram == pytest.approx(mass / mass.sum(), rel=1e-4, abs=1e-6)


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 2**32 - 1), st.lists(st.integers(1, 60), min_size=1, max_size=6))
def test_voxels_may_come_in_parts(seed, sizes):
    rng = np.random.default_rng(seed)
    rows = rng.random((2, sum(sizes)), np.float32)
    inside = (rng.random(sum(sizes)) < 0.7).astype(np.uint8)
    whole, parts = CaseSums(), CaseSums()
    whole.add(list(rows), inside=inside)
    cuts = np.cumsum(sizes)[:-1]
    for part, where in zip(np.split(rows, cuts, axis=1), np.split(inside, cuts), strict=True):
        parts.add([np.ascontiguousarray(row) for row in part], inside=where)
    grid = tt.Grid.plain((1, sum(sizes)), spacing=(1.0, 1.0))
    one, other = (CaseSummary.from_sums(sums, grid).model_dump() for sums in (whole, parts))
    assert {k: v for k, v in one.items() if k != "histogram"} == pytest.approx(
        {k: v for k, v in other.items() if k != "histogram"}, rel=1e-5
    )


def test_probabilities_a_rounding_above_one_are_one():
    found = summary_of(np.full((2, 2, 2), 1.0000001))
    assert (found.unsure, found.peak) == (0, 1)


def test_no_volume_is_allocated():
    members = [np.random.default_rng(k).random((40, 200, 200), dtype=np.float32) for k in range(3)]
    data = tt.Case("c", members=members).read(raters=False)
    CaseSummary.of(make_case(0).read())  # compiles
    tracemalloc.start()
    CaseSummary.of(data)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < members[0].nbytes / 2


@pytest.mark.parametrize(
    "changes", [{"volume": -1.0}, {"unsure": 1.5}, {"peak": float("nan")}, {"histogram": (1.0,)}, {"name": "c1"}]
)
def test_what_is_no_summary_is_refused(changes):
    content = summary_of(np.full((2, 2, 2), 0.5)).model_dump()
    with pytest.raises(ValidationError):
        CaseSummary.model_validate({**content, **changes})
