"""The CSV that lists cases: what is read of it, and what it is told is wrong with it."""

from __future__ import annotations

import pytest

from twintrack.cohort.case_list import ListedCase, read_case_list
from twintrack.errors import CohortError


@pytest.fixture
def listing(tmp_path):
    def write(text, *, name="cases.csv", encoding="utf-8"):
        path = tmp_path / name
        path.write_bytes(text.encode(encoding))
        return path

    return write


def test_only_the_case_is_required(listing):
    assert read_case_list(listing("case\nb\na\n")) == [ListedCase("b"), ListedCase("a")]


def test_patient_split_and_number_of_raters_are_read(listing):
    text = "case,patient,raters,split\nn1,p1,4,train\nn2,p1,2,test\nn3,,3,\n"
    assert read_case_list(listing(text)) == [
        ListedCase("n1", patient="p1", split="train", n_raters=4),
        ListedCase("n2", patient="p1", split="test", n_raters=2),
        ListedCase("n3", n_raters=3),
    ]


def test_files_are_relative_to_the_list_and_an_empty_place_is_a_missing_rater(listing, tmp_path):
    text = (
        "case,members,raters,roi,vessels,image\nc1,a/c1.npz; b/c1.npz,r1.nii.gz;;r3.nii.gz,roi.mha,v.nrrd,/abs/ct.nii\n"
    )
    (row,) = read_case_list(listing(text))
    assert row.members == (tmp_path / "a/c1.npz", tmp_path / "b/c1.npz")
    assert row.raters == (tmp_path / "r1.nii.gz", None, tmp_path / "r3.nii.gz")
    assert (row.roi, row.vessels) == (tmp_path / "roi.mha", tmp_path / "v.nrrd")
    assert str(row.image) == "/abs/ct.nii"
    assert row.n_raters is None


def test_a_column_of_probabilities_stands_for_one_member(listing, tmp_path):
    (row,) = read_case_list(listing("case,probability\nc1,p.npy\n"))
    assert row.members == (tmp_path / "p.npy",)


def test_one_split_is_kept_in_the_order_of_the_list(listing):
    path = listing("case,split\nb,test\na,train\nc,test\n")
    assert [row.id for row in read_case_list(path, split="test")] == ["b", "c"]


@pytest.mark.parametrize(
    "text",
    [
        "case, split\nc1, test\n",  # spaces after the commas
        "\ufeffcase,split\r\nc1,test\r\n",  # as Excel saves UTF-8
        'case,split\n"c1","test"\n',
        "case,split,note\nc1,test\n",  # a short row
        "case,split\nc1,test,more,cells\n",
        "case,split\n\n,\nc1,test\n,\n",  # empty rows
    ],
)
def test_what_spreadsheets_write_is_understood(listing, text):
    assert read_case_list(listing(text)) == [ListedCase("c1", split="test")]


def test_names_need_not_be_english(listing):
    assert read_case_list(listing("case\nPatient_Ä²\n"))[0].id == "Patient_Ä²"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"there is no column 'case'; its columns, separated by commas, are: none"),
        ("id,split\nc1,test\n", r"no column 'case'; .* are: id, split"),
        ("case;split\nc1;test\n", r"no column 'case'; .* separated by commas, are: case;split"),
        ("case,split\n", r"the list is empty: no case was found"),
        ("case,split\nc1,test\n,test\n", r"line 3: the cell of column 'case' is empty"),
        ("case\nc1\nc2\nc1\nc1\n", r"case 'c1' is listed 3 times; case ids must be unique"),
    ],
)
def test_a_list_that_cannot_be_used_is_refused_by_name(listing, text, message):
    with pytest.raises(CohortError, match=rf"^.*cases\.csv.*{message}"):
        read_case_list(listing(text))


def test_an_unknown_split_is_refused_with_those_there_are(listing):
    path = listing("case,split\nc1,train\nc2,test\nc3,\n")
    with pytest.raises(CohortError, match=r"cases\.csv: no case has split 'Test'; its splits are test, train$"):
        read_case_list(path, split="Test")
    with pytest.raises(CohortError, match="its splits are none"):
        read_case_list(listing("case\nc1\n"), split="test")


def test_a_list_that_cannot_be_read_says_why(listing, tmp_path):
    with pytest.raises(CohortError, match=r"cannot read the list of cases .*nowhere\.csv: No such file or directory$"):
        read_case_list(tmp_path / "nowhere.csv")
    with pytest.raises(CohortError, match=r"cases\.csv: it is not text in UTF-8"):
        read_case_list(listing("case\nÄ\n", encoding="latin-1"))
    with pytest.raises(CohortError, match=r"cannot read the list of cases .*: .*field larger than"):
        read_case_list(listing(f'case\n"{"x" * 200_000}"\n'))
