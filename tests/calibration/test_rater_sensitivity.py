"""What leaving a rater out changes: worked out by hand, and where the answer is known."""

import dataclasses
import math

import numpy as np
import pytest
from scipy.ndimage import binary_dilation

import twintrack as tt
from twintrack.calibration.rater_sensitivity import DroppedRater, rater_sensitivity
from twintrack.errors import CalibrationError, CohortError, TwinTrackError, TwinTrackWarning

from .conftest import make_case


def sensitivity(cases, **options):
    """Of the isotonic map, whose changes can be worked out by hand."""
    return rater_sensitivity(cases, **({"method": "isotonic"} | options))


def first_of(n_labelled, size):
    return np.arange(size) < n_labelled


def case_of(name, *parts, spacing=(2.0, 3.0), **options):
    """Make a case of parts (probability, number of voxels, {rater: how many of them are labelled})."""
    p = np.concatenate([np.full(size, value, np.float32) for value, size, _ in parts])
    masks = {
        rater: np.concatenate([first_of(votes[rater], size) for _, size, votes in parts]).astype(np.uint8)[None]
        for rater in parts[0][2]
    }
    return tt.Case(name, probability=p[None], raters=masks, spacing=spacing, **options)


def by_name(found):
    return {one.rater: one for one in found}


def test_the_changes_of_one_case_worked_by_hand():
    # Responses: (1 + 0 + 2) / 12 = 1/4 and (3 + 2 + 4) / 12 = 3/4, expected volume 1 + 3 voxels.
    # Without A 1/4 and 3/4, without B 3/8 and 7/8, without C 1/8 and 5/8.
    case = case_of("c", (0.25, 4, {"A": 1, "B": 0, "C": 2}), (0.5, 4, {"A": 3, "B": 2, "C": 4}))
    a, b, c = sensitivity([case])
    assert (a.rater, b.rater, c.rater) == ("A", "B", "C")
    assert (a.largest_change, a.rms_change, a.volume_change) == (0, 0, 0)
    assert (b.largest_change, b.rms_change, b.volume_change) == pytest.approx((0.125, 0.125, 0.25))
    assert (c.largest_change, c.rms_change, c.volume_change) == pytest.approx((0.125, 0.125, -0.25))
    assert {(one.n_cases, one.n_lost) for one in (a, b, c)} == {(1, 0)}


@pytest.mark.parametrize(
    ("weighting", "expected"),
    # Without B the response falls by 1/4 on the 4 voxels of one case and by 1/8 on the 12 of the other.
    [("voxels", (4 / 16 + 12 / 64) / 16), ("cases", (1 / 16 + 1 / 64) / 2)],
)
def test_the_mean_change_follows_the_weights_of_the_fit(weighting, expected):
    cases = [
        case_of("small", (0.25, 4, {"A": 0, "B": 2})),
        case_of("large", (0.5, 12, {"A": 9, "B": 12}), spacing=(1.0, 1.0)),
    ]
    dropped = by_name(sensitivity(cases, weighting=weighting))["B"]
    assert dropped.largest_change == pytest.approx(0.25)
    assert dropped.rms_change == pytest.approx(math.sqrt(expected))
    # With all 1/4 · 4 · 6 mm² + 7/8 · 12 mm² = 16.5, without B 0 + 3/4 · 12 = 9.
    assert dropped.volume_change == pytest.approx(9 / 16.5 - 1)


def test_cases_that_only_the_dropped_rater_drew_are_lost_and_counted():
    shared = case_of("shared", (0.25, 4, {"A": 1, "B": 1}))
    lone = case_of("lone", (0.5, 4, {"B": 4}))
    a, b = sensitivity([shared, lone])
    assert (a.n_cases, a.n_lost, b.n_cases, b.n_lost) == (1, 0, 2, 1)
    assert (a.largest_change, a.volume_change) == (0, 0)
    # Without B nothing is known at 1/2; the map goes on with the 1/4 of the shared case: 1 + 1 voxels, not 1 + 4.
    assert b.largest_change == pytest.approx(0.75)
    assert b.volume_change == pytest.approx(2 / 5 - 1)


def test_a_lost_case_unlike_the_others_is_compared_without_a_warning():
    shared = case_of("shared", (0.25, 4, {"A": 1, "B": 1}))
    lone = case_of("lone", (0.5, 4, {"B": 4}), spacing=(9.0, 9.0))
    assert len(sensitivity([shared, lone])) == 2


@pytest.mark.parametrize("method", ["isotonic", "centered-isotonic", "platt", "beta", "temperature", "histogram"])
def test_identical_raters_change_nothing(method):
    cases = []
    for seed in range(3):
        data = make_case(seed, n_raters=1).read()
        masks = dict.fromkeys("ABC", data.raters["1"])
        cases.append(tt.Case(data.id, members=data.members, raters=masks, grid=data.grid))
    for dropped in sensitivity(cases, method=method):
        assert dropped.largest_change < 1e-6
        assert dropped.rms_change < 1e-6
        assert dropped.volume_change == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("options", [{}, {"exact": True}, {"method": "beta"}, {"weighting": "cases"}])
