"""Estimated volumes: what is counted of each case, what a fit learns of it, and what is said of a further case."""

import json
import math
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.calibration.conftest import make_case

import twintrack as tt
from twintrack.calibration.tally import CaseTally
from twintrack.calibration.volumes.distribution import VolumeModel
from twintrack.calibration.volumes.summary import VolumeSummary
from twintrack.calibration.volumes.volume import LEVEL, VolumeInterval, estimate_volume
from twintrack.compute.levels import level_histogram
from twintrack.errors import CalibrationError, InputError


def tally_of(p, masks=()):
    counts = level_histogram(np.float32(p))[:, np.newaxis]
    return CaseTally.of(counts, {str(k): np.uint8(mask) for k, mask in enumerate(masks)})


def learnt_from(fitted, cases):
    """The model from responses and masks, voxel by voxel."""
    summaries = [VolumeSummary.of(fitted.apply(case)) for case in cases]
    drawn = [[int(mask.sum()) for mask in case.read().raters.values()] for case in cases]
    return VolumeModel.fit(summaries, drawn)


def assert_close(found, wanted):
    """Of tallies a few neighbouring levels share a response."""
    assert found.spread == wanted.spread
    assert [len(case) for case in found.scores] == [len(case) for case in wanted.scores]
    for one, other in zip(found.scores, wanted.scores, strict=True):
        assert one == pytest.approx(other, rel=5e-3, abs=5e-3)


def square(p):
    return np.square(np.asarray(p, np.float64))


def test_a_tally_worked_out_by_hand():
    tally = tally_of([[0.0, 0.25, 0.25, 1.0]], [[[0, 1, 1, 1]], [[0, 0, 0, 0]], [[1, 0, 0, 0]]])
    assert tally.voxels.tolist() == [1, 2, 1]
    assert tally.probability == pytest.approx([0, 0.25, 1], rel=1e-3)
    assert tally.n_above_zero == 3
    assert tally.drawn == (0, 1, 3)
    found = tally.summary(square, pin_zero=True)
    r = 0.0625
    assert found.expected == pytest.approx(2 * r + 1, rel=1e-3)
    assert found.majority == pytest.approx(2 * r**2 * (3 - 2 * r) + 1, rel=1e-3)
    assert found.disagreement == pytest.approx(2 * r * (1 - r), rel=2e-3)


def test_the_response_at_zero_counts_unless_it_is_pinned():
    tally = tally_of([[0.0, 0.0, 0.0, 1.0]])

    def half(p):
        return np.full(np.shape(p), 0.5)

    assert tally.summary(half, pin_zero=True) == VolumeSummary(0.5, 0.5, 0.25)
    assert tally.summary(half, pin_zero=False) == VolumeSummary(2.0, 2.0, 1.0)


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 2**32 - 1), st.floats(0.2, 5))
def test_the_summary_of_the_tally_is_that_of_the_voxels(seed, power):
    p = np.random.default_rng(seed).random(2000, np.float32) ** 4
    found = tally_of(p).summary(lambda q: np.asarray(q, np.float64) ** power, pin_zero=True)
    wanted = VolumeSummary.of(p.astype(np.float64) ** power)
    assert found.expected == pytest.approx(wanted.expected, rel=2e-3)
    assert found.majority == pytest.approx(wanted.majority, rel=4e-3)
    assert found.disagreement == pytest.approx(wanted.disagreement, rel=4e-3)


@pytest.mark.parametrize("pin_zero", [True, False])
def test_fit_learns_the_volumes_of_its_cases(cases, pin_zero):
    fitted = tt.fit(cases, method="isotonic", pin_zero=pin_zero)
    assert_close(fitted.volume, learnt_from(fitted, cases))


def test_what_raters_drew_outside_the_roi_counts_as_drawn():
    roi = np.zeros((4, 16, 16), np.uint8)
    roi[:, :, :8] = 1
    case = make_case(3, roi=roi)
    fitted = tt.fit([case], method="isotonic")
    assert_close(fitted.volume, learnt_from(fitted, [case]))
    assert max(int(mask[:, :, 8:].sum()) for mask in case.read().raters.values()) > 0


@pytest.mark.parametrize("options", [{"target": "rater:1"}, {"target": "staple"}, {"weighting": "cases"}])
def test_volumes_are_of_all_raters_whatever_is_fitted(options):
    cases = [make_case(seed, n_raters=3) for seed in range(3)]
    fitted = tt.fit(cases, method="isotonic", **options)
    assert [len(case) for case in fitted.volume.scores] == [3, 3, 3]
    assert_close(fitted.volume, learnt_from(fitted, cases))


def test_a_case_of_which_nothing_is_expected_tells_nothing():
    nothing = tt.Case("none", probability=np.zeros((4, 16, 16), np.float32), raters=[np.ones((4, 16, 16), np.uint8)])
    fitted = tt.fit([nothing, make_case(1, n_members=1)], method="isotonic")
    assert fitted.volume.n_cases == 1


def test_an_estimate_worked_out_by_hand():
    # Where all is sure, E = M = 100 voxels and S = 0.02 M = 2, so a = √102; and a volume of 119 voxels, with
    # √(119 + 2) = 11, has a score of a (11 − a) = 11 √102 − 102.
    response = np.append(np.ones(100, np.float32), np.zeros(20, np.float32))
    score = 11 * math.sqrt(102) - 102
    model = VolumeModel(scores=[(-200.0, 0.0)] + [(0.0,)] * 36 + [(score,)] * 2)
    found = estimate_volume(response, voxel_volume=3.0, model=model)
    assert found.expected == 300
    assert found.reason is None
    # 5 % of 40 cases are two at each end. Above, those are the further case and one of 119 voxels, so the other one is
    # the end; below, the further case and half a case of 0 voxels, so one of 100 voxels is.
    assert found.interval == VolumeInterval(pytest.approx(300), pytest.approx(3 * 119), 0.9, pytest.approx(0.9), 39)
    assert found.distribution.quantile(0.5) == pytest.approx(300)
    assert found.distribution.probability_empty == pytest.approx(0.5 / 40)


