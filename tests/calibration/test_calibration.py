import json
import pickle
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import twintrack as tt
from twintrack.calibration.calibration import SCHEMA_VERSION
from twintrack.calibration.methods import METHODS
from twintrack.errors import CalibrationError, InputError, TwinTrackWarning

from .conftest import make_case


@pytest.fixture
def calibration(cases):
    return tt.fit(cases, method="isotonic")


@pytest.mark.parametrize("method", METHODS)
def test_saving_and_loading_changes_nothing(cases, method, tmp_path):
    fitted = tt.fit(cases, method=method)
    fitted.save(tmp_path / "c.json")
    loaded = tt.load_calibration(tmp_path / "c.json")
    assert loaded == fitted
    assert loaded.method == method
    p = np.random.default_rng(0).random((5, 5), dtype=np.float32)
    assert (loaded.apply(p) == fitted.apply(p)).all()


def test_saving_is_deterministic(cases, tmp_path):
    tt.fit(cases, method="isotonic").save(tmp_path / "a.json")
    tt.fit(cases[::-1], method="isotonic").save(tmp_path / "b.json")
    assert (tmp_path / "a.json").read_bytes() == (tmp_path / "b.json").read_bytes()


def test_apply_to_a_case_is_zero_outside_the_roi(cases):
    roi = np.zeros((4, 16, 16), np.uint8)
    roi[:, 4:12, 4:12] = 1
    fitted = tt.fit(cases, pin_zero=False, method="isotonic")
    case = make_case(9, roi=roi)
    response = fitted.model_copy(update={"guard": None}).apply(case)
    assert response.dtype == np.float32
    assert response.shape == (4, 16, 16)
    assert (response[roi == 0] == 0).all()
    members = case.read().members
    p = np.mean([m.astype(float) for m in members], axis=0).astype(np.float32)
    assert response[roi == 1] == pytest.approx(fitted.map(p)[roi == 1], abs=1e-7)


def test_apply_does_not_touch_its_input(calibration):
    p = np.random.default_rng(0).random((3, 4, 5), dtype=np.float32)
    before = p.copy()
    calibration.apply(p)
    case = tt.Case("c", probability=p)
    calibration_of_one = calibration.model_copy(
        update={"provenance": calibration.provenance.model_copy(update={"members": (1,), "spacing_range": ()})}
    )
    calibration_of_one.apply(case)
    assert (p == before).all()


@pytest.mark.parametrize("shape", [(), (7,), (3, 4), (2, 3, 4), (2, 3, 4, 5), (0,)])
def test_apply_takes_arrays_of_any_shape(calibration, shape):
    p = np.full(shape, 0.7, np.float64)
    response = calibration.apply(p)
    assert response.shape == shape
    assert response == pytest.approx(calibration.map(np.full(shape, 0.7, np.float32)))


@settings(deadline=None, max_examples=30)
@given(st.lists(st.floats(0, 1, width=32), min_size=2, max_size=60))
def test_ranking_is_kept_up_to_ties(numbers):
    fitted = tt.fit([make_case(1)], method="isotonic")
    p = np.sort(np.array(numbers, np.float32))
    assert (np.diff(fitted.apply(p)) >= 0).all()


@pytest.mark.parametrize("bad", [np.nan, -0.2, 1.2, np.inf])
def test_apply_refuses_what_is_no_probability(calibration, bad):
    p = np.full((3, 3), 0.5, np.float32)
    p[1, 2] = bad
    with pytest.raises(InputError, match=r"1 of 9 probabilities .* at array index \(1, 2\)"):
        calibration.apply(p)


def test_rounding_above_one_is_forgiven(calibration):
    assert calibration.apply(np.float32([[1.0000001]])) == calibration.apply(np.float32([[1.0]]))


def test_labels_are_not_probabilities(calibration):
    with pytest.raises(InputError, match="a probability map holds floating-point numbers; this one is uint8"):
        calibration.apply(np.ones((2, 2), np.uint8))


def test_another_foreground_is_refused(cases):
    named = [make_case(k, foreground=("tumour",)) for k in range(3)]
    fitted = tt.fit(named, method="isotonic")
    assert fitted.provenance.foreground == ("tumour",)
    with pytest.raises(CalibrationError, match="its probability is of cyst; this calibration was fitted for tumour"):
        fitted.apply(make_case(8, foreground=("cyst",)))
    fitted.apply(make_case(8))  # where it is not known, it is not refused


