"""Which cases are fitted and which judged: no patient is ever both, every case is judged at every size."""

import itertools
from collections import Counter, defaultdict

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from twintrack.calibration.learning.draws import FOLDS, draw_sets, ladder, largest_size
from twintrack.errors import CalibrationError

COUNTS = st.lists(st.integers(1, 4), min_size=4, max_size=12)
"""How many cases each patient has."""


def patients_of(counts):
    return [f"p{number}" for number, n in enumerate(counts) for _ in range(n)]


@settings(deadline=None)
@given(COUNTS, st.integers(0, 1000))
def test_sets_have_their_size_and_leave_whole_patients_out(counts, seed):
    patients = patients_of(counts)
    sizes = ladder(largest_size(patients))
    for draw in draw_sets(patients, sizes, repeats=1, seed=seed):
        fitted = [patients[k] for k in draw.fitted]
        assert len(set(draw.fitted)) == draw.size
        assert len(set(fitted)) >= 2
        assert draw.judged
        assert set(draw.judged) == {k for k, patient in enumerate(patients) if patient not in fitted}


@settings(deadline=None)
@given(COUNTS, st.integers(0, 1000))
def test_every_case_is_judged_at_every_size_as_often_as_there_are_repeats_at_least(counts, seed):
    patients = patients_of(counts)
    sizes = ladder(largest_size(patients))
    times = defaultdict(Counter)
    for draw in draw_sets(patients, sizes, repeats=2, seed=seed):
        times[draw.size].update(draw.judged)
    assert all(times[size][k] >= 2 for size in sizes for k in range(len(patients)))


def test_small_sets_are_nested_in_large_ones_and_drawn_more_often():
    patients = patients_of([1] * 40)
    draws = draw_sets(patients, (4, 8, 16, 32), repeats=3, seed=5)
    by_number = defaultdict(list)
    for draw in draws:
        by_number[draw.number].append(draw)
    for alike in by_number.values():
        for small, large in itertools.pairwise(alike):
            assert set(small.fitted) < set(large.fitted)
    assert Counter(draw.size for draw in draws) == {4: 6 * FOLDS, 8: 5 * FOLDS, 16: 4 * FOLDS, 32: 3 * FOLDS}
    assert len({draw.fitted for draw in draws}) == len(draws)


def test_seeds_decide_the_sets():
    patients = patients_of([1, 2, 1, 3, 1, 1])
    assert draw_sets(patients, (4,), repeats=1, seed=1) == draw_sets(patients, (4,), repeats=1, seed=1)
    assert draw_sets(patients, (4,), repeats=1, seed=1) != draw_sets(patients, (4,), repeats=1, seed=2)


def test_no_patient_fills_a_set_alone():
    patients = patients_of([9, 1, 1, 1, 1, 9])
    draws = draw_sets(patients, (3,), repeats=5, seed=0)
    assert all(len({patients[k] for k in draw.fitted}) >= 2 for draw in draws)
    assert any(Counter(patients[k] for k in draw.fitted).most_common(1)[0][1] == 2 for draw in draws)


@pytest.mark.parametrize(
    ("counts", "largest"),
    [([1] * 4, 3), ([1] * 5, 4), ([1] * 10, 8), ([1] * 105, 84), ([10, 1, 1, 1], 3), ([2] * 10, 16)],
)
def test_a_fifth_of_the_cases_is_always_left_out(counts, largest):
    assert largest_size(patients_of(counts)) == largest


@pytest.mark.parametrize(
    ("largest", "sizes"),
    [
        (3, (2, 3)),
        (4, (2, 3, 4)),
        (5, (2, 3, 4, 5)),
        (8, (4, 5, 6, 8)),
        (40, (4, 7, 13, 22, 40)),
    ],
)
def test_the_sizes_go_from_four_to_the_largest_in_about_equal_ratios(largest, sizes):
    assert ladder(largest) == sizes


@given(st.integers(3, 10_000))
def test_there_are_never_many_sizes_and_the_largest_is_among_them(largest):
    sizes = ladder(largest)
    assert 2 <= len(sizes) <= 8
    assert sizes[-1] == largest
    assert sizes[0] >= 2
    assert list(sizes) == sorted(set(sizes))
    assert all(isinstance(n, int) for n in sizes)


@pytest.mark.parametrize(("counts", "said"), [([], "there are 0"), ([7], "there is 1"), ([1, 1, 5], "there are 3")])
def test_fewer_than_four_patients_are_refused_in_plain_words(counts, said):
    with pytest.raises(CalibrationError, match=f"a learning curve needs cases of at least 4 patients.*{said}$"):
        largest_size(patients_of(counts))