def test_a_rater_who_draws_everything_bigger_has_the_largest_effect(options):
    cases = []
    for seed in range(4):
        data = make_case(seed, n_raters=4, shape=(4, 24, 24)).read()
        masks = dict(data.raters)
        masks["2"] = binary_dilation(masks["2"], iterations=2).astype(np.uint8)
        cases.append(tt.Case(data.id, members=data.members, raters=masks, grid=data.grid))
    found = by_name(sensitivity(cases, **options))
    generous = found.pop("2")
    assert generous.volume_change < -0.03
    for other in found.values():
        assert generous.rms_change > 2 * other.rms_change
        assert abs(generous.volume_change) > 2 * abs(other.volume_change)
        assert other.volume_change > 0


def test_a_map_without_parameters_owes_nothing_to_anyone(cases):
    assert {one.rms_change for one in sensitivity(cases, method="identity")} == {0.0}


def test_what_counts_are_the_voxels_that_the_fit_sees():
    # 4 voxels at 0, of which all raters label all; outside the ROI 4 voxels that change nothing.
    parts = [(0.0, 4, {"A": 4, "B": 2}), (0.5, 4, {"A": 4, "B": 2}), (1.0, 4, {"A": 0, "B": 0})]
    case = case_of("c", *parts, roi=np.array([[1] * 8 + [0] * 4], np.uint8))
    pinned = by_name(sensitivity([case]))["B"]
    assert pinned.rms_change == pytest.approx(0.25)
    assert pinned.volume_change == pytest.approx(4 / 3 - 1)
    # Not pinned, 0 and 1/2 alike go from 3/4 to 1.
    loose = by_name(sensitivity([case], pin_zero=False))["B"]
    assert loose.rms_change == pytest.approx(0.25)
    assert loose.volume_change == pytest.approx(8 / 6 - 1)
    everywhere = case_of("c", *parts[:2])
    assert by_name(sensitivity([everywhere], pin_zero=False))["B"].rms_change == pytest.approx(0.25)


@pytest.mark.parametrize("weighting", ["voxels", "cases"])
def test_a_case_without_a_voxel_above_0_weighs_nothing(weighting):
    case = case_of("c", (0.25, 4, {"A": 1, "B": 2}))
    blank = case_of("blank", (0.0, 50, {"A": 3, "B": 2}))
    assert sensitivity([case, blank], weighting=weighting)[1] == dataclasses.replace(
        sensitivity([case], weighting=weighting)[1], n_cases=2
    )


def test_without_an_expected_volume_there_is_no_relative_change():
    case = case_of("c", (0.5, 4, {"A": 0, "B": 0}))
    with pytest.warns(TwinTrackWarning, match="no rater drew anything"):
        found = sensitivity([case])
    assert found[0] == DroppedRater(
        rater="A", n_cases=1, n_lost=0, largest_change=0.0, rms_change=0.0, volume_change=None
    )


def test_cases_are_left_as_they_were(cases):
    before = [list(case.raters) for case in cases]
    sensitivity(cases)
    assert [list(case.raters) for case in cases] == before


class Counting:
    """A source that counts how often it is read."""

    files = ()
    name = "counting"

    def __init__(self, volume):
        self.volume, self.reads = volume, 0

    def read(self):
        self.reads += 1
        return self.volume


@pytest.mark.parametrize(("exact", "expected"), [(False, 4 + 1), (True, 2 * 4 + 1)])
def test_a_case_is_read_once_for_each_pass_of_a_fit_and_once_to_compare(exact, expected):
    data = make_case(0, n_raters=3).read()
    source = Counting(tt.Volume.from_array(data.probability()))
    case = tt.Case("c", members=[source], raters=data.raters)
    sensitivity([case], exact=exact)
    assert source.reads == expected


def test_the_order_of_the_cases_does_not_matter(cases):
    first, second = by_name(sensitivity(cases)), by_name(sensitivity(cases[::-1]))
    assert first.keys() == second.keys()
    for name, one in first.items():
        assert dataclasses.astuple(one)[1:] == pytest.approx(dataclasses.astuple(second[name])[1:])


def test_bad_cases_are_left_out_throughout(cases):
    bad = tt.Case("bad", probability=np.ones((4, 16, 16), np.float32), raters=[np.full((4, 16, 16), 7, np.uint8)])
    with pytest.raises(TwinTrackError, match="case bad"):
        sensitivity([bad, *cases])
    seen = []
    found = sensitivity([bad, *cases], on_bad=lambda case, error: seen.append((case.id, str(error))))
    assert [name for name, _ in seen] == ["bad"]
    assert "a mask holds 0 and 1" in seen[0][1]
    assert found == sensitivity(cases)


def test_progress_is_shown_for_each_walk_through_the_cases(cases):
    labels = []

    def progress(some, label):
        labels.append((label, len(some)))
        return some

    sensitivity(cases, progress=progress)
    # Four raters' names in five cases.
    assert labels == [("Fitting", 5)] * 5 + [("Comparing", 5)]


def test_one_rater_alone_cannot_be_left_out():
    with pytest.raises(CohortError, match="at least two are needed; the cases have A"):
        sensitivity([case_of("c", (0.5, 4, {"A": 2}))])


def test_a_calibration_to_one_rater_has_nothing_to_compare(cases):
    with pytest.raises(CalibrationError, match="fitted to rater:1 depends on that rater alone"):
        sensitivity(cases, target="rater:1")


def test_options_of_the_fit_are_checked_by_it(cases):
    with pytest.raises(CalibrationError, match="unknown method 'none'"):
        sensitivity(cases, method="none")
