"""A minimum count: what is left is of enough patients, adds up, and is all that leaves."""

import math
from collections import defaultdict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

import twintrack as tt
from twintrack.calibration.rater_weights import vote_correlation, weighted_curve
from twintrack.calibration.withheld import WithheldCases
from twintrack.compute.levels import level_edges, level_values, levels
from twintrack.errors import CalibrationError

from .conftest import make_case


def row(name, p, *masks, **options):
    raters = [np.array([mask], np.uint8) for mask in masks]
    return tt.Case(name, probability=np.array([p], np.float32), raters=raters, **options)


def only(table):
    assert table.cases == ()
    assert table.counts == {}
    (site,) = table.withheld
    return site


def test_a_minimum_of_two_worked_out_by_hand():
    # Patients a and b share the two small probabilities, not the large one, which therefore joins the run before it.
    cases = [
        row("a", [0.0, 0.1, 0.3, 0.9], [1, 0, 1, 1], [0, 0, 0, 1]),
        row("b", [0.0, 0.1, 0.3], [0, 0, 1], [0, 0, 1], [0, 0, 0]),
    ]
    site = only(tt.suppress(tt.tabulate(cases), 2))
    # Nobody labels 0.1, both leave it; at 0.3 both label something, and both leave something.
    assert site.unit == 6
    assert level_values()[list(site.level)] == pytest.approx([0.1, (2 * 0.3 + 0.9) / 3], rel=2e-3)
    assert site.weight == (2, 3)
    assert site.votes == (0, 3 + 4 + 6)
    assert (site.n_cases, site.voxels, site.members, site.min_count) == (2, 7, (1,), 2)
    assert site.raters == {}  # one patient has two raters, and one three
    curve = tt.suppress(tt.tabulate(cases), 2).curve()
    assert curve.weight.tolist() == [2, 3]
    assert curve.response == pytest.approx([0, 13 / 18])


@pytest.mark.parametrize("min_count", [0, 1])
def test_below_two_nothing_is_withheld(cases, min_count):
    table = tt.tabulate(cases)
    assert tt.suppress(table, min_count) is table


def contributors(cases, runs):
    """Who has a labelled voxel, and who an unlabelled one, in each run of levels; from the voxels themselves."""
    found = [(defaultdict(int), defaultdict(int)) for _ in runs]
    for case in cases:
        data = case.read()
        p = data.probability().ravel()
        votes = np.sum([mask.ravel() for mask in data.raters.values()], axis=0)
        for (low, high), (labelled, unlabelled) in zip(runs, found, strict=True):
            here = (levels(p) >= low) & (levels(p) < high) & (p > 0)
            labelled[case.patient] += int((votes[here] > 0).sum())
            unlabelled[case.patient] += int((votes[here] < len(data.raters)).sum())
    return found


