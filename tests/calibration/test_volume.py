"""Expected volumes and their intervals: numbers worked out by hand, and coverage where the answer is known."""

import json
import math
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import twintrack as tt
from twintrack.calibration.volume import LEVEL, CaseTally, VolumeRatios, estimate_volume
from twintrack.compute.levels import level_histogram
from twintrack.errors import CalibrationError

from .conftest import make_case

RATIOS = st.lists(
    st.lists(st.floats(0, 10), min_size=1, max_size=4).map(lambda case: tuple(sorted(case))), min_size=1, max_size=30
)


def tally_of(p, masks=()):
    return CaseTally.of(level_histogram(np.float32(p)), {str(k): np.uint8(mask) for k, mask in enumerate(masks)})


def ratios_of(*cases):
    return VolumeRatios(ratios=cases)


def square(p):
    return np.square(np.asarray(p, np.float64))


def test_a_tally_worked_out_by_hand():
    tally = tally_of([[0.0, 0.25, 0.25, 1.0]], [[[0, 1, 1, 1]], [[0, 0, 0, 0]], [[1, 0, 0, 0]]])
    assert tally.zero == 1
    assert tally.voxels.tolist() == [2, 1]
    assert tally.probability == pytest.approx([0.25, 1], rel=1e-3)
    assert tally.drawn == (0, 1, 3)
    assert tally.expected(square, pin_zero=True) == pytest.approx(2 * 0.0625 + 1, rel=1e-3)


def test_the_response_at_zero_counts_unless_it_is_pinned():
    tally = tally_of([[0.0, 0.0, 0.0, 1.0]])
    assert tally.expected(lambda p: np.full(np.shape(p), 0.5), pin_zero=True) == 0.5
    assert tally.expected(lambda p: np.full(np.shape(p), 0.5), pin_zero=False) == 2.0


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 2**32 - 1), st.floats(0.2, 5))
def test_expected_volume_from_the_tally_is_that_of_the_voxels(seed, power):
    p = np.random.default_rng(seed).random(2000, np.float32) ** 4
    found = tally_of(p).expected(lambda q: np.asarray(q, np.float64) ** power, pin_zero=True)
    assert found == pytest.approx((p.astype(np.float64) ** power).sum(), rel=2e-3)


def test_fit_learns_the_ratios_of_its_cases(cases):
    fitted = tt.fit(cases)
    found = []
    for case in cases:
        expected = float(fitted.apply(case).sum(dtype=np.float64))
        found.append(tuple(sorted(mask.sum() / expected for mask in case.read().raters.values())))
    assert [len(case) for case in fitted.volume.ratios] == [len(case) for case in sorted(found)]
    for one, other in zip(fitted.volume.ratios, sorted(found), strict=True):
        assert one == pytest.approx(other, rel=1e-3)


def test_what_raters_drew_outside_the_roi_counts_as_drawn():
    roi = np.zeros((4, 16, 16), np.uint8)
    roi[:, :, :8] = 1
    case = make_case(3, roi=roi)
    fitted = tt.fit([case])
    expected = float(fitted.apply(case).sum(dtype=np.float64))
    drawn = sorted(int(mask.sum()) for mask in case.read().raters.values())
    assert fitted.volume.ratios[0] == pytest.approx([n / expected for n in drawn], rel=1e-3)


@pytest.mark.parametrize("options", [{"target": "rater:1"}, {"target": "staple"}, {"weighting": "cases"}])
def test_ratios_are_of_all_raters_whatever_is_fitted(options):
    cases = [make_case(seed, n_raters=3) for seed in range(3)]
    fitted = tt.fit(cases, **options)
    assert [len(case) for case in fitted.volume.ratios] == [3, 3, 3]
    expected = float(fitted.apply(cases[0]).sum(dtype=np.float64))
    wanted = sorted(mask.sum() / expected for mask in cases[0].read().raters.values())
    assert any(case == pytest.approx(wanted, rel=1e-3) for case in fitted.volume.ratios)


