"""Budgets by hand, from nothing to more than there is."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twintrack.errors import InputError
from twintrack.evaluation.triage.budget import Budget, Reading, spend
from twintrack.evaluation.triage.regions import Region

FAST = Reading(minutes_per_case=2, minutes_per_slice=0.5)


def region(first, last, voxels=10):
    return Region(
        voxels=voxels,
        volume=1.0,
        disagreement=1.0,
        box=((first, last), (0, 3), (0, 3)),
        busiest_slice=first,
        centre=(0.0, 0.0, 0.0),
        centre_mm=None,
    )


CASES = [[region(0, 3), region(2, 5)], [region(7, 7, voxels=1)], []]
"""Of 4 and 4 slices that share two, of one slice, and a case without regions."""


@pytest.mark.parametrize(
    ("text", "amount", "unit"),
    [
        ("60min", 60, "minutes"),
        ("10 cases", 10, "cases"),
        ("1 case", 1, "cases"),
        ("5%", 5, "%"),
        (" 7.5 % ", 7.5, "%"),
    ],
)
def test_budgets_are_read(text, amount, unit):
    assert Budget.parse(text) == Budget(amount, unit)


@pytest.mark.parametrize("text", ["", "60", "min", "-5min", "five cases", "5 hours", "1e3min", "5,5%", "nan %", "101%"])
def test_what_is_no_budget_is_refused(text):
    with pytest.raises(InputError, match="a budget is a number"):
        Budget.parse(text)


@pytest.mark.parametrize("amount", [-1, float("nan"), float("inf")])
def test_an_amount_that_is_none_is_refused(amount):
    with pytest.raises(InputError, match="a budget is a number from 0"):
        Budget(amount, "cases")


def test_budgets_are_said():
    assert [str(Budget.parse(text)) for text in ("60min", "5%")] == ["60 minutes", "5 %"]


@pytest.mark.parametrize("numbers", [(0, 0.1), (-1, 0.1), (1, -0.1), (float("nan"), 0.1), (1, float("inf"))])
def test_reading_takes_time(numbers):
    with pytest.raises(InputError, match="more than 0 minutes for a case"):
        Reading(*numbers)


@pytest.mark.parametrize(
    ("n", "chosen"),
    [(0, [None, None, None]), (1, [[0, 1], None, None]), (3, [[0, 1], [0], []]), (99, [[0, 1], [0], []])],
)
def test_whole_cases(n, chosen):
    found = spend(Budget(n, "cases"), CASES, reading=FAST, n_voxels=1000)
    assert found.regions == chosen
    assert found.amount == min(n, 3)


@pytest.mark.parametrize(
    ("minutes", "chosen", "spent"),
    [
        (0, [None, None, None], 0),
        (1.9, [None, None, None], 0),
        (2, [None, None, []], 2),  # opening alone does not show a region; the case without any is looked at
        (3, [None, [0], None], 2.5),  # the first case does not fit, what comes later does
        (4, [[0], None, None], 4),  # 2 for the case, 4 slices
        (5, [[0, 1], None, None], 5),  # two more slices: the others are seen already
        (7.5, [[0, 1], [0], None], 7.5),
        (9.5, [[0, 1], [0], []], 9.5),
        (1000, [[0, 1], [0], []], 9.5),
    ],
)
def test_minutes(minutes, chosen, spent):
    found = spend(Budget(minutes, "minutes"), CASES, reading=FAST, n_voxels=1000)
    assert found.regions == chosen
    assert found.amount == pytest.approx(spent)


def test_tenths_of_minutes_fill_a_budget_of_whole_ones():
    cases = [[region(0, 8)]]  # 9 slices of 0.1 and 0.1 for the case
    found = spend(Budget(1, "minutes"), cases, reading=Reading(0.1, 0.1), n_voxels=1)
    assert found.regions == [[0]]


@pytest.mark.parametrize(
    ("per_cent", "chosen", "spent"),
    [
        (0, [None, None, None], 0),
        (0.1, [None, [0], None], 0.1),
        (1, [[0], None, None], 1),
        (2.1, [[0, 1], [0], None], 2.1),
        (100, [[0, 1], [0], None], 2.1),
    ],
)
def test_per_cent_of_the_voxels(per_cent, chosen, spent):
    found = spend(Budget(per_cent, "%"), CASES, reading=FAST, n_voxels=1000)
    assert found.regions == chosen
    assert found.amount == pytest.approx(spent)


@pytest.mark.parametrize("unit", ["cases", "minutes", "%"])
def test_of_no_case_nothing_is_spent(unit):
    assert spend(Budget(5, unit), [], reading=FAST, n_voxels=0).amount == 0


@given(st.floats(0, 30), st.lists(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), max_size=3), max_size=4))
def test_a_budget_is_never_exceeded(minutes, drawn):
    cases = [[region(min(pair), max(pair)) for pair in one] for one in drawn]
    found = spend(Budget(minutes, "minutes"), cases, reading=FAST, n_voxels=1000)
    total = 0.0
    for case, chosen in zip(cases, found.regions, strict=True):
        if chosen is not None:
            slices = {z for k in chosen for z in range(case[k].first_slice, case[k].last_slice + 1)}
            total += FAST.minutes(len(slices))
    assert total == pytest.approx(found.amount)
    assert total <= minutes + 1e-6
