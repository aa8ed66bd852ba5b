import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.calibration import calibration_curve

from twintrack.errors import InputError
from twintrack.evaluation.scores.adaptive import adaptive_calibration_error, average_calibration_error, mean_bin_gap
from twintrack.evaluation.scores.reliability import Reliability, mhr_calibration_error


def test_adaptive_worked_out_by_hand():
    p = np.float32([0.1, 0.2, 0.3, 0.8])
    r = np.float32([0.0, 0.5, 1.0, 1.0])
    # two bins of two: |.15 - .25| and |.55 - 1|
    assert adaptive_calibration_error(p, r, bins=2) == pytest.approx((0.1 + 0.45) / 2)


def test_average_worked_out_by_hand():
    p = np.float32([0.1, 0.2, 0.3, 0.8])
    r = np.float32([0.0, 0.5, 1.0, 1.0])
    # [0, 1/2): |.2 - .5|, [1/2, 1]: |.8 - 1|; each bin once, whatever it holds
    assert average_calibration_error(p, r, bins=2) == pytest.approx((0.3 + 0.2) / 2)
    assert mhr_calibration_error(p, r, bins=2) == pytest.approx((3 * 0.3 + 0.2) / 4)


def test_background_fills_one_bin_and_a_threshold_leaves_it_out():
    p, r = np.float32([0.0] * 96 + [0.2, 0.4, 0.6, 0.8]), np.float32([0.0] * 96 + [0.3, 0.5, 0.7, 0.9])
    assert adaptive_calibration_error(p, r, bins=4) < 0.1
    assert adaptive_calibration_error(p, r, bins=4, threshold=0.2) == pytest.approx(0.1)
    # The threshold itself is kept.
    two = np.float32([0.5, 0.75])
    assert adaptive_calibration_error(two, np.float32([0, 0.75]), bins=1, threshold=0.5) == pytest.approx(0.25)
    assert np.isnan(adaptive_calibration_error(p, r, threshold=0.9))


def test_adaptive_equals_scikit_learn_where_bins_can_be_equal():
    rng = np.random.default_rng(0)
    # 40 values, none within one strip of another, 25 voxels each: 20 bins of 50
    p = np.repeat(np.geomspace(0.004, 0.9, 40), 25).astype(np.float32)
    y = rng.integers(0, 2, p.size)
    observed, predicted = calibration_curve(y, p, n_bins=20, strategy="quantile")
    assert observed.size == 20
    expected = np.abs(observed - predicted).mean()
    assert adaptive_calibration_error(p, y.astype(np.float32), bins=20) == pytest.approx(expected, rel=1e-5)


def test_average_equals_scikit_learn():
    rng = np.random.default_rng(1)
    p = rng.random(2000, dtype=np.float32)
    y = (rng.random(2000) < p**2).astype(np.float32)
    observed, predicted = calibration_curve(y, p, n_bins=20, strategy="uniform")
    assert average_calibration_error(p, y) == pytest.approx(np.abs(observed - predicted).mean(), rel=1e-5)


@settings(deadline=None)
@given(st.lists(st.floats(0, 1, width=32), min_size=1, max_size=60), st.integers(1, 30))
def test_the_response_itself_is_calibrated(values, bins):
    p = np.array(values, np.float32)
    assert adaptive_calibration_error(p, p, bins=bins) == pytest.approx(0, abs=1e-6)
    assert average_calibration_error(p, p, bins=bins) == pytest.approx(0, abs=1e-6)
    assert adaptive_calibration_error(p, 1 - p, bins=1) == pytest.approx(abs(1 - 2 * p.mean(dtype=float)), abs=1e-6)


def test_no_bin_has_no_gap():
    assert np.isnan(mean_bin_gap(Reliability.empty(3)))


def test_bad_input_is_refused():
    half = np.full(2, 0.5, np.float32)
    with pytest.raises(InputError, match="bins"):
        adaptive_calibration_error(half, half, bins=0)
    with pytest.raises(InputError, match="bins"):
        average_calibration_error(half, half, bins=0)
    with pytest.raises(InputError, match="threshold"):
        adaptive_calibration_error(half, half, threshold=1.5)
    with pytest.raises(InputError, match="found nan"):
        average_calibration_error(np.float32([np.nan, 0]), half)