def test_a_case_of_which_nothing_is_expected_gives_no_ratio():
    nothing = tt.Case("none", probability=np.zeros((4, 16, 16), np.float32), raters=[np.ones((4, 16, 16), np.uint8)])
    fitted = tt.fit([nothing, make_case(1, n_members=1)])
    assert len(fitted.volume.ratios) == 1


def test_bounds_worked_out_by_hand():
    # 39 cases with one rater each; 1 more takes 1 of 40 at an end: 5 % of 40 are 2, so the second from either end.
    ratios = ratios_of(*((k / 10,) for k in range(1, 40)))
    assert ratios.bounds(0.9) == (pytest.approx(0.2), pytest.approx(3.8), pytest.approx(0.9))
    # 19 cases: 5 % of 20 is 1, the first from either end.
    assert ratios_of(*((k / 10,) for k in range(1, 20))).bounds(0.9)[:2] == (pytest.approx(0.1), pytest.approx(1.9))
    # A case's raters share its weight: 3 × 1/3 make up the one case that may lie beyond, so the end is its third value.
    shared = ratios_of((0.01, 0.02, 0.03), *((k / 10,) for k in range(2, 40)))
    assert shared.bounds(0.9)[0] == pytest.approx(0.2)
    one_less = ratios_of((0.01, 0.02, 5.0), *((k / 10,) for k in range(2, 39)))
    assert one_less.bounds(0.9)[0] == pytest.approx(0.2)


def test_thirds_of_a_case_make_a_whole_one():
    # 39 cases of three raters: 95 % of 40 are 38, which 114 thirds, the values 0 … 113, reach only up to rounding.
    ratios = ratios_of(*((3 * k + 0.0, 3 * k + 1.0, 3 * k + 2.0) for k in range(39)))
    assert ratios.bounds(0.9)[:2] == (3.0, 113.0)


def test_few_cases_promise_less():
    low, high, promised = ratios_of((0.5,), (0.8, 1.4), (1.0,), (1.1,), (2.0,)).bounds(0.9)
    assert (low, high) == (0.5, 2.0)
    assert promised == pytest.approx(1 - 2 / 6)


@settings(deadline=None)
@given(RATIOS, st.randoms())
def test_bounds_are_ratios_in_order_and_not_of_the_cases_order(cases, random):
    low, high, promised = ratios_of(*cases).bounds()
    values = [ratio for case in cases for ratio in case]
    assert low <= high
    assert {low, high} <= set(values)
    assert 0 <= promised <= LEVEL
    shuffled = list(cases)
    random.shuffle(shuffled)
    assert ratios_of(*shuffled).bounds() == (low, high, promised)


@settings(deadline=None)
@given(RATIOS, st.floats(0.05, 0.9), st.floats(0.05, 0.9))
def test_more_coverage_is_never_a_narrower_interval(cases, one, other):
    low, high, promised = ratios_of(*cases).bounds(min(one, other))
    wide_low, wide_high, wide_promised = ratios_of(*cases).bounds(max(one, other))
    assert wide_low <= low <= high <= wide_high
    assert wide_promised >= promised


@settings(deadline=None)
@given(st.lists(st.floats(0, 10), min_size=1, max_size=40), st.integers(1, 4))
def test_raters_who_agree_count_as_one(values, n_raters):
    alone = ratios_of(*((value,) for value in values)).bounds()
    assert ratios_of(*((value,) * n_raters for value in values)).bounds() == pytest.approx(alone)


@pytest.mark.parametrize(("n_cases", "n_raters", "between"), [(25, 3, 0.3), (60, 5, 0.5), (12, 2, 0.4), (40, 1, 0.2)])
def test_the_interval_holds_a_further_raters_volume_as_often_as_promised(n_cases, n_raters, between):
    # Ratios with a common factor per case and one per rater, log-normal; a further case with one rater.
    rng = np.random.default_rng(n_cases)
    repeats, held, promised = 3000, 0, 0.0
    for _ in range(repeats):
        factor = np.exp(between * rng.normal(size=(n_cases + 1, 1)) + 0.3 * rng.normal(size=(n_cases + 1, n_raters)))
        low, high, promised = ratios_of(*map(tuple, factor[:-1].tolist())).bounds()
        held += low <= factor[-1, 0] <= high
    error = math.sqrt(LEVEL * (1 - LEVEL) / repeats)
    assert held / repeats >= promised - 3 * error
    assert held / repeats <= promised + (0.12 if n_cases < 19 else 0.07)


