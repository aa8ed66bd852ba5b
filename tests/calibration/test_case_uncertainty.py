"""How sure a calibration is of a case: intervals and bands of maps whose quantiles are known by hand."""

import json
import tracemalloc

import numpy as np
import pytest

import twintrack as tt
from twintrack.calibration.case_uncertainty import ExpectedInterval
from twintrack.calibration.conditional.reference import N_COEFFICIENTS, shipped_reference
from twintrack.calibration.methods import ConditionalMap
from twintrack.calibration.methods.histogram import HistogramMap
from twintrack.calibration.methods.platt import PlattMap
from twintrack.calibration.sample import LIMIT
from twintrack.calibration.uncertainty import Uncertainty
from twintrack.errors import CalibrationError, TwinTrackWarning

from .conftest import make_case

SHAPE = (4, 16, 16)
VOXEL = 3.0 * 0.8 * 0.8
ROI = np.zeros(SHAPE, np.uint8)
ROI[:, 4:12, 4:12] = 1


@pytest.fixture(scope="module")
def fitted():
    """Without the guard: that a case of another kind is flagged is not what is tested here."""
    return tt.fit([make_case(seed) for seed in range(5)], method="isotonic").model_copy(update={"guard": None})


def constant(value):
    return HistogramMap(values=(value,))


def offset(value, *, volume=1.0):
    """A case-aware map that moves every logit by `value`."""
    coefficients = [0.0] * N_COEFFICIENTS
    coefficients[1] = value
    return ConditionalMap(
        dimensions=3, units=shipped_reference().units, coefficients=tuple(coefficients), volume=volume, prior_cases=1.0
    )


def with_maps(fitted, one, others, **changes):
    return fitted.model_copy(update={"map": one, "uncertainty": Uncertainty(replicates=tuple(others)), **changes})


def with_zeros(case):
    """A case whose first rows have a probability of exactly 0."""
    members = [member.copy() for member in case.read().members]
    for member in members:
        member[:, :5] = 0
    return members


# --- Known answers ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("pin_zero", [True, False])
def test_interval_and_band_of_constant_maps(fitted, pin_zero):
    # The draws say 0, 0.1, … 1 of every voxel: their 5 % and 95 % quantiles are 0.05 and 0.95.
    maps = [constant(k / 10) for k in range(11)]
    calibration = with_maps(fitted, constant(0.5), maps, pin_zero=pin_zero)
    members = with_zeros(make_case(7))
    case = tt.Case("c", members=members, roi=ROI, spacing=(3.0, 0.8, 0.8))
    n = int(((members[0] > 0) & (ROI == 1)).sum()) if pin_zero else int(ROI.sum())
    assert 0 < n < ROI.size
    found = calibration.expected_interval(case)
    assert (found.low, found.high) == pytest.approx((0.05 * n * VOXEL, 0.95 * n * VOXEL))
    assert (found.level, found.n_replicates) == (0.9, 11)
    band = calibration.response_band(case)
    allowed = (ROI == 1) & ((members[0] > 0) | (not pin_zero))
    for name, value in (("lower", 0.05), ("upper", 0.95)):
        array = getattr(band, name)
        assert (array.dtype, array.shape) == (np.float32, SHAPE)
        np.testing.assert_allclose(array[allowed], value, rtol=1e-6)
        assert (array[~allowed] == 0).all()


def test_interval_and_band_of_case_aware_maps(fitted):
    shifts = np.linspace(-1, 1, 11)
    calibration = with_maps(fitted, offset(0.0), [offset(shift) for shift in shifts])
    case = make_case(7, roi=ROI)
    p = case.read().probability()
    band = calibration.response_band(case)
    high = p >= 1e-4
    logit = np.log(p[high].astype(float) / (1 - p[high]))
    clear = (p[high] > 1e-3) & (p[high] < 0.999)  # beyond, the logit is kept within bounds
    # Of eleven numbers in order the 5 % quantile lies half-way between the first and the second.
    ends = [(expit_of(logit + a) + expit_of(logit + b)) / 2 for a, b in ((-1, -0.8), (1, 0.8))]
    for array, wanted in zip((band.lower, band.upper), ends, strict=True):
        np.testing.assert_allclose(array[high][clear], wanted[clear], rtol=1e-4)
        assert (array[~high] == p[~high]).all()
        assert (array[ROI == 0] == 0).all()
    volumes = [with_maps(calibration, offset(s), [offset(s)] * 2).apply(case).sum(dtype=float) * VOXEL for s in shifts]
    found = calibration.expected_interval(case)
    assert (found.low, found.high) == pytest.approx(tuple(np.quantile(volumes, [0.05, 0.95])), rel=1e-5)


