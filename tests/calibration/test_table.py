import numpy as np
import pytest

import twintrack as tt
from twintrack.calibration.table import CASE_WEIGHT
from twintrack.compute.levels import N_LEVELS, levels
from twintrack.errors import CalibrationError, CohortError

from .conftest import make_case


def total(table):
    return sum(int(counts.sum()) for counts in table.counts.values())


def test_counts_of_a_case_worked_out_by_hand():
    p = np.array([[0.0, 0.25, 0.25], [0.75, 1.0, 0.25]], np.float32)
    a = np.array([[0, 0, 1], [1, 1, 0]], np.uint8)
    b = np.array([[0, 0, 1], [0, 1, 1]], np.uint8)
    table = tt.ResponseTable.from_case(tt.Case("c", probability=p, raters=[a, b]))
    (counts,) = table.counts.values()
    zero, quarter, three, one = levels(np.float32([0, 0.25, 0.75, 1]))
    assert counts.shape == (N_LEVELS, 3)
    assert counts[zero].tolist() == [1, 0, 0]
    assert counts[quarter].tolist() == [1, 1, 1]
    assert counts[three].tolist() == [0, 1, 0]
    assert counts[one].tolist() == [0, 0, 1]
    assert counts.sum() == 6
    curve = table.curve()
    assert curve.weight.tolist() == [3, 1, 1]
    assert curve.response.tolist() == [0.5, 0.5, 1.0]
    assert table.curve(target="majority").response == pytest.approx([1 / 3, 0, 1])
    assert table.curve(pin_zero=False).weight.tolist() == [1, 3, 1, 1]


def test_only_voxels_inside_the_roi_are_counted():
    p = np.full((2, 3), 0.5, np.float32)
    mask = np.ones((2, 3), np.uint8)
    roi = np.array([[1, 0, 0], [0, 1, 0]], np.uint8)
    table = tt.ResponseTable.from_case(tt.Case("c", probability=p, raters=[mask], roi=roi))
    assert table.n_voxels == 2
    assert total(table) == 2


def test_members_are_averaged_before_they_are_counted():
    one, other = np.full((2, 2), 0.2, np.float32), np.full((2, 2), 0.6, np.float32)
    table = tt.ResponseTable.from_case(tt.Case("c", members=[one, other], raters=[np.ones((2, 2), np.uint8)]))
    assert table.curve().probability == pytest.approx([0.4], rel=1e-3)


@pytest.mark.parametrize("weighting", ["voxels", "cases"])
def test_sums_are_associative_and_commutative(cases, weighting):
    a, b, c = (tt.ResponseTable.from_case(case, weighting=weighting) for case in cases[:3])
    first, second, third = (a + b) + c, a + (b + c), c + a + b
    for other in (second, third):
        assert set(first.counts) == set(other.counts)
        assert all((first.counts[k] == other.counts[k]).all() for k in first.counts)
        assert sorted(map(repr, first.records)) == sorted(map(repr, other.records))


def test_a_sum_leaves_its_parts_alone(cases):
    a, b = (tt.ResponseTable.from_case(cases[0]) for _ in range(2))
    before = total(a)
    a + b
    assert total(a) == before


def test_weighting_by_case_gives_every_case_the_same_weight():
    small = make_case(1, shape=(2, 8, 8))
    large = make_case(2, shape=(8, 32, 32))
    for case in (small, large):
        table = tt.ResponseTable.from_case(case, weighting="cases")
        above_zero = sum(int(counts[1:].sum()) for counts in table.counts.values())
        assert above_zero == pytest.approx(CASE_WEIGHT, rel=1e-6)


def test_different_kinds_do_not_add(cases):
    by_voxel = tt.ResponseTable.from_case(cases[0])
    by_case = tt.ResponseTable.from_case(cases[0], weighting="cases")
    one_rater = tt.ResponseTable.from_case(cases[0], target="rater:1")
    with pytest.raises(CalibrationError, match="weighting voxels.*weighting cases"):
        by_voxel + by_case
    with pytest.raises(CalibrationError, match="response.*rater:1"):
        by_voxel + one_rater


def test_a_table_is_fitted_only_to_what_it_counts(cases):
    table = tt.ResponseTable.from_case(cases[0], target="rater:2")
    assert table.curve(target="rater:2").weight.sum() > 0
    with pytest.raises(CalibrationError, match="counts rater:2"):
        table.curve(target="response")


def test_a_rater_who_did_not_draw_the_case_is_named(cases):
    with pytest.raises(CohortError, match=r"case0: rater '7' did not draw it; its raters are 1, 2"):
        tt.ResponseTable.from_case(cases[0], target="rater:7")


def test_staple_target_counts_its_mask():
    from twintrack.raters import staple

    case = make_case(3)
    data = case.read()
    table = tt.ResponseTable.from_case(case, target="staple")
    assert int(table.counts[1][:, 1].sum()) == int(staple(list(data.raters.values())).mask.sum())


def test_a_case_of_zeros_only_has_nothing_to_fit():
    zeros = np.zeros((3, 3), np.float32)
    case = tt.Case("c", probability=zeros, raters=[np.ones((3, 3), np.uint8)])
    with pytest.raises(CalibrationError, match="every voxel inside the ROI has probability exactly 0"):
        tt.fit([case], method="isotonic")


def test_table_does_not_depend_on_the_number_of_voxels(cases):
    small = tt.ResponseTable.from_case(make_case(1, shape=(2, 8, 8)))
    large = tt.ResponseTable.from_case(make_case(1, shape=(16, 64, 64)))
    assert small.counts[3].nbytes == large.counts[3].nbytes < 8 << 20