@settings(deadline=None, max_examples=15)
@given(seed=st.integers(0, 10_000), min_count=st.integers(2, 5), weighting=st.sampled_from(["voxels", "cases"]))
def test_every_row_is_of_enough_patients_and_all_add_up(seed, min_count, weighting):
    cases = [
        make_case(seed + k, name=f"c{k}", patient=f"p{k % 6}", n_raters=2 + k % 2, shape=(2, 9, 9)) for k in range(9)
    ]
    whole = tt.tabulate(cases, weighting=weighting)
    site = only(tt.suppress(whole, min_count))
    # Sums are exactly those of all cases.
    counts = {k: counts[1:] for k, counts in whole.counts.items()}
    assert sum(site.weight) == sum(int(one.sum()) for one in counts.values())
    votes = sum((site.unit // k) * int((one @ np.arange(k + 1)).sum()) for k, one in counts.items())
    assert sum(site.votes) == votes
    # The runs lie between the rows: their borders are found from the weights.
    weight = np.concatenate([[0], sum(one.sum(axis=1) for one in counts.values())])
    ends = np.searchsorted(np.cumsum(weight), np.cumsum(site.weight)) + 1
    starts = np.concatenate([[1], ends[:-1]])
    runs = list(zip(starts.tolist(), ends.tolist(), strict=True))
    for level, (low, high) in zip(site.level, runs, strict=True):
        assert low <= level < max(high, low + 8)
    for who in contributors(cases, runs):
        for voxels in who:
            n_patients = sum(n > 0 for n in voxels.values())
            assert n_patients == 0 or n_patients >= min_count


def test_nothing_of_a_single_case_is_in_the_file(tmp_path):
    cases = [make_case(k, foreground=("tumour",)) for k in range(6)]
    table = tt.tabulate(cases)
    tt.save_table(tt.suppress(table, 3), tmp_path / "a.table")
    text = (tmp_path / "a.table").read_text(encoding="utf-8")
    for record in table.records:
        assert record.histogram_sha256 not in text
    assert '"cases": []' in text
    assert '"counts": {}' in text
    assert "3.0" not in text  # the voxel size
    assert only(tt.load_table(tmp_path / "a.table")) == only(tt.suppress(table, 3))


def test_order_and_names_leave_no_trace():
    cases = [make_case(k, name=f"a{k}", patient=f"p{k % 5}") for k in range(7)]
    again = [make_case(k, name=f"b{9 - k}", patient=f"q{9 - k % 5}") for k in (4, 2, 6, 0, 1, 3, 5)]
    assert only(tt.suppress(tt.tabulate(cases), 3)) == only(tt.suppress(tt.tabulate(again), 3))


def test_a_fit_to_sums_is_near_the_fit_to_all_and_says_what_it_lacks():
    cases = [make_case(k, shape=(4, 32, 32)) for k in range(12)]
    whole, found = tt.fit(cases, method="isotonic"), tt.fit(tt.suppress(tt.tabulate(cases), 3))
    p = np.linspace(0.01, 0.99, 99)
    assert np.abs(whole.map(p) - found.map(p)).max() < 0.03
    assert (found.guard, found.volume, found.uncertainty) == (None, None, None)
    about = found.provenance
    assert (about.n_cases, about.cases, about.spacing_range) == (12, (), ())
    assert (about.raters, about.members, about.roi) == ({3: 12}, (2,), False)
    assert about.n_voxels == whole.provenance.n_voxels
    assert tt.Calibration.model_validate_json(found.model_dump_json()) == found


def test_one_site_that_withholds_keeps_the_others_from_speaking_for_all(tmp_path):
    cases = [make_case(k) for k in range(8)]
    open_site, closed = tt.tabulate(cases[:4]), tt.suppress(tt.tabulate(cases[4:]), 2)
    found, other = tt.fit(open_site + closed), tt.fit(closed + open_site)
    assert found == other
    assert (found.guard, found.volume, found.uncertainty) == (None, None, None)
    assert (found.provenance.n_cases, len(found.provenance.cases)) == (8, 4)
    tt.save_table(open_site + closed, tmp_path / "both.table")
    assert tt.fit(tt.load_table(tmp_path / "both.table")) == found


def test_what_sums_do_not_tell_is_refused():
    table = tt.suppress(tt.tabulate([make_case(k) for k in range(4)]), 2)
    for options in ({"target": "majority"}, {"pin_zero": False}):
        with pytest.raises(CalibrationError, match="neither the votes of single voxels nor of those whose probability"):
            tt.fit(table, **options)
    with pytest.raises(CalibrationError, match="does not tell how many raters saw a voxel"):
        tt.fit(table, weighting="raters")
    for estimate in (vote_correlation, weighted_curve):
        with pytest.raises(CalibrationError, match="does not tell how many raters"):
            estimate(table)
    with pytest.raises(CalibrationError, match="was applied to this table before"):
        tt.suppress(table, 3)


def test_too_few_patients_are_refused():
    cases = [make_case(k, patient=f"p{k % 3}") for k in range(6)]
    with pytest.raises(
        CalibrationError, match="a minimum count of 4 patients withholds everything: the cases are of 3"
    ):
        tt.suppress(tt.tabulate(cases), 4)
    with pytest.raises(CalibrationError, match="expected 0 or more; got -1"):
        tt.suppress(tt.tabulate(cases), -1)
    one_draws = [row("a", [0.1, 0.5], [0, 1]), row("b", [0.1, 0.5], [0, 0])]
    with pytest.raises(
        CalibrationError, match="above 0, 1 have a voxel that a rater labels, 2 one that a rater does not"
    ):
        tt.suppress(tt.tabulate(one_draws), 2)
    nothing = [row(name, [0.0, 0.0], [0, 1]) for name in "ab"]
    with pytest.raises(CalibrationError, match="every voxel inside the ROI has probability exactly 0"):
        tt.suppress(tt.tabulate(nothing), 2)


def test_sums_that_do_not_fit_are_refused(monkeypatch):
    cases = [make_case(k, n_raters=2 + k) for k in range(4)]
    monkeypatch.setattr("twintrack.calibration.sites.suppress.LARGEST", math.lcm(2, 3, 4, 5) * 4 * 1024 - 1)
    with pytest.raises(CalibrationError, match="small common multiple; that of these cases is 60"):
        tt.suppress(tt.tabulate(cases), 2)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"level": (5, 5)}, "levels are not strictly increasing"),
        ({"level": (5,)}, "level, weight and votes differ in number"),
        ({"votes": (1, 100)}, "a row has a response above 1"),
        ({"min_count": 1}, "greater than or equal to 2"),
        ({"weight": (1, 1 << 63)}, "less than or equal to"),
    ],
)
def test_rows_that_make_no_sense_are_refused(change, message):
    sound = {"min_count": 2, "n_cases": 2, "raters": {}, "voxels": 9, "members": (1,), "roi": False, "unit": 6}
    sound |= {"level": (5, 9), "weight": (2, 3), "votes": (0, 13)}
    WithheldCases(**sound)
    with pytest.raises(ValidationError, match=message):
        WithheldCases(**sound | change)


def test_rows_stand_within_their_levels():
    cases = [row(name, [0.5, 0.500001, 1.0, 1.0], [0, 1, 0, 1]) for name in "ab"]
    site = only(tt.suppress(tt.tabulate(cases), 2))
    assert level_values()[list(site.level)].tolist() == pytest.approx([0.5, 1.0], rel=1e-3)
    assert level_edges()[site.level[-1]] == 1.0
