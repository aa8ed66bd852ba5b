"""A `Cohort`, and walking through it: in order, one case in memory at a time, bad cases reported or skipped."""

from __future__ import annotations

import weakref

import numpy as np
import pytest

from twintrack.cohort import Case, Cohort, map_cases
from twintrack.cohort.cohort import shorten
from twintrack.errors import CohortError, InputError, OutputError
from twintrack.images import Volume


def case(name="a", **options):
    options = {"probability": np.zeros((2, 2), np.float32), "raters": [np.zeros((2, 2), np.uint8)], **options}
    return Case(name, **options)


BAD = {"probability": np.full((2, 2), np.nan, np.float32)}


def test_a_cohort_is_a_sequence_in_the_order_given():
    cases = [case("b"), case("a"), case("c")]
    cohort = Cohort(each for each in cases)
    assert list(cohort) == cases
    assert (len(cohort), cohort[1], repr(cohort)) == (3, cases[1], "Cohort(3 cases)")
    assert isinstance(cohort[1:], Cohort)
    assert [each.id for each in cohort[1:]] == ["a", "c"]


def test_ids_are_unique():
    with pytest.raises(CohortError, match=r"^case ids must be unique; more than once there is: a, b$"):
        Cohort([case("a"), case("b"), case("a"), case("b"), case("c")])


def test_long_lists_of_names_are_shortened():
    assert shorten(["a", "b"]) == "a, b"
    assert shorten(list("abcdefg"), most=3) == "a, b, c, … (7 in all)"


def test_an_empty_cohort_is_not_sound():
    with pytest.raises(CohortError, match="the cohort is empty"):
        Cohort([]).require_sound()


def test_known_problems_are_listed_before_any_work():
    cohort = Cohort([case("ok"), *(case(f"c{n}", problem=f"reason {n}") for n in range(7))])
    assert len(cohort.problems) == 7
    with pytest.raises(CohortError) as caught:
        cohort.require_sound()
    assert str(caught.value) == (
        "7 of 8 cases cannot be used:\n  c0: reason 0\n  c1: reason 1\n  c2: reason 2\n  c3: reason 3\n  c4: reason 4\n"
        "  … and 2 more\nMend them, select cases with --cases and --split, or leave them out with --skip-bad."
    )
    Cohort([case()]).require_sound()


def names(cohort, **options):
    return list(map_cases(lambda each, data: (each.id, data.id), cohort, label="Naming", **options))


def test_every_case_is_visited_in_order():
    assert names(case(name) for name in "bca") == [("b", "b"), ("c", "c"), ("a", "a")]


def test_an_empty_cohort_cannot_be_walked():
    with pytest.raises(CohortError, match="the cohort is empty"):
        names([])


@pytest.mark.parametrize("which", ["members", "raters"])
def test_what_is_not_needed_may_be_missing(which):
    lacking = case(**({"probability": None} if which == "members" else {"raters": ()}))
    assert names([lacking], **{which: False}) == [("a", "a")]
    with pytest.raises(CohortError):
        names([lacking])


def test_progress_sees_all_cases_and_the_label():
    seen = []

    def progress(cases, label):
        seen.append(([each.id for each in cases], label))
        yield from cases

    assert len(names([case("a"), case("b")], progress=progress)) == 2
    assert seen == [(["a", "b"], "Naming")]


def test_a_bad_case_stops_the_walk_by_default():
    visited = []
    with pytest.raises(InputError, match="member 1 of case bad"):
        visited.extend(map_cases(lambda each, _: each.id, [case("a"), case("bad", **BAD), case("z")], label=""))
    assert visited == ["a"]


def test_bad_cases_are_reported_and_the_others_go_on():
    reported = []
    cohort = [case("a"), case("bad", **BAD), case("known", problem="nobody drew it"), case("z")]
    found = names(cohort, on_bad=lambda each, error: reported.append((each.id, type(error), str(error))))
    assert found == [("a", "a"), ("z", "z")]
    assert [(name, kind) for name, kind, _ in reported] == [("bad", InputError), ("known", CohortError)]
    assert reported[1][2] == "case known: nobody drew it"


def test_what_the_function_refuses_is_a_bad_case_too():
    def refuse(each, _):
        raise InputError(f"case {each.id}: unlike the others")

    reported = []
    assert list(map_cases(refuse, [case()], label="", on_bad=lambda each, _: reported.append(each.id))) == []
    assert reported == ["a"]


def test_a_full_disk_is_no_fault_of_the_case():
    def write(_, __):
        raise OutputError("cannot write a.nii.gz: No space left on device")

    reported = []
    with pytest.raises(OutputError):
        list(map_cases(write, [case("a"), case("b")], label="", on_bad=lambda each, _: reported.append(each.id)))
    assert reported == []


def test_a_mistake_in_the_program_is_not_taken_for_a_bad_case():
    def fail(*_):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        list(map_cases(fail, [case()], label="", on_bad=lambda *_: None))


def test_nothing_is_read_before_it_is_asked_for():
    memory = Memory()
    walk = map_cases(lambda each, _: each.id, memory.cases(3), label="")
    assert memory.reads == []
    assert next(walk) == "c0"
    assert memory.reads == ["c0"] * 3


class Memory:
    """Makes cases whose voxels come to life when read, and notes how many cases had voxels alive at any read."""

    def __init__(self):
        self.reads, self.voxels, self.most = [], [], 0

    def cases(self, n, *, bad=()):
        for k in range(n):
            value = 7.0 if k in bad else 0.5
            members = [self.source(f"c{k}", np.float32, 0.5), self.source(f"c{k}", np.float32, value)]
            yield Case(f"c{k}", members=members, raters=[self.source(f"c{k}", np.uint8, 1)])

    def source(self, case_name, dtype, value):
        memory = self

        class Source:
            name, files = f"a file of {case_name}", ()

            def read(self):
                array = np.full((4, 4), value, dtype)
                memory.voxels.append((case_name, weakref.ref(array)))
                memory.reads.append(case_name)
                memory.most = max(memory.most, len({name for name, alive in memory.voxels if alive() is not None}))
                return Volume.from_array(array)

        return Source()


def test_only_one_case_is_in_memory_at_a_time():
    memory = Memory()
    assert len(list(map_cases(lambda _, data: data.grid.shape, memory.cases(5), label=""))) == 5
    assert len(memory.reads) == 15
    assert memory.most == 1


def test_a_case_stays_in_memory_only_if_the_function_keeps_it():
    memory = Memory()
    kept = list(map_cases(lambda _, data: data, memory.cases(5), label=""))
    assert (len(kept), memory.most) == (5, 5)


def test_an_error_that_is_kept_does_not_keep_the_voxels():
    memory, errors = Memory(), []
    walk = map_cases(
        lambda each, data: each.id,
        memory.cases(5, bad=(1, 2, 4)),
        label="",
        on_bad=lambda _, error: errors.append(error),
    )
    assert list(walk) == ["c0", "c3"]
    assert [str(error).partition(":")[0] for error in errors] == ["case c1", "case c2", "case c4"]
    assert memory.most == 1