def test_an_estimate_worked_out_by_hand():
    response = np.float32([[0.25, 0.5], [0.25, 0.0]])
    ratios = ratios_of((0.5,), (0.8, 1.4), (1.0,), (1.1,), (2.0,))
    found = estimate_volume(response, voxel_volume=3.0, ratios=ratios)
    assert found.expected == 3.0
    assert found.reason is None
    assert (found.interval.low, found.interval.high) == (1.5, 6.0)
    assert (found.interval.level, found.interval.n_cases) == (0.9, 5)
    assert found.interval.promised == pytest.approx(2 / 3)


@pytest.mark.parametrize(
    ("response", "ratios", "reason"),
    [
        ([0.5], None, "fit it again"),
        ([0.5], ratios_of((1.0,), (1.0,), (1.0,), (1.0,)), "the calibration has 4 cases .* needs 5"),
        ([0.0], ratios_of(*[(1.0,)] * 5), "the expected volume is 0"),
    ],
)
def test_no_interval_has_a_reason(response, ratios, reason):
    found = estimate_volume(np.float32(response), voxel_volume=2.0, ratios=ratios)
    assert found.interval is None
    assert re.search(reason, found.reason)
    assert found.expected == 2.0 * sum(response)


def test_a_large_volume_is_summed_without_losing_digits():
    response = np.full(40_000_000, 0.1, np.float32)
    expected = estimate_volume(response, voxel_volume=1.0, ratios=None).expected
    assert expected == pytest.approx(4e7 * float(np.float32(0.1)), rel=1e-9)


def test_a_table_without_tallies_gives_a_calibration_without_intervals(cases):
    table = tt.tabulate(cases)
    fitted = tt.fit(tt.ResponseTable(table.counts, table.target, table.weighting, table.records))
    assert fitted.volume is None
    assert "fit it again" in fitted.estimate_volume(np.float32([0.5]), voxel_volume=1.0).reason
    assert tt.fit(table).volume is not None


def without_volume(cases, path):
    """A file as version 1 wrote it."""
    tt.fit(cases).save(path)
    content = json.loads(path.read_text())
    del content["volume"]
    path.write_text(json.dumps(content | {"schema_version": 1}))
    return path


def test_a_file_of_version_1_is_still_read(cases, tmp_path):
    loaded = tt.load_calibration(without_volume(cases, tmp_path / "old.json"))
    assert loaded.volume is None
    assert loaded.schema_version == 1
    p = np.random.default_rng(0).random((5, 5), dtype=np.float32)
    assert (loaded.apply(p) == tt.fit(cases).apply(p)).all()


def test_the_ratios_are_saved_without_names_and_read_back(cases, tmp_path):
    fitted = tt.fit(cases)
    fitted.save(tmp_path / "c.json")
    text = (tmp_path / "c.json").read_text()
    assert "case0" not in text
    assert tt.load_calibration(tmp_path / "c.json").volume == fitted.volume


@pytest.mark.parametrize("ratios", [[[-0.1]], [[]], [[float("nan")]], [[float("inf")]], [["a"]]])
def test_broken_ratios_are_refused(cases, tmp_path, ratios):
    tt.fit(cases).save(tmp_path / "c.json")
    content = json.loads((tmp_path / "c.json").read_text()) | {"volume": {"ratios": ratios}}
    (tmp_path / "c.json").write_text(json.dumps(content))
    with pytest.raises(CalibrationError, match=r"not a valid calibration: volume\.ratios"):
        tt.load_calibration(tmp_path / "c.json")


@pytest.mark.parametrize("method", ["isotonic", "centered-isotonic", "temperature"])
def test_two_fitted_calibrations_can_be_compared_after_use(cases, method):
    one, other = tt.fit(cases, method=method), tt.fit(cases, method=method)
    one.apply(np.float32([0.5]))
    other.apply(np.float32([0.5]))
    assert one == other