def test_an_unlike_case_is_warned_of(calibration):
    with pytest.warns(TwinTrackWarning, match=r"it has 3 members, the fitted cases \[2\]"):
        calibration.apply(make_case(8, n_members=3))
    far = tt.Case("far", members=make_case(8).read().members, spacing=(9.0, 0.8, 0.8))
    with pytest.warns(TwinTrackWarning, match="voxel size"):
        calibration.apply(far)


def test_a_missing_roi_is_warned_of():
    roi = np.ones((4, 16, 16), np.uint8)
    fitted = tt.fit([make_case(1, roi=roi)], method="isotonic")
    with pytest.warns(TwinTrackWarning, match="it has no ROI"):
        fitted.apply(make_case(2))


def saved(calibration, tmp_path, **changes):
    path = tmp_path / "c.json"
    calibration.save(path)
    content = json.loads(path.read_text(encoding="utf-8"))
    content.update(changes)
    path.write_text(json.dumps(content))
    return path


def test_a_newer_schema_is_refused(calibration, tmp_path):
    path = saved(calibration, tmp_path, schema_version=SCHEMA_VERSION + 1)
    with pytest.raises(CalibrationError, match=r"schema version 5; this TwinTrack knows versions up to 4\. Upgrade"):
        tt.load_calibration(path)


def test_a_file_of_version_3_is_read_and_has_no_rater_field(calibration, tmp_path):
    path = saved(calibration, tmp_path, schema_version=3)
    content = json.loads(path.read_text(encoding="utf-8"))
    del content["rater_field"]
    path.write_text(json.dumps(content))
    loaded = tt.load_calibration(path)
    assert loaded.rater_field is None
    assert loaded == calibration.model_copy(update={"schema_version": 3})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"rater_field": {"correlation": 1.5, "length_mm": 8}}, "rater_field.correlation"),
        ({"rater_field": {"correlation": 0.5, "length_mm": 0}}, "rater_field.length_mm"),
        ({"schema_version": None}, "no schema_version"),
        ({"extra": 1}, "extra"),
        ({"map": {"method": "magic"}}, "map"),
        ({"map": {"method": "temperature", "temperature": -1}}, "temperature"),
        ({"map": {"method": "isotonic", "probability": [0.1, 0.2], "response": [0.5, 0.4]}}, "decrease"),
        ({"map": {"method": "isotonic", "probability": [0.2, 0.1], "response": [0.4, 0.5]}}, "increasing"),
        ({"map": {"method": "isotonic", "probability": [0.2], "response": [0.4, 0.5]}}, "differ in number"),
        ({"map": {"method": "isotonic", "probability": [0.2], "response": [1.5]}}, "less than or equal to 1"),
        ({"map": {"method": "platt", "slope": float("nan"), "offset": 0}}, "finite"),
    ],
)
def test_a_broken_calibration_is_refused(calibration, tmp_path, changes, message):
    with pytest.raises(CalibrationError, match=message):
        tt.load_calibration(saved(calibration, tmp_path, **changes))


class Trap:
    def __reduce__(self):
        return (open, ("/tmp/twintrack-trap", "w"))


@pytest.mark.parametrize("content", [b"", b"{", b"[1, 2]", b"\xff\xfe\x00", pickle.dumps(Trap()), b"[" * 100_000])
def test_what_is_not_a_calibration_is_refused(tmp_path, content):
    path = tmp_path / "c.json"
    path.write_bytes(content)
    with pytest.raises(CalibrationError, match="is not a calibration"):
        tt.load_calibration(path)


def test_a_missing_calibration_is_named(tmp_path):
    with pytest.raises(CalibrationError, match=r"cannot read the calibration .*none\.json: No such file"):
        tt.load_calibration(tmp_path / "none.json")


def test_fitting_allocates_less_than_one_more_volume():
    shape = (48, 256, 256)
    rng = np.random.default_rng(0)
    members = [rng.random(shape, dtype=np.float32) for _ in range(2)]
    raters = [(members[0] > threshold).view(np.uint8) for threshold in (0.2, 0.4, 0.6, 0.7, 0.8)]
    case = tt.Case("c", members=members, raters=raters)
    tt.fit([make_case(0)], method="isotonic")  # compiles
    tracemalloc.start()
    tt.fit([case], method="isotonic")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < members[0].nbytes
