"""Names and codes of structures."""

from __future__ import annotations

import pytest

pytest.importorskip("pydicom", reason="the extra dicom is not installed")

from twintrack.errors import InputError
from twintrack.report.dicom.structure import code_of, structure_of


def values(name, **options):
    found = structure_of(name, **options)
    return found.kind.value, None if found.region is None else found.region.value, found.category.value


CHANGED, ANATOMY = "49755003", "91723000"


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("pancreatic tumour", ("108369006", "15776009", CHANGED)),
        ("Tumor", ("108369006", None, CHANGED)),
        ("lung nodule", ("27925004", "39607008", CHANGED)),
        ("cystic kidney tumour, cyst", ("108369006", "64033007", CHANGED)),
        ("renal cyst", ("367643001", "64033007", CHANGED)),
        ("what nobody named", ("52988006", None, CHANGED)),
        ("adrenal metastasis", ("14799000", None, CHANGED)),  # "renal" is a part of the word, and not meant
    ],
)
def test_words_of_the_name_give_the_codes(name, expected):
    assert values(name) == expected


def test_codes_that_are_given_win():
    assert values("tumour", kind="Cyst", region="SCT:41216001:Prostate") == ("367643001", "41216001", CHANGED)
    assert values("left kidney", kind="Kidney") == ("64033007", "64033007", ANATOMY)
    own = structure_of("thing", kind="99LOCAL : 17 : Thing: a strange one").kind
    assert (own.scheme_designator, own.value, own.meaning) == ("99LOCAL", "17", "Thing: a strange one")


@pytest.mark.parametrize("text", ["", "Neoplas", "dir", "SCT", "SCT:1", "SCT:1:", ":1:a", "SCT:12345678901234567:a"])
def test_what_is_no_code_is_refused(text):
    with pytest.raises(InputError, match="SCHEME:VALUE:MEANING"):
        code_of(text)


def test_a_keyword_mistyped_is_told_its_neighbours():
    with pytest.raises(InputError, match=r"'Neoplas' is no keyword of SNOMED CT \(near: Neoplasm"):
        code_of("Neoplas")


@pytest.mark.parametrize("name", ["", "  ", "a\nb", "a\\b", "x" * 41])
def test_a_name_that_cannot_be_written_is_refused(name):
    with pytest.raises(InputError, match="1 to 40 characters"):
        structure_of(name)
