"""Tables of several sites: together they are the cases in one place, or they are refused."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import twintrack as tt
from twintrack.errors import CalibrationError

from .conftest import make_case

CASES = [
    make_case(k, patient=f"p{k // 2}", n_raters=2 + k % 3, decimals=2 if k == 3 else None, shape=(2, 10, 10))
    for k in range(8)
]
"""Eight cases of four patients."""


@pytest.fixture(scope="module")
def whole():
    return {
        (method, weighting): tt.fit(CASES, method=method, weighting=weighting, replicates=5).model_dump_json()
        for method in ("isotonic", "temperature")
        for weighting in ("voxels", "cases")
    }


@settings(deadline=None, max_examples=25)
@given(
    site=st.lists(st.integers(0, 2), min_size=4, max_size=4),
    order=st.permutations(range(8)),
    weighting=st.sampled_from(["voxels", "cases"]),
    method=st.sampled_from(["isotonic", "temperature"]),
)
def test_any_split_over_sites_gives_the_same_bytes(whole, tmp_path_factory, site, order, weighting, method):
    folder = tmp_path_factory.mktemp("sites")
    paths = []
    for name in sorted(set(site), reverse=True):
        cases = [CASES[k] for k in order if site[k // 2] == name]
        paths.append(folder / f"{name}.table")
        tt.save_table(tt.tabulate(cases, weighting=weighting), paths[-1])
    found = tt.fit(tt.load_tables(paths), method=method, replicates=5)
    assert found.model_dump_json() == whole[method, weighting]


def saved(path, cases, **options):
    tt.save_table(tt.tabulate(cases, **options), path)
    return path


def test_patients_of_two_sites_are_never_one(tmp_path):
    # Both sites number theirs from 0.
    paths = [saved(tmp_path / f"{k}.table", CASES[2 * k : 2 * k + 2]) for k in range(4)]
    assert len({case.patient for case in tt.load_tables(paths).cases}) == 4


def test_a_case_at_two_sites_is_refused(tmp_path):
    a = saved(tmp_path / "a.table", CASES[:5])
    b = saved(tmp_path / "b.table", CASES[4:])
    with pytest.raises(
        CalibrationError, match=r"a\.table and .*b\.table have 1 case in common, which would count twice"
    ):
        tt.load_tables([a, b])


def test_a_table_is_not_added_to_itself(tmp_path):
    a = saved(tmp_path / "a.table", CASES)
    with pytest.raises(CalibrationError, match=r"a\.table is given twice"):
        tt.load_tables([a, a])
    copy = tmp_path / "copy.table"
    copy.write_bytes(a.read_bytes())
    with pytest.raises(CalibrationError, match="have 8 cases in common"):
        tt.load_tables([a, copy])
    withheld = tt.suppress(tt.tabulate(CASES), 2)
    for path in (a, copy):
        tt.save_table(withheld, path)
    with pytest.raises(CalibrationError, match="have 8 cases in common"):
        tt.load_tables([a, copy])


def test_empty_predictions_at_two_sites_are_two_cases(tmp_path):
    nothing = [
        tt.Case(name, probability=np.zeros((2, 2), np.float32), raters=[np.ones((2, 2), np.uint8)]) for name in "ab"
    ]
    paths = [saved(tmp_path / f"{k}.table", [case, *CASES[4 * k : 4 * k + 4]]) for k, case in enumerate(nothing)]
    assert tt.fit(tt.load_tables(paths)) == tt.fit([*nothing, *CASES], method="isotonic")


@pytest.mark.parametrize(
    ("one", "other", "said"),
    [
        ({}, {"weighting": "cases"}, ("a.table: weighting voxels", "b.table: weighting cases")),
        ({}, {"target": "rater:1"}, ("a.table: the target response", "b.table: the target rater:1")),
    ],
)
def test_tables_that_count_otherwise_are_refused(tmp_path, one, other, said):
    paths = [saved(tmp_path / "a.table", CASES[:4], **one), saved(tmp_path / "b.table", CASES[4:], **other)]
    with pytest.raises(CalibrationError, match="these tables do not count the same") as refused:
        tt.load_tables(paths)
    assert all(text in str(refused.value) for text in said)


@pytest.mark.parametrize("min_count", [0, 2])
def test_another_foreground_is_refused_where_both_are_known(tmp_path, min_count):
    def site(name, seed, foreground):
        cases = [make_case(seed + k, foreground=foreground) for k in range(3)]
        tt.save_table(tt.suppress(tt.tabulate(cases), min_count), tmp_path / name)
        return tmp_path / name

    a, b = site("a.table", 0, ("tumour",)), site("b.table", 10, ("cyst", "tumour"))
    with pytest.raises(
        CalibrationError, match=r"a\.table: the foreground tumour\n.*b\.table: the foreground cyst, tum"
    ):
        tt.load_tables([a, b])
    assert tt.load_tables([a, site("c.table", 20, None)]).n_cases == 6


def test_no_table_is_refused():
    with pytest.raises(CalibrationError, match="there is no table; name at least one file"):
        tt.load_tables([])


def test_a_weighting_that_the_table_has_not_is_refused(tmp_path):
    table = tt.load_tables([saved(tmp_path / "a.table", CASES, weighting="cases")])
    assert tt.fit(table).provenance.weighting == "cases"
    with pytest.raises(
        CalibrationError, match="counted with weighting cases; it cannot be fitted with weighting voxels"
    ):
        tt.fit(table, weighting="voxels")