def expit_of(x):
    return 1 / (1 + np.exp(-x))


def test_what_the_draws_leave_out_is_taken_in():
    # All draws lie above the expected volume: the interval begins there.
    found = ExpectedInterval.of(np.array([5.0, 6.0, 7.0]), expected=3.0)
    assert found.low == 3.0
    assert found.high == pytest.approx(6.9)
    assert ExpectedInterval.of(np.array([5.0, 6.0, 7.0]), expected=9.0).high == 9.0
    assert ExpectedInterval.of(np.array([-1e-9, 1.0]), expected=0.0, level=1.0).low == 0.0


def test_a_case_aware_map_that_keeps_volumes_is_sure_of_them(fitted):
    maps = [offset(shift, volume=0.0) for shift in (-1.0, 0.5, 2.0)]
    case = make_case(7)
    found = with_maps(fitted, offset(0.3, volume=0.0), maps).expected_interval(case)
    p = case.read().probability().sum(dtype=float) * VOXEL
    assert (found.low, found.high) == pytest.approx((p, p), rel=1e-4)


def test_where_nothing_is_predicted_all_is_0(fitted):
    case = tt.Case("c", members=[np.zeros(SHAPE, np.float32)] * 2, spacing=(3.0, 0.8, 0.8))
    for one, others in ((constant(0.5), [constant(0.2), constant(0.7)]), (offset(0.0), [offset(1.0), offset(2.0)])):
        found = with_maps(fitted, one, others).respond(case, band=True)
        assert (found.interval.low, found.interval.high) == (0, 0)
        assert not found.response.any()
        assert not found.band.lower.any()
        assert not found.band.upper.any()


def test_an_unknown_voxel_size_counts_voxels(fitted):
    members = make_case(7).read().members
    changes = {"map": constant(0.5), "uncertainty": Uncertainty(replicates=(constant(0.25), constant(0.25)))}
    found = fitted.model_copy(update=changes).expected_interval(tt.Case("c", members=members))
    n = int((members[0] + members[1] > 0).sum())
    assert (found.low, found.high) == pytest.approx((0.25 * n, 0.5 * n))


# --- Properties ------------------------------------------------------------------------------------------------------


def brute_force(calibration, case):
    """Apply every map to the whole case, and take quantiles of the stack."""
    whole = [
        calibration.model_copy(update={"map": one, "uncertainty": None}).apply(case)
        for one in calibration.uncertainty.replicates
    ]
    return np.quantile(np.stack(whole).astype(float), [0.05, 0.95], axis=0)


@pytest.mark.parametrize("method", ["isotonic", "centered-isotonic", "platt", "beta", "temperature", "histogram"])
@pytest.mark.parametrize("pin_zero", [True, False])
def test_the_band_is_that_of_all_maps_applied_one_by_one(method, pin_zero):
    cases = [make_case(seed) for seed in range(4)]
    calibration = tt.fit(cases, method=method, pin_zero=pin_zero, replicates=12).model_copy(update={"guard": None})
    case = tt.Case("c", members=with_zeros(make_case(9)), roi=ROI, spacing=(3.0, 0.8, 0.8))
    found = calibration.respond(case, band=True)
    response = found.response
    assert (response == calibration.apply(case)).all()
    low, high = brute_force(calibration, case)
    for array, wanted in (
        (found.band.lower, np.minimum(low, response)),
        (found.band.upper, np.maximum(high, response)),
    ):
        off = np.abs(array - wanted)
        # A step of a map may lie within a level, which is narrower than 0.1 % of p.
        assert np.count_nonzero(off > 2e-3) <= 2
        assert off.max() < 0.02
    assert (found.band.lower <= found.response).all()
    assert (found.response <= found.band.upper).all()
    expected = found.response.sum(dtype=float) * VOXEL
    assert found.interval.low <= expected <= found.interval.high


