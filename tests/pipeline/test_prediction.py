"""One CT to its response: calibrated in the box, zero outside the ROI, with what was warned of kept."""

import numpy as np
import pytest

import twintrack as tt
from twintrack.calibration.volumes.summary import VolumeSummary
from twintrack.errors import CalibrationError, TwinTrackWarning
from twintrack.pipeline.prediction import predict_case, raters_of

from .conftest import BOX, STAGES, Fake, calibration_of, ct_of


def test_the_response_is_that_of_applying_the_calibration_to_the_whole_case(fake, calibration):
    found = predict_case(fake, calibration, ct_of(), case_id="c")
    seen = found.segmentation
    whole = tt.Case(
        "c",
        members=[seen.whole(member) for member in seen.members],
        roi=seen.whole(seen.roi),
        foreground=("tumour",),
    )
    assert (seen.whole(found.response).array == calibration.apply(whole)).all()
    assert seen.whole(found.response).grid == ct_of().grid


@pytest.mark.parametrize("pin_zero", [True, False])
def test_what_is_outside_the_roi_is_exactly_zero(fake, pin_zero):
    found = predict_case(fake, calibration_of(pin_zero=pin_zero), ct_of(), case_id="c")
    seen = found.segmentation
    p = np.mean(seen.members, axis=0)
    assert (found.response[seen.roi == 0] == 0).all()
    nothing = (p == 0) & (seen.roi == 1)
    assert nothing.any()
    assert (found.response[nothing] == 0).all() == pin_zero
    assert found.response.dtype == np.float32


def test_only_the_box_is_calibrated(fake, calibration):
    assert predict_case(fake, calibration, ct_of(), case_id="c").response.shape == ct_of().array[BOX].shape


def test_the_volume_is_the_sum_of_the_responses(fake, calibration):
    found = predict_case(fake, calibration, ct_of(), case_id="c")
    assert found.volume.expected == pytest.approx(found.response.sum(dtype=float) * 2.5 * 0.8 * 0.7)
    assert found.volume.interval.low < found.volume.distribution.quantile(0.5) < found.volume.interval.high
    summary = VolumeSummary.of(found.response)
    wanted = calibration.volume.distribution(summary, found.segmentation.grid.voxel_volume)
    assert (found.volume.distribution.volume == wanted.volume).all()
    assert found.volume.interval.n_cases == 6


def test_levels_are_of_the_most_raters_unless_said(fake, calibration):
    assert raters_of(calibration) == 3
    found = predict_case(fake, calibration, ct_of(), case_id="c")
    assert found.n_raters == 3
    assert (found.levels == np.floor(found.response * 3 + 0.5)).all()
    assert predict_case(fake, calibration, ct_of(), case_id="c", n_raters=5).levels.max() > 3


def test_another_foreground_is_refused(calibration):
    with pytest.raises(CalibrationError, match="its probability is of cyst; this calibration was fitted for tumour"):
        predict_case(Fake(foreground=("cyst",)), calibration, ct_of(), case_id="c")
    predict_case(Fake(foreground=None), calibration, ct_of(), case_id="c")


def test_what_is_warned_of_is_flagged_too(calibration):
    fake = Fake(n_members=3, notes=("nothing was found",))
    with pytest.warns(TwinTrackWarning, match="case c is unlike .* it has 3 members") as warned:
        found = predict_case(fake, calibration, ct_of(), case_id="c")
    assert len(warned) == 1
    assert found.notes == ("nothing was found",)
    assert found.flags == ("it has 3 members, the fitted cases [2]",)


def test_a_case_like_those_of_the_calibration_is_not_flagged(fake):
    found = predict_case(fake, calibration_of(guarded=True), ct_of(), case_id="c")
    assert found.flags == ()


def test_predictions_unlike_those_of_the_calibration_are_flagged(fake):
    ct = ct_of()
    ct.array[...] = 400
    with pytest.warns(TwinTrackWarning, match="case c is unlike .* its predicted volume is"):
        found = predict_case(fake, calibration_of(guarded=True), ct, case_id="c")
    assert any("its predicted volume is" in reason for reason in found.flags)


def test_a_voxel_size_unlike_that_of_the_calibration_is_warned_of(fake, calibration):
    grid = tt.Grid.plain(ct_of().array.shape, spacing=(9.0, 0.8, 0.7))
    with pytest.warns(TwinTrackWarning, match="voxel size"):
        predict_case(fake, calibration, ct_of(grid=grid), case_id="c")


def test_levels_are_of_the_most_raters_that_any_case_had():
    mixed = [
        tt.Case(str(k), probability=np.full((2, 2), 0.5, np.float32), raters=[np.ones((2, 2), np.uint8)] * k)
        for k in (2, 4, 3)
    ]
    assert raters_of(tt.fit(mixed, method="isotonic")) == 4


def test_stages_are_reported_and_a_given_roi_is_handed_on(fake, calibration):
    stages = []
    roi = tt.Volume(np.zeros(ct_of().array.shape, np.uint8), ct_of().grid)
    roi.array[2:4, 4:6, 5:8] = 1
    found = predict_case(fake, calibration, ct_of(), case_id="c", roi=roi, on_stage=stages.append)
    assert stages == [*STAGES, "calibrating"]
    assert found.segmentation.roi_source == "given"
    assert np.count_nonzero(found.response) <= 12
