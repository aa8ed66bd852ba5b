import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binned_statistic

from twintrack.errors import InputError
from twintrack.evaluation.scores.reliability import mhr_calibration_error, reliability


def test_worked_out_by_hand():
    p = np.float32([0.1, 0.3, 0.6, 0.8])
    r = np.float32([0.0, 0.5, 0.5, 1.0])
    sums = reliability(p, r, bins=2)
    assert sums.count.tolist() == [2, 2]
    assert sums.predicted == pytest.approx([0.4, 1.4])
    assert sums.observed == pytest.approx([0.5, 1.5])
    # (|0.4 - 0.5| + |1.4 - 1.5|) / 4
    assert sums.calibration_error() == pytest.approx(0.05)


def test_opposite_errors_in_one_bin_cancel_and_in_two_do_not():
    p, r = np.float32([0.1, 0.2, 0.6]), np.float32([0.2, 0.1, 0.6])
    assert mhr_calibration_error(p, r, bins=2) == pytest.approx(0, abs=1e-7)
    assert mhr_calibration_error(p, r, bins=8) == pytest.approx(0.2 / 3)


def test_edges_belong_to_the_bin_above_and_one_to_the_last():
    sums = reliability(np.float32([0.0, 0.5, 1.0]), np.zeros(3, np.float32), bins=2)
    assert sums.count.tolist() == [1, 2]


def test_equal_mass_bins_hold_equal_numbers():
    p = np.random.default_rng(0).random(100_000, dtype=np.float32) ** 4
    sums = reliability(p, p, bins=20, binning="mass")
    assert sums.count.sum() == p.size
    assert sums.count == pytest.approx(np.full(20, 5000), rel=0.1)
    assert sums.calibration_error() == pytest.approx(0, abs=1e-7)


def test_equal_mass_keeps_ties_together():
    p = np.float32([0.0] * 90 + [0.5] * 10)
    sums = reliability(p, np.zeros_like(p), bins=10, binning="mass")
    assert sorted(sums.count[sums.count > 0].tolist()) == [10, 90]


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.floats(0, 1, width=32), st.sampled_from([0.0, 0.25, 0.5, 1.0])), min_size=1, max_size=60),
    st.integers(1, 30),
)
def test_error_lies_between_the_gap_of_the_means_and_the_mean_gap(rows, bins):
    p, r = (np.array(column, np.float32) for column in zip(*rows, strict=True))
    low, high = abs(p.astype(float).mean() - r.mean()), np.abs(p.astype(float) - r).mean()
    for binning in ("width", "mass"):
        assert low - 1e-6 <= mhr_calibration_error(p, r, bins=bins, binning=binning) <= high + 1e-6


def test_equals_scipy_binned_statistics():
    rng = np.random.default_rng(1)
    p, r = rng.random(5000, dtype=np.float32), rng.integers(0, 5, 5000).astype(np.float32) / 4
    count, *_ = binned_statistic(p, p, "count", bins=20, range=(0, 1))
    gap = np.abs(
        binned_statistic(p, p, "mean", bins=20, range=(0, 1))[0]
        - binned_statistic(p, r, "mean", bins=20, range=(0, 1))[0]
    )
    assert mhr_calibration_error(p, r) == pytest.approx((count * gap).sum() / count.sum(), abs=1e-6)


def test_sums_of_parts_are_the_sums_of_the_whole():
    rng = np.random.default_rng(2)
    p, r = rng.random(1000, dtype=np.float32), rng.random(1000, dtype=np.float32)
    parts = reliability(p[:300], r[:300]) + reliability(p[300:], r[300:])
    assert parts.calibration_error() == pytest.approx(mhr_calibration_error(p, r), rel=1e-12)


def test_points_leave_out_empty_bins():
    points = reliability(np.float32([0.1, 0.9]), np.float32([0.0, 1.0]), bins=10).points()
    assert [point["voxels"] for point in points] == [1, 1]
    assert points[1] == {"voxels": 1, "predicted": pytest.approx(0.9), "observed": 1.0}


def test_nothing_has_no_error():
    assert np.isnan(mhr_calibration_error(np.zeros(0, np.float32), np.zeros(0, np.float32)))


def test_shapes_must_match():
    with pytest.raises(InputError, match=r"probability has shape \(2,\), response \(3,\)"):
        reliability(np.zeros(2, np.float32), np.zeros(3, np.float32))