@pytest.mark.parametrize("volume", [0.5, 1.0])
def test_many_voxels_are_worked_on_in_parts(fitted, volume):
    case = make_case(3, shape=(2, 230, 230))
    shifts = np.random.default_rng(0).normal(size=9)
    calibration = with_maps(fitted, offset(0.0, volume=volume), [offset(s, volume=volume) for s in shifts])
    assert (case.read().probability() >= 1e-4).sum() > max(LIMIT, 1 << 16)
    found = calibration.respond(case, band=True)
    low, high = brute_force(calibration, case)
    # The shift of the case is found on a choice of its voxels.
    np.testing.assert_allclose(found.band.lower, np.minimum(low, found.response), atol=3e-3)
    np.testing.assert_allclose(found.band.upper, np.maximum(high, found.response), atol=3e-3)
    volumes = [
        with_maps(fitted, one, [one, one]).apply(case).sum(dtype=float) * VOXEL
        for one in calibration.uncertainty.replicates
    ]
    low, high = np.quantile(volumes, [0.05, 0.95])
    width = high - low
    assert found.interval.low == pytest.approx(low, abs=0.03 * width)
    assert found.interval.high == pytest.approx(high, abs=0.03 * width)


@pytest.mark.parametrize("one", [constant(0.5), offset(0.0)], ids=["curve", "case-aware"])
def test_no_volume_for_each_draw_is_held(fitted, one):
    # A tenth of the voxels are described: all of what is known of them is of the size of a few volumes.
    members = [np.zeros((20, 200, 200), np.float32) for _ in range(2)]
    for member in members:
        member[:2] = np.random.default_rng(0).random((2, 200, 200), dtype=np.float32)
    data = tt.Case("c", members=members, spacing=(3.0, 0.8, 0.8)).read(raters=False)
    calibration = with_maps(fitted, one, [one] * 50)
    calibration.respond(data, band=True)
    tracemalloc.start()
    calibration.respond(data, band=True)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    block = 50 * (1 << 16) * 8
    assert peak < 8 * members[0].nbytes + 4 * block < 50 * members[0].nbytes


# --- What is not known -----------------------------------------------------------------------------------------------


def test_without_maps_of_other_draws_nothing_is_said(fitted):
    bare = fitted.model_copy(update={"uncertainty": None})
    case = make_case(7)
    assert bare.expected_interval(case) is None
    assert bare.respond(case).interval is None
    for ask in (bare.response_band, lambda one: bare.respond(one, band=True)):
        with pytest.raises(CalibrationError, match=r"does not say how sure it is: .* Fit it again"):
            ask(case)


def test_it_warns_as_apply_does(fitted):
    case = make_case(8, n_members=3)
    for ask in (fitted.expected_interval, fitted.response_band, fitted.respond):
        with pytest.warns(TwinTrackWarning, match="it has 3 members"):
            ask(case)


def test_a_file_whose_draws_are_of_another_kind_is_refused(fitted, tmp_path):
    fitted.save(tmp_path / "c.json")
    content = json.loads((tmp_path / "c.json").read_text(encoding="utf-8"))
    content["uncertainty"]["replicates"][1] = json.loads(offset(0.0).model_dump_json())
    (tmp_path / "c.json").write_text(json.dumps(content))
    with pytest.raises(CalibrationError, match="of another kind than the map itself"):
        tt.load_calibration(tmp_path / "c.json")
    with_platt = with_maps(fitted, fitted.map, [PlattMap(slope=1.0, offset=0.0)] * 2)
    with_platt.save(tmp_path / "c.json")
    assert tt.load_calibration(tmp_path / "c.json") == with_platt