def test_few_cases_promise_less_and_reach_over_all_of_them():
    response = np.ones(100, np.float32)
    scores = [-5.0, -1.0, 0.0, 1.0, 5.0]
    found = estimate_volume(response, voxel_volume=1.0, model=VolumeModel(scores=[(score,) for score in scores]))
    assert found.interval.promised == pytest.approx(2 / 3)
    low, *_, high = found.distribution.volume[~found.distribution.further]
    assert found.interval.low <= low < 100 < high <= found.interval.high
    assert found.interval.level == LEVEL


@pytest.mark.parametrize(
    ("response", "model", "reason"),
    [
        ([0.5], None, r"fitted by an older TwinTrack; fit it again"),
        ([0.5], VolumeModel(scores=[(0.0,)] * 4), "the calibration has 4 cases .* needs 5"),
        ([0.0], VolumeModel(scores=[(0.0,)] * 5), "the expected volume is 0"),
    ],
)
def test_no_interval_has_a_reason(response, model, reason):
    found = estimate_volume(np.float32(response), voxel_volume=2.0, model=model)
    assert found.interval is None
    assert found.distribution is None
    assert re.search(reason, found.reason)
    assert found.expected == 2.0 * sum(response)


def test_what_is_no_response_is_refused():
    with pytest.raises(InputError, match="expected responses between 0 and 1"):
        estimate_volume(np.float32([0.5, 1.5]), voxel_volume=1.0, model=None)


def test_a_large_volume_is_summed_without_losing_digits():
    response = np.full(40_000_000, 0.1, np.float32)
    expected = estimate_volume(response, voxel_volume=1.0, model=None).expected
    assert expected == pytest.approx(4e7 * float(np.float32(0.1)), rel=1e-9)


def test_a_table_with_a_minimum_count_gives_a_calibration_without_intervals(cases):
    table = tt.tabulate(cases)
    fitted = tt.fit(tt.suppress(table, 2), method="isotonic")
    assert fitted.volume is None
    assert "fit it again" in fitted.estimate_volume(np.float32([0.5]), voxel_volume=1.0).reason
    assert tt.fit(table, method="isotonic").volume is not None


OLDER = {1: None, 2: {"ratios": [[0.5, 1.0], [0.9, 1.1]] * 3}}


@pytest.mark.parametrize("version", OLDER)
def test_a_file_of_an_older_version_is_still_read_and_gives_no_interval(cases, tmp_path, version):
    tt.fit(cases, method="isotonic").save(tmp_path / "old.json")
    content = json.loads((tmp_path / "old.json").read_text(encoding="utf-8")) | {
        "volume": OLDER[version],
        "schema_version": version,
    }
    if OLDER[version] is None:
        del content["volume"]
    (tmp_path / "old.json").write_text(json.dumps(content))
    loaded = tt.load_calibration(tmp_path / "old.json")
    assert loaded.volume is None
    assert loaded.schema_version == version
    p = np.random.default_rng(0).random((5, 5), dtype=np.float32)
    assert (loaded.apply(p) == tt.fit(cases, method="isotonic").apply(p)).all()
    found = loaded.estimate_volume(loaded.apply(p), voxel_volume=2.0)
    assert found.expected > 0
    assert found.interval is None
    assert "fitted by an older TwinTrack; fit it again" in found.reason
    loaded.save(tmp_path / "again.json")
    assert tt.load_calibration(tmp_path / "again.json") == loaded


def test_the_scores_are_saved_without_names_and_read_back(cases, tmp_path):
    fitted = tt.fit(cases, method="isotonic")
    fitted.save(tmp_path / "c.json")
    text = (tmp_path / "c.json").read_text(encoding="utf-8")
    assert "case0" not in text
    assert tt.load_calibration(tmp_path / "c.json").volume == fitted.volume


@pytest.mark.parametrize(
    ("volume", "where"),
    [
        ({"scores": [[]]}, "scores"),
        ({"scores": [[float("nan")]]}, "scores"),
        ({"scores": [[float("inf")]]}, "scores"),
        ({"scores": [["a"]]}, "scores"),
        ({"scores": [[0.0]], "spread": "none"}, "spread"),
        ({"ratios": [[1.0]]}, "scores"),
    ],
)
def test_a_broken_volume_is_refused(cases, tmp_path, volume, where):
    tt.fit(cases, method="isotonic").save(tmp_path / "c.json")
    content = json.loads((tmp_path / "c.json").read_text(encoding="utf-8")) | {"volume": volume}
    (tmp_path / "c.json").write_text(json.dumps(content))
    with pytest.raises(CalibrationError, match=rf"not a valid calibration: volume\.{where}"):
        tt.load_calibration(tmp_path / "c.json")


@pytest.mark.parametrize("method", ["isotonic", "centered-isotonic", "temperature"])
def test_two_fitted_calibrations_can_be_compared_after_use(cases, method):
    one, other = tt.fit(cases, method=method), tt.fit(cases, method=method)
    one.apply(np.float32([0.5]))
    other.apply(np.float32([0.5]))
    assert one == other
