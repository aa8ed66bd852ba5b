import numpy as np
import pytest
import SimpleITK
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter

from twintrack.errors import InputError
from twintrack.evaluation.scores.space import spatially_aware_calibration_error


def test_worked_out_by_hand_where_the_gaussian_is_one_voxel_wide():
    mask = np.uint8([[0, 0, 1, 1]])
    p = np.float32([[0.1, 0.7, 0.7, 0.4]])
    # Labels 0 1 1 0, U = .1 .3 .3 .4, E = 0 1 0 1. σ of 1/100 voxel leaves every voxel alone.
    assert spatially_aware_calibration_error(p, [mask], spacing=(1, 1), sigma=0.01) == pytest.approx(
        (0.1 + 0.7 + 0.3 + 0.6) / 4
    )


def test_worked_out_by_hand_with_a_gaussian():
    p, mask = np.zeros((1, 41), np.float32), np.zeros((1, 41), np.uint8)
    p[0, 20] = 0.4
    # U - E is 0.4 at one voxel; the Gaussian spreads it without losing any.
    assert spatially_aware_calibration_error(p, [mask], spacing=(9, 1), sigma=2) == pytest.approx(0.4 / 41)
    # Uncertainty beside an equal error of the other sign: closer than σ they cancel.
    mask[0, 21], p[0, 20:22] = 1, 0.5
    near = spatially_aware_calibration_error(p, [mask], spacing=(9, 1), sigma=3)
    assert near < 0.3 * spatially_aware_calibration_error(p, [mask], spacing=(9, 1), sigma=0.01)


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 10_000), st.integers(1, 5))
def test_the_response_scores_zero_and_smoothing_never_adds(seed, raters):
    rng = np.random.default_rng(seed)
    masks = [(rng.random((4, 5, 6)) < 0.4).astype(np.uint8) for _ in range(raters)]
    p = rng.random((4, 5, 6), dtype=np.float32)
    response = np.mean(masks, axis=0).astype(np.float32)
    options = {"spacing": (2, 1, 1)}
    assert spatially_aware_calibration_error(response, masks, sigma=1, **options) == pytest.approx(0, abs=1e-7)
    # With mirrored edges the Gaussian is a mean of voxels: |mean| ≤ mean of |…|.
    sharp, smooth = (spatially_aware_calibration_error(p, masks, sigma=s, **options) for s in (0.01, 1.5))
    assert smooth <= sharp + 1e-9
    assert sharp == pytest.approx(np.abs(p - response.astype(float)).mean(), abs=1e-6)


def test_box_loses_nothing_and_agrees_with_scipy_and_simpleitk():
    rng = np.random.default_rng(3)
    p, masks = np.zeros((30, 34, 38), np.float32), [np.zeros((30, 34, 38), np.uint8) for _ in range(3)]
    p[12:18, 14:20, 16:22] = rng.random((6, 6, 6), dtype=np.float32)
    for mask in masks:
        # Labels drawn from p: gaps of either sign, which smoothing over different lengths cancels differently.
        mask[:] = rng.random(p.shape) < p
    spacing, sigma = (2.0, 1.0, 1.5), 2.0
    uncertainty = np.minimum(p, 1 - p).astype(float)
    disagree = np.mean([mask != (p > 0.5) for mask in masks], axis=0)
    found = spatially_aware_calibration_error(p, masks, spacing=spacing, sigma=sigma)
    widths = [sigma / step for step in spacing]
    both = [gaussian_filter(one, widths) for one in (uncertainty, disagree)]
    assert found == pytest.approx(np.abs(both[0] - both[1]).mean(), rel=1e-9)
    image = SimpleITK.GetImageFromArray(uncertainty - disagree)
    image.SetSpacing(spacing[::-1])
    smooth = SimpleITK.GetArrayFromImage(
        SimpleITK.DiscreteGaussian(image, sigma**2, maximumKernelWidth=64, maximumError=1e-4, useImageSpacing=True)
    )
    # ITK's kernel is the discrete analogue (Bessel functions), SciPy's the sampled Gaussian: equal to a few per cent.
    assert found == pytest.approx(np.abs(smooth).mean(), rel=0.1)


def test_mean_is_over_the_roi():
    p, mask = np.zeros((5, 6), np.float32), np.zeros((5, 6), np.uint8)
    p[2, 2] = 0.4
    roi = np.zeros((5, 6), np.uint8)
    roi[2, 2:4] = 1
    p[4, 5] = 0.1
    options = {"spacing": (1, 1), "sigma": 0.01}
    assert spatially_aware_calibration_error(p, [mask], roi=roi, **options) == pytest.approx(0.4 / 2)
    assert spatially_aware_calibration_error(p, [mask], **options) == pytest.approx(0.5 / 30)


def test_a_probability_of_one_half_is_labelled_background():
    # U = .5 .5, E = 1 0 for labels 0 0: the gaps of opposite sign cancel; for labels 1 1 they would too, but not 0 1.
    p, mask = np.float32([[0.5, 0.50001]]), np.uint8([[1, 0]])
    assert spatially_aware_calibration_error(p, [mask], spacing=(1, 1), sigma=50) == pytest.approx(0.5, abs=1e-4)
    p[0, 1] = 0.5
    assert spatially_aware_calibration_error(p, [mask], spacing=(1, 1), sigma=50) == pytest.approx(0, abs=1e-4)


def test_nothing_drawn_and_nothing_predicted_is_no_error():
    empty = np.zeros((3, 3), np.uint8)
    assert spatially_aware_calibration_error(empty, [empty], spacing=(1, 1), sigma=1) == 0


def test_bad_input_is_refused():
    empty = np.zeros((3, 3), np.uint8)
    with pytest.raises(InputError, match="sigma"):
        spatially_aware_calibration_error(empty, [empty], spacing=(1, 1), sigma=0)
    for roi in (empty, np.ones((2, 2))):
        with pytest.raises(InputError, match="roi"):
            spatially_aware_calibration_error(empty, [empty], spacing=(1, 1), sigma=1, roi=roi)
    with pytest.raises(InputError, match="2 spacings"):
        spatially_aware_calibration_error(empty, [empty], spacing=(1, 1, 1), sigma=1)
