"""Which cases are found in what `apply` and `predict` write, and what is refused."""

from __future__ import annotations

import json

import pytest

from twintrack.cohort.find import find_cohort
from twintrack.errors import InputError
from twintrack.report.said import NOTHING, SaidOfCase
from twintrack.report.viewer.cases import find_cases

from .conftest import RECORD, response, write


def test_finds_what_apply_wrote(applied, cases):
    assert [case.id for case in cases] == ["a", "b"]
    a, b = cases
    assert a.said == SaidOfCase.model_validate(RECORD)
    assert (a.said.flags, b.said.flags) == ((), ("too bright",))
    assert (a.ct.path, list(a.band)) == (applied.parent / "cts" / "a.nii.gz", ["lower"])
    assert (a.drawn.id, b.drawn) == ("a", None)
    assert a.predicted.id == "a"
    assert a.n_raters == b.n_raters == 3


def test_finds_what_predict_wrote(tmp_path):
    write(tmp_path / "responses" / "c.nii.gz", response())
    (tmp_path / "summaries").mkdir()
    (tmp_path / "summaries" / "c.json").write_text(
        json.dumps({**RECORD, "n_raters": 5, "flags": ["odd"], "notes": ["n"]})
    )

    (case,) = find_cases(tmp_path)

    assert (case.id, case.n_raters, case.ct) == ("c", 5, None)
    assert (case.said.flags, case.said.notes) == (("odd",), ("n",))
    assert find_cases(tmp_path, n_raters=7)[0].n_raters == 7


def test_without_a_record_the_response_alone_is_shown(tmp_path):
    write(tmp_path / "c.nii.gz", response())

    (case,) = find_cases(tmp_path)

    assert (case.said, case.n_raters) == (NOTHING, None)


def test_takes_the_ct_that_lies_beside_the_raters_masks(applied):
    raters = applied.parent / "raters"
    image = write(raters / "a" / "image.nii.gz", response())

    a, b = find_cases(applied, drawn=find_cohort(raters=raters), named=[raters])

    assert (a.ct.path, b.ct) == (image, None)


def test_a_folder_without_responses_is_refused(tmp_path):
    with pytest.raises(InputError, match="holds no response maps"):
        find_cases(tmp_path)
    with pytest.raises(InputError, match="there is no such folder"):
        find_cases(tmp_path / "nothing")


@pytest.mark.parametrize("text", ["{", "[]", '{"cases": 3}', '{"cases": {"a": []}}'])
def test_damaged_records_are_refused_by_name(applied, text):
    (applied / "volumes.json").write_text(text)

    with pytest.raises(InputError, match=r"volumes\.json"):
        find_cases(applied)


@pytest.mark.parametrize("content", [{"n_raters": "many"}, {"n_raters": 0}, {"flags": "odd"}, {"notes": [3]}])
def test_damaged_summaries_are_refused_by_name(tmp_path, content):
    write(tmp_path / "responses" / "c.nii.gz", response())
    (tmp_path / "summaries").mkdir()
    (tmp_path / "summaries" / "c.json").write_text(json.dumps({**RECORD, **content}))

    with pytest.raises(InputError, match=rf"c\.json: .*{next(iter(content))}"):
        find_cases(tmp_path)


def test_a_record_that_is_a_link_out_of_the_folder_is_refused(applied, tmp_path):
    secret = tmp_path / "secret.json"
    secret.write_text("{}")
    (applied / "flags.json").unlink()
    (applied / "flags.json").symlink_to(secret)

    with pytest.raises(InputError, match="outside the folders"):
        find_cases(applied)


def test_cts_raters_and_members_of_other_cases_are_refused(applied):
    root = applied.parent
    write(root / "others" / "z.nii.gz", response())
    with pytest.raises(InputError, match=r"\(a, …\) none has CT among what is given \(z\)"):
        find_cases(applied, images=[root / "others"])
    with pytest.raises(InputError, match="none has members"):
        find_cases(applied, predicted=find_cohort(members=[root / "others"]))
